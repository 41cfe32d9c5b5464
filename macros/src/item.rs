//! The annotated item: attributes, what little of the signature matters, and a body of untouched tokens.
//!
//! The compiler has parsed the item already, so that this only has to find its way: nothing is parsed twice, syntax
//! that came after this was written passes through, and every token keeps its span. Fragments of a `macro_rules!`
//! arrive in invisible groups, which are opened where they stand in the way.
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

/// What the attribute stands on.
pub(crate) struct Item {
    /// The outer attributes that are left, in order.
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) kind: Kind,
}

pub(crate) enum Kind {
    Function(Box<Function>),
    Impl(Impl),
    Other {
        /// As in "not on a struct".
        what: &'static str,
        span: Span,
        is_expression: bool,
    },
}

/// `#[..]`.
pub(crate) struct Attribute {
    pub(crate) pound: TokenTree,
    pub(crate) brackets: Group,
}

/// A function, free or in a block.
pub(crate) struct Function {
    /// All from the visibility up to the body.
    pub(crate) signature: Vec<TokenTree>,
    pub(crate) constness: Option<Ident>,
    pub(crate) is_async: bool,
    pub(crate) name: Ident,
    /// The content of the parentheses.
    pub(crate) inputs: TokenStream,
    /// Where in the signature they are.
    pub(crate) inputs_at: usize,
    /// What follows `->`, up to a `where`.
    pub(crate) output: Option<Vec<TokenTree>>,
    pub(crate) body: Option<Group>,
}

/// An `impl` block.
pub(crate) struct Impl {
    /// `impl<..> Trait for Type where ..`.
    pub(crate) header: Vec<TokenTree>,
    pub(crate) braces: Group,
    pub(crate) members: Vec<Member>,
}

/// Something in an `impl` block.
pub(crate) struct Member {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) tokens: Vec<TokenTree>,
    /// A function with a body that is not `const`.
    pub(crate) takes_attribute: bool,
}

impl Item {
    pub(crate) fn read(tokens: TokenStream) -> Item {
        let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut attributes = Vec::new();
        let mut at = 0;
        loop {
            read_attributes(&tokens, &mut at, &mut attributes);
            // `$item:item` and `$vis:vis`.
            if !open_invisible(&mut tokens, at) {
                break;
            }
        }
        let tokens = tokens.split_off(at);
        let kind = read_kind(tokens);
        Item { attributes, kind }
    }
}

impl Attribute {
    pub(crate) fn span(&self) -> Span {
        self.brackets.span()
    }

    /// `#[naked]`, `#[unsafe(naked)]`.
    pub(crate) fn is_naked(&self) -> bool {
        let text: String = self.brackets.stream().to_string().split_whitespace().collect();
        text == "naked" || text == "unsafe(naked)"
    }

    /// The arguments, if this is what an annotated `impl` block appends to its methods.
    pub(crate) fn hidden_arguments(&self) -> Option<TokenStream> {
        let Some(TokenTree::Group(arguments)) = self.brackets.stream().into_iter().last() else {
            return None;
        };
        let first = arguments.stream().into_iter().next()?;
        (ident(&first)? == crate::args::METHOD).then(|| arguments.stream())
    }
}

fn read_kind(mut tokens: Vec<TokenTree>) -> Kind {
    let mut at = 0;
    while at < tokens.len() {
        if open_invisible(&mut tokens, at) {
            continue;
        }
        let Some(word) = ident(&tokens[at]) else {
            match &tokens[at] {
                // `pub(crate)`, `extern "C"`.
                TokenTree::Literal(_) => {}
                TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis => {}
                _ => break,
            }
            at += 1;
            continue;
        };
        match word.as_str() {
            "fn" => {
                return match read_function(tokens, at) {
                    Ok(function) => Kind::Function(Box::new(function)),
                    Err(tokens) => other(&tokens, at),
                };
            }
            "impl" => {
                let braces = tokens.last().cloned().map(peel);
                return match braces {
                    Some(TokenTree::Group(braces)) if braces.delimiter() == Delimiter::Brace => {
                        tokens.pop();
                        let members = read_members(braces.stream());
                        Kind::Impl(Impl { header: tokens, braces, members })
                    }
                    _ => other(&tokens, at),
                };
            }
            "pub" | "crate" | "default" | "const" | "async" | "unsafe" | "safe" | "extern" => at += 1,
            _ => break,
        }
    }
    other(&tokens, at)
}

