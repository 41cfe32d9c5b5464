//! From arguments and item to tokens: pure, and as little as will do.
//!
//! A function becomes
//!
//! ```text
//! #[user's] pub fn f(..) -> T {                             // the user's own braces: with ours, temporaries of
//!     let _scope = ::profiled::__private::enter(SITE);      // the tail expression would live by our edition
//!     ..                                                    // the user's tokens
//! }
//! ```
//!
//! and an asynchronous one
//!
//! ```text
//! #[user's] pub async fn f(..) -> T {
//!     ::profiled::__private::Polled::new(SITE, async move {
//!         if false { let output: T = loop {}; return output; }
//!         ..
//!     }).await
//! }
//! ```
//!
//! where `SITE` is a block that holds the one static of the function and its entry in the registry, and has a
//! reference to it as its value. A function that returns the future of an `async` block, bare or in `Box::pin(..)`,
//! has just that block wrapped.
//!
//! Paths are absolute and locals hygienic (`mixed_site`); items are in a block of their own, because items have no
//! hygiene. The first token stays the user's: `dead_code` is silent about items that begin with a macro's token.
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;

use crate::args::{Args, Labels, METHOD, Method};
use crate::item::{self, Angles, Attribute, Function, Impl, Item, Kind, Member};

/// Writes an item that [`check`](crate::check) let through.
pub(crate) fn expand(mut args: Args, item: Item) -> TokenStream {
    let Item { mut attributes, kind } = item;
    match kind {
        Kind::Function(function) => {
            // An attribute of the user's own comes before the one that an annotated `impl` block appended, and
            // speaks for both.
            if args.method.is_none() {
                take_hidden(&mut attributes, &mut args);
            }
            let function = if args.skip.is_some() { plain(*function) } else { instrument(&args, *function) };
            quote! { #(#attributes)* #function }
        }
        Kind::Impl(block) => {
            let block = if args.skip.is_some() { plain_block(block) } else { annotate(&args, block) };
            quote! { #(#attributes)* #block }
        }
        // `check` refuses it.
        Kind::Other { .. } => TokenStream::new(),
    }
}

impl ToTokens for Attribute {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.pound.to_tokens(tokens);
        self.brackets.to_tokens(tokens);
    }
}

fn take_hidden(attributes: &mut Vec<Attribute>, args: &mut Args) {
    attributes.retain(|attribute| {
        let hidden = attribute.hidden_arguments().and_then(|tokens| syn::parse2::<Args>(tokens).ok());
        let Some(hidden) = hidden else { return true };
        args.krate = args.krate.take().or(hidden.krate);
        args.labels = args.labels.take().or(hidden.labels);
        args.trace = args.trace.take().or(hidden.trace);
        args.method = hidden.method;
        false
    });
}

fn plain(function: Function) -> TokenStream {
    let Function { signature, body, .. } = function;
    quote! { #(#signature)* #body }
}

fn plain_block(block: Impl) -> TokenStream {
    let Impl { header, braces, .. } = block;
    quote! { #(#header)* #braces }
}

/// Appends the attribute to each method instead of expanding it here: what else stands on the method, behind a
/// `cfg_attr` or under another name, has its turn first.
fn annotate(args: &Args, block: Impl) -> TokenStream {
    let Impl { header, braces, members } = block;
    let krate = args.krate_or_default();
    let prefix = &args.name;
    let path = args.krate.as_ref().map(|path| quote! { , crate = #path });
    let labels = args.labels.as_ref().map(|labels| quote! { , #labels });
    let trace = args.trace.as_ref().map(|trace| quote! { , trace = #trace });
    let (method, profiled) = (mixed(METHOD), mixed("profiled"));
    let members = members.into_iter().map(|member| {
        let Member { attributes, tokens, takes_attribute } = member;
        let hidden =
            takes_attribute.then(|| quote! { #[#krate::#profiled(#method(#prefix) #path #labels #trace)] });
        quote! { #(#attributes)* #hidden #(#tokens)* }
    });
    let members = within(&braces, quote! { #(#members)* });
    quote! { #(#header)* #members }
}

fn instrument(args: &Args, mut function: Function) -> TokenStream {
    if function.is_async {
        name_ignored_arguments(&mut function);
    }
    let Function { ref signature, body: Some(ref body), .. } = function else { return plain(function) };
    let private = args.private();
    let site = site(args, &function.name);
    let (inner_attributes, statements) = split(body);

    let content = if function.is_async {
        let inner = future(&function, &statements, body);
        // As the user's own: lints look at who wrote the block around what they have to say.
        let block = quote_spanned! { body.span() => async move };
        let polled = polled(args, &site, quote! { #block #inner });
        quote! { #polled.await }
    } else if let Some(tail) = Tail::of(&statements) {
        let (before, expression) = statements.split_at(tail.begin);
        wrap_tail(args, &site, before, expression, &tail)
    } else {
        let (enter, scope) = (mixed("enter"), mixed("_scope"));
        // Before the scope, so that they are in force when it ends, too.
        let labels = args.labels.as_ref().map(|labels| {
            let (set, labelled) = (set(&private, labels), mixed("_labels"));
            let name = mixed("set");
            quote! { #set let #labelled = #name.enter(); }
        });
        let (items, statements) = statements.split_at(item::leading_items(&statements));
        quote! {
            #(#items)*
            #labels
            let #scope = #private::#enter(#site);
            #(#statements)*
        }
    };
    let body = within(body, quote! { #(#inner_attributes)* #content });
    quote! { #(#signature)* #body }
}

/// The future as one that counts and times itself, and has its labels.
fn polled(args: &Args, site: &TokenStream, future: TokenStream) -> TokenStream {
    let private = args.private();
    let new = mixed("new");
    let polled = mixed("Polled");
    let polled = quote! { #private::#polled::#new(#site, #future) };
    let Some(labels) = &args.labels else { return polled };
    let (set, labelled, name) = (set(&private, labels), mixed("Labelled"), mixed("set"));
    // The set first: its values look at arguments that the future takes.
    quote! { #private::#labelled::#new({ #set #name }, #polled) }
}

/// Statements that make the set `set` of these labels.
fn set(private: &TokenStream, labels: &Labels) -> TokenStream {
    let (set, new) = (mixed("set"), mixed("Set"));
    let pairs = labels.pairs.iter().map(|(key, value)| {
        let span = value.first().map_or(key.span(), TokenTree::span);
        // An error about the value is to be at the value.
        let mut content = Group::new(Delimiter::Parenthesis, value.iter().cloned().collect());
        content.set_span(Span::mixed_site().located_at(span));
        let reference = quote_spanned! { Span::mixed_site().located_at(span) => & };
        quote! { #set.insert(#key, #reference #content); }
    });
    quote! {
        let mut #set = #private::#new::inherit();
        #(#pairs)*
    }
}

/// Gives a name to each argument whose whole pattern is `_`. Such an argument stays where it is, and would be dropped
/// after those that the `async move` block took with it.
fn name_ignored_arguments(function: &mut Function) {
    let mut arguments = split_at_commas(function.inputs.clone());
    let mut changed = false;
    for (n, argument) in arguments.iter_mut().enumerate() {
        let [TokenTree::Ident(underscore), TokenTree::Punct(colon), ..] = argument.as_mut_slice() else {
            continue;
        };
        if *underscore == "_" && colon.as_char() == ':' {
            let span = Span::mixed_site().located_at(underscore.span());
            *underscore = Ident::new(&format!("_argument_{n}"), span);
            changed = true;
        }
    }
    let at = function.inputs_at;
    if let (true, Some(TokenTree::Group(group))) = (changed, function.signature.get(at)) {
        function.inputs = quote! { #(#(#arguments)*),* };
        function.signature[at] = TokenTree::Group(within(group, function.inputs.clone()));
    }
}

/// A block with the function's one static, and the reference to it.
fn site(args: &Args, name: &Ident) -> TokenStream {
    let private = args.private();
    let word = name.unraw().to_string();
    let (start, register) = (mixed("__profiled_start"), mixed("register"));
    let made = match (&args.name, &args.method) {
        (Some(literal), _) => quote! { Literal(#literal) },
        (None, Some(Method { prefix: Some(prefix) })) => quote! { Prefixed(#prefix, #word) },
        // What tells the type of a method is known to the compiler alone: the path of an item in its body.
        (None, _) => quote! { path(::core::module_path!(), #word, #start) },
    };
    // The place of this call is the one that the site notes, which shall be the function's name and not ours.
    let here = quote_spanned! { name.span() => here() };
    quote! {{
        extern "C" fn #start() {
            #private::#register(&__PROFILED_SITE);
        }
        #private::#register! { __PROFILED_SITE, #start }
        static __PROFILED_SITE: #private::FunctionSite = #private::Name::#made.#here;
        &__PROFILED_SITE
    }}
}

/// The body of the `async move` that takes the place of an asynchronous function's body.
fn future(function: &Function, statements: &[TokenTree], braces: &Group) -> Group {
    let edge = dead_edge(&function.name, function.output.as_deref(), &mentions(function, statements));
    let (items, statements) = statements.split_at(item::leading_items(statements));
    within(braces, quote! { #(#items)* #edge #(#statements)* })
}

/// Code that never runs, for the compiler's eyes.
///
/// The type of an `async` block is inferred from its first `return`, while that of an `async fn` is declared: a
/// `return` of the declared type puts that right (`return None; Some(Box::new(x) as _)` and the like).
///
/// A block also drops what it captured in the order of first use, and a function its arguments in reverse: using
/// them here, in reverse, puts that right too.
fn dead_edge(name: &Ident, output: Option<&[TokenTree]>, mentions: &[Ident]) -> Option<TokenStream> {
    // Where a mismatch says that the type comes from.
    let place = output.and_then(|tokens| tokens.first()).map_or(name.span(), TokenTree::span);
    let place = Span::mixed_site().located_at(place);
    let output = match output {
        None => Some(quote! { () }),
        Some([TokenTree::Punct(bang)]) if bang.as_char() == '!' => None,
        Some(output) => Some(erase_impl(output)),
    };
    let value = Ident::new("output", place);
    let returns = output.map(|output| {
        quote_spanned! { place =>
            let #value: #output = loop {};
            return #value;
        }
    });
    let uses = (!mentions.is_empty()).then(|| quote! { let _ = (#(&#mentions,)*); });
    if returns.is_none() && uses.is_none() {
        return None;
    }
    Some(quote! {
        #[allow(unknown_lints, unreachable_code, clippy::all, clippy::pedantic, clippy::nursery)]
        if false {
            #uses
            #returns
        }
    })
}

/// The arguments' names in reverse: those that the body uses, and those that are unused on purpose. To name others
/// would silence the warning that they are unused.
fn mentions(function: &Function, statements: &[TokenTree]) -> Vec<Ident> {
    let mut words = Vec::new();
    collect_words(statements.iter().cloned().collect(), &mut words);
    let mut names: Vec<Ident> = Vec::new();
    for argument in split_at_commas(function.inputs.clone()) {
        bindings(&argument, &mut names);
    }
    names.reverse();
    names.retain(|name| {
        let name = name.to_string();
        name.starts_with('_') || words.contains(&name)
    });
    names
}

/// The identifiers in `tokens`, and those in the braces of its literals: `"{a}"` is a use of `a`.
fn collect_words(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => words.push(ident.to_string()),
            TokenTree::Group(group) => collect_words(group.stream(), words),
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let names = text.split('{').skip(1).map(|rest| {
                    rest.chars().take_while(|&c| c.is_alphanumeric() || c == '_').collect::<String>()
                });
                words.extend(names.filter(|name| !name.is_empty()));
            }
            TokenTree::Punct(_) => {}
        }
    }
}

fn split_at_commas(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = vec![Vec::new()];
    let mut angles = Angles::default();
    for token in tokens {
        angles.see(&token);
        match &token {
            TokenTree::Punct(comma) if comma.as_char() == ',' && angles.depth == 0 => parts.push(Vec::new()),
            _ => parts.last_mut().expect("it began with one").push(token),
        }
    }
    parts
}

/// The names that an argument's pattern binds. What is taken for one and is none (a constant, a unit struct) does
/// no harm where these are used: it can be mentioned as well.
fn bindings(argument: &[TokenTree], names: &mut Vec<Ident>) {
    // `#[cfg(..)]` may take the argument away, and its name with it.
    if matches!(argument.first(), Some(TokenTree::Punct(pound)) if pound.as_char() == '#') {
        return;
    }
    let is_colon = |at: usize| {
        let colon = |at: usize| matches!(argument.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        colon(at) && !colon(at + 1) && !(at > 0 && colon(at - 1))
    };
    let end = (0..argument.len()).find(|&at| is_colon(at)).unwrap_or(argument.len());
    pattern(&argument[..end], names);
}

fn pattern(tokens: &[TokenTree], names: &mut Vec<Ident>) {
    let punct = |at: usize, c: char| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == c);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => {
                let content: Vec<TokenTree> = group.stream().into_iter().collect();
                pattern(&content, names);
            }
            TokenTree::Ident(ident) => {
                let text = ident.to_string();
                let keyword = matches!(text.as_str(), "mut" | "ref" | "_" | "box");
                let lifetime = at > 0 && punct(at - 1, '\'');
                // `Path::`, `::Path`, `Struct {`, `Tuple(`, `field:`, `macro!`.
                let part = punct(at + 1, ':')
                    || punct(at + 1, '!')
                    || (at > 0 && punct(at - 1, ':') && at > 1 && punct(at - 2, ':'))
                    || matches!(tokens.get(at + 1), Some(TokenTree::Group(g)) if g.delimiter() != Delimiter::None);
                let named =
                    text.starts_with(|c: char| c.is_lowercase() || c == '_') || text.starts_with("r#");
                if !keyword && !lifetime && !part && named {
                    names.push(ident.clone());
                }
            }
            _ => {}
        }
    }
}

/// `impl Trait` as `_`: it may not stand in the type of a `let`, and there is only one type it can be. And lifetimes as
/// `'_`, for one that is named in the body is one that a lint takes for needed; but for those that a `for<..>` declares.
fn erase_impl(tokens: &[TokenTree]) -> TokenStream {
    let mut erased = TokenStream::new();
    let mut at = 0;
    let declares = has_word(tokens, "for");
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Punct(tick) if tick.as_char() == '\'' && !declares => {
                erased.extend([token.clone()]);
                if let Some(TokenTree::Ident(name)) = tokens.get(at) {
                    at += 1;
                    let kept = *name == "static" || *name == "_";
                    erased.extend([if kept { name.clone() } else { Ident::new("_", name.span()) }]);
                }
            }
            TokenTree::Ident(word) if word == "impl" => {
                erased.extend(quote! { _ });
                let mut angles = Angles::default();
                while let Some(token) = tokens.get(at) {
                    angles.see(token);
                    let ends = angles.depth < 0
                        || (angles.depth == 0
                            && matches!(token, TokenTree::Punct(p) if matches!(p.as_char(), ',' | ';' | '=')));
                    if ends {
                        break;
                    }
                    at += 1;
                }
            }
            TokenTree::Group(group) => {
                let content: Vec<TokenTree> = group.stream().into_iter().collect();
                let mut inner = Group::new(group.delimiter(), erase_impl(&content));
                inner.set_span(group.span());
                erased.extend([TokenTree::Group(inner)]);
            }
            token => erased.extend([token.clone()]),
        }
    }
    erased
}

fn has_word(tokens: &[TokenTree], word: &str) -> bool {
    tokens.iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == word,
        TokenTree::Group(group) => has_word(&group.stream().into_iter().collect::<Vec<_>>(), word),
        _ => false,
    })
}

/// A tail expression that is the function's future: `async move { .. }` or `Box::pin(async move { .. })`.
struct Tail {
    /// Where the expression begins.
    begin: usize,
    /// Inside of parentheses?
    is_boxed: bool,
}

impl Tail {
    fn of(statements: &[TokenTree]) -> Option<Tail> {
        let last = statements.len().checked_sub(1)?;
        let TokenTree::Group(group) = &statements[last] else { return None };
        let (begin, is_boxed) = match group.delimiter() {
            Delimiter::Brace => (async_block(statements)?, false),
            Delimiter::Parenthesis => {
                let mut content: Vec<TokenTree> = group.stream().into_iter().collect();
                content.pop_if(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','));
                (async_block(&content)? == 0).then_some(())?;
                (boxing_path(&statements[..last])?, true)
            }
            _ => return None,
        };
        // What comes before is whole statements, or this is the end of a longer expression.
        let is_whole = match begin.checked_sub(1).map(|at| &statements[at]) {
            None => true,
            Some(TokenTree::Punct(p)) => p.as_char() == ';',
            Some(TokenTree::Group(g)) => g.delimiter() == Delimiter::Brace,
            Some(_) => false,
        };
        is_whole.then_some(Tail { begin, is_boxed })
    }
}

/// Where the `async` block at the end begins.
fn async_block(tokens: &[TokenTree]) -> Option<usize> {
    let (last, rest) = tokens.split_last()?;
    matches!(last, TokenTree::Group(g) if g.delimiter() == Delimiter::Brace).then_some(())?;
    let word = |at: Option<usize>, word: &str| {
        at.and_then(|at| rest.get(at)).and_then(item::ident).is_some_and(|ident| ident == word)
    };
    let mut at = rest.len().checked_sub(1);
    if word(at, "move") {
        at = at?.checked_sub(1);
    }
    if word(at, "async") { at } else { None }
}

/// Where the path at the end begins, if it is `Box::pin`, however qualified.
fn boxing_path(tokens: &[TokenTree]) -> Option<usize> {
    let word = |at: usize, word: &str| item::ident(tokens.get(at)?).filter(|ident| ident == word);
    let colons = |at: usize| {
        let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
        colon(at) && colon(at + 1)
    };
    let mut begin = tokens.len().checked_sub(4)?;
    (word(begin, "Box").is_some() && colons(begin + 1) && word(begin + 3, "pin").is_some()).then_some(())?;
    while begin >= 2 && colons(begin - 2) {
        begin -= 2;
        if begin >= 1 && matches!(tokens[begin - 1], TokenTree::Ident(_)) {
            begin -= 1;
        } else {
            break;
        }
    }
    Some(begin)
}

/// The `async` block wrapped, where it stands. Its type is inferred as it was: unlike that of an `async fn` it is not
/// declared.
fn wrap_tail(
    args: &Args,
    site: &TokenStream,
    before: &[TokenTree],
    expression: &[TokenTree],
    tail: &Tail,
) -> TokenStream {
    match expression.split_last() {
        Some((TokenTree::Group(arguments), path)) if tail.is_boxed => {
            let arguments = within(arguments, polled(args, site, arguments.stream()));
            quote! { #(#before)* #(#path)* #arguments }
        }
        _ => {
            let polled = polled(args, site, quote! { #(#expression)* });
            quote! { #(#before)* #polled }
        }
    }
}

/// Inner attributes, which have to stay first, and the statements.
fn split(body: &Group) -> (Vec<TokenTree>, Vec<TokenTree>) {
    let mut statements: Vec<TokenTree> = body.stream().into_iter().collect();
    let mut attributes = Vec::new();
    while let Some(inner) = item::inner_attribute(&statements).map(<[TokenTree]>::len) {
        attributes.extend(statements.drain(..inner));
    }
    (attributes, statements)
}

/// Other content in the user's own delimiters.
fn within(delimiters: &Group, content: TokenStream) -> Group {
    let mut group = Group::new(delimiters.delimiter(), content);
    group.set_span(delimiters.span());
    group
}

/// An identifier of ours: as a local variable it is invisible to the user's code, and blind to it.
fn mixed(word: &str) -> Ident {
    Ident::new(word, Span::mixed_site())
}
