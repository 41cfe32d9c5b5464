//! What is in an `impl` block.
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::function::find_parts;
use super::{Member, read_attributes};
use crate::tokens::{ident, inner_attribute, open_invisible};

pub(super) fn read_members(tokens: TokenStream) -> Vec<Member> {
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