/// What stands where a function was expected, named as people name it.
fn other(tokens: &[TokenTree], at: usize) -> Kind {
    const KEYWORDS: [(&str, &str); 12] = [
        ("struct", "a struct"),
        ("enum", "an enum"),
        ("union", "a union"),
        ("trait", "a whole trait: put it on its methods with a default body, and on `impl` blocks"),
        ("mod", "a module"),
        ("use", "a `use`"),
        ("static", "a static"),
        ("type", "a type alias"),
        ("let", "a `let`"),
        ("const", "a constant"),
        ("macro_rules", "a macro"),
        ("extern", "an `extern` block"),
    ];
    let read = &tokens[..(at + 1).min(tokens.len())];
    let closure = read.iter().find(|token| match token {
        TokenTree::Punct(punct) => punct.as_char() == '|',
        token => ident(token).is_some_and(|word| word == "move"),
    });
    if let Some(token) = closure {
        return Kind::Other { what: "a closure", span: token.span(), is_expression: true };
    }
    let keyword = KEYWORDS.iter().find_map(|(word, what)| {
        let token = read.iter().find(|token| ident(token).is_some_and(|ident| ident == *word))?;
        Some((*what, token.span()))
    });
    let here = || (tokens.get(at).or(tokens.last())).map_or_else(Span::call_site, TokenTree::span);
    let (what, span) = keyword.unwrap_or_else(|| ("this", here()));
    Kind::Other { what, span, is_expression: false }
}

/// `fn_at` is where `fn` is. The tokens come back if this is no function after all.
fn read_function(mut tokens: Vec<TokenTree>, fn_at: usize) -> Result<Function, Vec<TokenTree>> {
    let Some(parts) = find_parts(&tokens, fn_at) else { return Err(tokens) };
    let TokenTree::Ident(name) = tokens[fn_at + 1].clone() else { return Err(tokens) };
    let TokenTree::Group(inputs) = tokens[parts.inputs].clone() else { return Err(tokens) };
    let body = match tokens.get(parts.end).cloned().map(peel) {
        Some(TokenTree::Group(body)) => Some(body),
        _ => None,
    };
    let output = parts.output.map(|(from, to)| tokens[from..to].to_vec());
    let word = |word: &str| {
        tokens[..fn_at].iter().find_map(|token| match token {
            TokenTree::Ident(ident) if ident == word => Some(ident.clone()),
            _ => None,
        })
    };
    let (constness, is_async) = (word("const"), word("async").is_some());
    if body.is_some() {
        tokens.truncate(parts.end);
    }
    let inputs_at = parts.inputs;
    Ok(Function {
        signature: tokens,
        constness,
        is_async,
        name,
        inputs: inputs.stream(),
        inputs_at,
        output,
        body,
    })
}

/// Where the parts of a function are.
struct Parts {
    inputs: usize,
    /// From after `->` up to `where`, `;` or the body.
    output: Option<(usize, usize)>,
    /// The body, or the `;`.
    end: usize,
}

