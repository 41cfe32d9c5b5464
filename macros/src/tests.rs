//! What an editor sees: it expands code while it is written, mistakes and all, and knows of a function what the
//! expansion still says of it.
use std::str::FromStr;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::attribute;

fn tokens(code: &str) -> TokenStream {
    TokenStream::from_str(code).unwrap()
}

/// Every token, delimiters included, in order.
fn flat(tokens: TokenStream) -> Vec<String> {
    let mut out = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                out.push(open.to_owned());
                out.extend(flat(group.stream()));
                out.push(close.to_owned());
            }
            token => out.push(token.to_string()),
        }
    }
    out
}

/// Whether the user's tokens are in the expansion, in their order.
fn keeps(expansion: TokenStream, item: TokenStream) -> bool {
    let mut expansion = flat(expansion).into_iter();
    flat(item).into_iter().all(|token| expansion.any(|other| other == token))
}

fn expand(args: &str, item: &str) -> TokenStream {
    attribute(tokens(args), tokens(item))
}

/// Functions in the middle of being written: their delimiters match, for an editor sees to that, and nothing else.
const UNFINISHED: &[&str] = &[
    "pub fn checkout(cart: &Cart) -> u32 { let total = cart. ; total + }",
    "pub fn checkout(cart: &Cart) -> u32 { cart.total( , ) }",
    "pub fn checkout(cart: &Cart) -> u32 { if cart.is_empty() { return } else }",
    "pub async fn checkout(cart: &Cart) -> Result<u32, > { let x = cart.wait().; x.await? }",
    "fn later(n: u32) -> impl Future<Output = u32> { let = n; async move { n. } }",
    "fn boxed() -> Pin<Box<dyn Future>> { Box::pin(async move { foo(.await) }) }",
    "fn broken(a: , b: u32) -> { match a { Some() => , } }",
    "fn generic<T: , const N>(t: T) where T: { t }",
    "fn items() { use std:: ; struct ; fn inner() { ; } impl { } x }",
    "impl Cart { fn total(&self) -> u32 { self. } fn other(&self) -> { } const fn c() { let } fn }",
    "impl Trait for { fn f() { let } }",
];

#[test]
fn a_syntax_error_in_the_body_leaves_the_function() {
    for item in UNFINISHED {
        let item = tokens(item);
        let expansion = attribute(TokenStream::new(), item.clone());
        assert!(!flat(expansion.clone()).contains(&"compile_error".to_owned()), "{item} became {expansion}");
        assert!(keeps(expansion.clone(), item.clone()), "{item} became {expansion}");
    }
    // And it is profiled all the same: the editor sees what the compiler will.
    let expansion =
        expand("", "pub fn checkout(cart: &Cart) -> u32 { let total = cart. ; total + }").to_string();
    assert!(expansion.starts_with("pub fn checkout") && expansion.contains("FunctionSite"), "{expansion}");
    let expansion = expand("", "async fn wait(&self) -> u32 { self. }").to_string();
    assert!(expansion.starts_with("async fn wait") && expansion.contains("Polled"), "{expansion}");
}

#[test]
fn unfinished_arguments_leave_the_function() {
    let item = "pub fn checkout(cart: &Cart) -> u32 { cart. }";
    for args in [
        "na",
        "name",
        "name =",
        "name = \"a\" sk",
        "labels(",
        "labels(user",
        "labels(user = ",
        "crate = ::",
        ",",
    ] {
        let args = TokenStream::from_str(args).unwrap_or_default();
        let expansion = attribute(args.clone(), tokens(item));
        assert!(keeps(expansion.clone(), tokens(item)), "{args} made of it {expansion}");
        // One error, and no other.
        let errors = flat(expansion).iter().filter(|token| *token == "compile_error").count();
        assert!(errors <= 1, "{args}");
    }
}

/// However far it is written, it is there.
#[test]
fn every_beginning_of_a_function_is_kept() {
    let whole = [
        "#[inline] pub(crate) unsafe extern \"C\" fn f<'a, T: Into<u32>>(a: &'a [T; 2], (b, _): (u8, u8)) -> Option<&'a T> \
         where T: Copy { use std::fmt; let x = a.first()?; Some(x) }",
        "async fn g(mut a: Vec<u32>, b: impl Fn() -> u32) -> Result<impl Iterator<Item = u32>, E> { a.push(b()); Ok(a) }",
        "pub unsafe impl<T> Trait<T> for Cart<T> where T: Copy { const N: u32 = 1; type A = T; fn f(&self) {} }",
    ];
    for item in whole {
        let all: Vec<TokenTree> = tokens(item).into_iter().collect();
        for end in 0..=all.len() {
            let beginning: TokenStream = all[..end].iter().cloned().collect();
            let expansion = attribute(TokenStream::new(), beginning.clone());
            assert!(keeps(expansion.clone(), beginning.clone()), "{beginning} became {expansion}");
        }
    }
}
