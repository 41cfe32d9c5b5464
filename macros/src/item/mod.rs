//! The annotated item: attributes, what little of the signature matters, and a body of untouched tokens.
//!
//! The compiler has parsed the item already, so that this only has to find its way: nothing is parsed twice, syntax
//! that came after this was written passes through, and every token keeps its span. Fragments of a `macro_rules!`
//! arrive in invisible groups, which are opened where they stand in the way.
mod function;
mod leading;
mod members;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::tokens::{ident, open_invisible, peel};
use function::read_function;
pub(crate) use leading::leading_items;
use members::read_members;

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