fn find_parts(tokens: &[TokenTree], fn_at: usize) -> Option<Parts> {
    let mut angles = Angles::default();
    let mut inputs = None;
    let mut output_from = None;
    let mut where_at = None;
    for (at, token) in tokens.iter().enumerate().skip(fn_at + 2) {
        let ends_arrow = angles.see(token);
        if angles.depth > 0 {
            continue;
        }
        let is_end = match peel(token.clone()) {
            TokenTree::Group(group) if inputs.is_none() => {
                if group.delimiter() == Delimiter::Parenthesis {
                    inputs = Some(at);
                }
                false
            }
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
            TokenTree::Ident(word) => {
                if word == "where" && where_at.is_none() {
                    where_at = Some(at);
                }
                false
            }
            // The arrows of `-> impl Fn() -> T` and of bounds are not ours.
            TokenTree::Punct(_) if ends_arrow => {
                if output_from.is_none() && where_at.is_none() {
                    output_from = Some(at + 1);
                }
                false
            }
            // `[T; N]` is a group, so that this is the end.
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Literal(_) => false,
        };
        if is_end {
            let output = output_from.map(|from| (from, where_at.unwrap_or(at)));
            return Some(Parts { inputs: inputs?, output, end: at });
        }
    }
    None
}

/// Counts `<` and `>`, which are no groups, and tells the `>` of `->` from them.
#[derive(Default)]
pub(crate) struct Angles {
    pub(crate) depth: i32,
    minus: bool,
}

impl Angles {
    /// Whether `token` ends an arrow.
    pub(crate) fn see(&mut self, token: &TokenTree) -> bool {
        let TokenTree::Punct(punct) = token else {
            self.minus = false;
            return false;
        };
        let arrow = punct.as_char() == '>' && self.minus;
        match punct.as_char() {
            '<' => self.depth += 1,
            '>' if !arrow => self.depth -= 1,
            _ => {}
        }
        self.minus = punct.as_char() == '-';
        arrow
    }
}

fn read_members(tokens: TokenStream) -> Vec<Member> {
    let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut members = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(inner) = inner_attribute(&tokens[at..]) {
            members.push(Member { attributes: Vec::new(), tokens: inner.to_vec(), takes_attribute: false });
            at += inner.len();
            continue;
        }
        let mut attributes = Vec::new();
        read_attributes(&tokens, &mut at, &mut attributes);
        let from = at;
        let mut is_const = false;
        let mut function = None;
        // Up to `fn`, or whatever tells that it is none.
        while at < tokens.len() {
            if open_invisible(&mut tokens, at) {
                continue;
            }
            match ident(&tokens[at]).as_deref() {
                Some("fn") => {
                    function = Some(at);
                    break;
                }
                Some("const") => is_const = true,
                Some("pub" | "crate" | "default" | "async" | "unsafe" | "safe" | "extern") => {}
                None if matches!(tokens[at], TokenTree::Literal(_)) => {}
                None if matches!(&tokens[at], TokenTree::Group(g) if g.delimiter() == Delimiter::Parenthesis) =>
                    {}
                _ => break,
            }
            at += 1;
        }
        let parts = function.and_then(|fn_at| find_parts(&tokens, fn_at));
        let end = match &parts {
            Some(parts) => parts.end,
            None => end_of_member(&tokens, at, is_const),
        };
        at = (end + 1).min(tokens.len());
        let has_body = parts.is_some_and(|parts| matches!(tokens[parts.end], TokenTree::Group(_)));
        let tokens = tokens[from..at].to_vec();
        members.push(Member { attributes, tokens, takes_attribute: has_body && !is_const });
    }
    members
}

/// The `;` of a constant or a type; the braces or the `;` of a macro's invocation.
fn end_of_member(tokens: &[TokenTree], from: usize, is_const: bool) -> usize {
    let is_invocation =
        !is_const && !matches!(tokens.get(from).and_then(ident).as_deref(), Some("type" | "static"));
    let ends = |token: &TokenTree| match token {
        TokenTree::Punct(punct) => punct.as_char() == ';',
        TokenTree::Group(group) => is_invocation && group.delimiter() == Delimiter::Brace,
        _ => false,
    };
    (from..tokens.len()).find(|&at| ends(&tokens[at])).unwrap_or(tokens.len())
}

