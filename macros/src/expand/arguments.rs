//! A function's arguments, and the names that their patterns bind.
use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};

use crate::tokens::Angles;

pub(super) fn split_at_commas(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
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
pub(super) fn bindings(argument: &[TokenTree], names: &mut Vec<Ident>) {
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
