//! The body of an asynchronous function as an `async` block that differs in nothing.
use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};

use super::arguments::{bindings, split_at_commas};
use super::within;
use crate::args::Args;
use crate::item::{Function, leading_items};
use crate::tokens::Angles;

/// Gives a name to each argument whose whole pattern is `_`. Such an argument stays where it is, and would be dropped
/// after those that the `async move` block took with it.
pub(super) fn name_ignored_arguments(function: &mut Function) {
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

/// The body of the `async move` that takes the place of an asynchronous function's body.
pub(super) fn future(args: &Args, function: &Function, statements: &[TokenTree], braces: &Group) -> Group {
    let edge = dead_edge(args, &function.name, function.output.as_deref(), &mentions(function, statements));
    let (items, statements) = statements.split_at(leading_items(statements));
    within(braces, quote! { #(#items)* #edge #(#statements)* })
}

/// Code that never runs, for the compiler's eyes.
///
/// The type of an `async` block is inferred from its first `return`, while that of an `async fn` is declared: a
/// `return` of the declared type puts that right (`return None; Some(Box::new(x) as _)` and the like).
///
/// A block also drops what it captured in the order of first use, and a function its arguments in reverse: using
/// them here, in reverse, puts that right too.
fn dead_edge(
    args: &Args,
    name: &Ident,
    output: Option<&[TokenTree]>,
    mentions: &[Ident],
) -> Option<TokenStream> {
    // Where a mismatch says that the type comes from.
    let place = output.and_then(|tokens| tokens.first()).map_or(name.span(), TokenTree::span);
    let place = Span::mixed_site().located_at(place);
    let output = match output {
        None => Some(quote! { () }),
        Some([TokenTree::Punct(bang)]) if bang.as_char() == '!' => None,
        Some(output) => Some(erase_impl(output)),
    };
    let (private, never) = (args.private_at(place), Ident::new("never", place));
    let returns = output.map(|output| {
        // Shorter, and cheaper for the compiler, than a variable of this type.
        quote_spanned! { place => return #private::#never::<#output>(); }
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
