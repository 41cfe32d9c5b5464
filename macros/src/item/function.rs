//! The parts of a function, found by the few tokens that part them.
use proc_macro2::{Delimiter, TokenTree};

use super::Function;
use crate::tokens::{Angles, peel};

/// `fn_at` is where `fn` is. The tokens come back if this is no function after all.
pub(super) fn read_function(mut tokens: Vec<TokenTree>, fn_at: usize) -> Result<Function, Vec<TokenTree>> {
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
pub(super) struct Parts {
    inputs: usize,
    /// From after `->` up to `where`, `;` or the body.
    output: Option<(usize, usize)>,
    /// The body, or the `;`.
    pub(super) end: usize,
}

pub(super) fn find_parts(tokens: &[TokenTree], fn_at: usize) -> Option<Parts> {
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
