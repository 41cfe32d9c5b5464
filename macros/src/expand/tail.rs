//! A function that ends with the `async` block whose future it returns.
use proc_macro2::{Delimiter, TokenTree};

use crate::tokens;

/// A tail expression that is the function's future: `async move { .. }` or `Box::pin(async move { .. })`.
pub(super) struct Tail {
    /// Where the expression begins.
    pub(super) begin: usize,
    /// Inside of parentheses?
    pub(super) is_boxed: bool,
}

impl Tail {
    pub(super) fn of(statements: &[TokenTree]) -> Option<Tail> {
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
        at.and_then(|at| rest.get(at)).and_then(tokens::ident).is_some_and(|ident| ident == word)
    };
    let mut at = rest.len().checked_sub(1);
    if word(at, "move") {
        at = at?.checked_sub(1);
    }
    if word(at, "async") { at } else { None }
}

/// Where the path at the end begins, if it is `Box::pin`, however qualified.
fn boxing_path(tokens: &[TokenTree]) -> Option<usize> {
    let word = |at: usize, word: &str| tokens::ident(tokens.get(at)?).filter(|ident| ident == word);
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