/// How many tokens the items take that a body begins with. What we put behind them does not come before an item, which
/// some lint would have to say of the user's code.
pub(crate) fn leading_items(tokens: &[TokenTree]) -> usize {
    let mut end = 0;
    while let Some(length) = leading_item(&tokens[end..]) {
        end += length;
    }
    end
}

/// How many tokens the first item takes, if it is one.
fn leading_item(tokens: &[TokenTree]) -> Option<usize> {
    let mut at = 0;
    read_attributes(tokens, &mut at, &mut Vec::new());
    let word = |at: usize| tokens.get(at).and_then(ident);
    let ends_with_braces = loop {
        match word(at)?.as_str() {
            "pub" => {
                at += 1;
                if matches!(tokens.get(at), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
                {
                    at += 1;
                }
            }
            // Not the block `unsafe { .. }`, the closure `async || ..` and the like.
            "const" if word(at + 1).is_some_and(|name| !is_qualifier(&name)) => break false,
            "unsafe" | "async" | "extern" | "const" => {
                at += 1;
                if matches!(tokens.get(at), Some(TokenTree::Literal(_))) {
                    at += 1;
                }
            }
            "use" | "static" | "type" if word(at + 1).is_some() || is_path_start(tokens.get(at + 1)?) => {
                break false;
            }
            "fn" | "struct" | "enum" | "trait" | "mod" => {
                word(at + 1)?;
                break true;
            }
            "impl" | "macro_rules" => break true,
            _ => return None,
        }
    };
    let mut angles = Angles::default();
    for (at, token) in tokens.iter().enumerate().skip(at) {
        angles.see(token);
        let ends = match token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            TokenTree::Group(group) => {
                ends_with_braces && angles.depth <= 0 && group.delimiter() == Delimiter::Brace
            }
            _ => false,
        };
        if ends {
            return Some(at + 1);
        }
    }
    None
}

fn is_qualifier(word: &str) -> bool {
    matches!(word, "fn" | "unsafe" | "async" | "extern" | "move" | "static")
}

/// `::path`, `{a, b}`.
fn is_path_start(token: &TokenTree) -> bool {
    match token {
        TokenTree::Punct(punct) => punct.as_char() == ':',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    }
}

fn read_attributes(tokens: &[TokenTree], at: &mut usize, attributes: &mut Vec<Attribute>) {
    while let (Some(TokenTree::Punct(pound)), Some(TokenTree::Group(brackets))) =
        (tokens.get(*at), tokens.get(*at + 1))
        && pound.as_char() == '#'
        && brackets.delimiter() == Delimiter::Bracket
    {
        attributes.push(Attribute { pound: TokenTree::Punct(pound.clone()), brackets: brackets.clone() });
        *at += 2;
    }
}

/// `#![..]`, if the tokens begin with one.
pub(crate) fn inner_attribute(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [TokenTree::Punct(pound), TokenTree::Punct(bang), TokenTree::Group(brackets), ..]
            if pound.as_char() == '#'
                && bang.as_char() == '!'
                && brackets.delimiter() == Delimiter::Bracket =>
        {
            tokens.get(..3)
        }
        _ => None,
    }
}

/// Replaces an invisible group at `at` by its content. Says whether there was one.
fn open_invisible(tokens: &mut Vec<TokenTree>, at: usize) -> bool {
    match tokens.get(at) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::None => {
            let content: Vec<TokenTree> = group.stream().into_iter().collect();
            tokens.splice(at..=at, content);
            true
        }
        _ => false,
    }
}

/// The one token in an invisible group: `$body:block`.
pub(crate) fn peel(token: TokenTree) -> TokenTree {
    if let TokenTree::Group(group) = &token
        && group.delimiter() == Delimiter::None
    {
        let mut content = group.stream().into_iter();
        if let (Some(only), None) = (content.next(), content.next()) {
            return peel(only);
        }
    }
    token
}

pub(crate) fn ident(token: &TokenTree) -> Option<String> {
    match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    }
}
