//! The items that a body begins with.
use proc_macro2::{Delimiter, TokenTree};

use super::read_attributes;
use crate::tokens::{Angles, ident};

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
