//! What every room asks of tokens.
use proc_macro2::{Delimiter, TokenTree};

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
pub(crate) fn open_invisible(tokens: &mut Vec<TokenTree>, at: usize) -> bool {
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
