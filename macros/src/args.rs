//! What stands in the parentheses of `#[profiled(..)]`.
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitBool, LitStr, Path, Token, token};

/// The arguments, each at most once.
#[derive(Default)]
pub(crate) struct Args {
    /// `name = ".."`: the profile's name; on an `impl` block what comes before `::function`.
    pub(crate) name: Option<LitStr>,
    /// `skip`: leave this one alone.
    pub(crate) skip: Option<Span>,
    /// `crate = path`: where `profiled` is, if not at `::profiled`.
    pub(crate) krate: Option<Path>,
    /// `labels(key = expr, ..)`: what each call's samples carry.
    pub(crate) labels: Option<Labels>,
    /// `trace = false`: not in the timeline. Then the site says so.
    pub(crate) trace: Option<LitBool>,
    /// Set on the attribute that an annotated `impl` block appends to each of its methods.
    pub(crate) method: Option<Method>,
}

/// What an annotated `impl` block tells its methods.
pub(crate) struct Method {
    /// The block's `name`.
    pub(crate) prefix: Option<LitStr>,
}

/// `labels(key = expr, ..)`.
pub(crate) struct Labels {
    word: Ident,
    pub(crate) pairs: Vec<(LitStr, Vec<TokenTree>)>,
}

/// The hidden argument, which users are not told of.
pub(crate) const METHOD: &str = "__method";

const ALLOWED: &str = "`#[profiled]` takes `name = \"..\"`, `skip`, `labels(key = expr, ..)`, `crate = path` and \
                       `trace = false`";

impl Args {
    /// The module that the expansion names its parts in.
    pub(crate) fn private(&self) -> TokenStream {
        // `mixed_site`: a local variable or a macro of the user's cannot stand in for it.
        let krate = self.krate_or_default();
        quote! { #krate::__private }
    }

    /// The same, as if it stood there. A path of the user's stays where it is: an error about it is to be one.
    pub(crate) fn private_at(&self, place: Span) -> TokenStream {
        let moved = |mut token: TokenTree| {
            token.set_span(token.span().located_at(place));
            token
        };
        let private = self.private();
        if self.krate.is_some() { private } else { private.into_iter().map(moved).collect() }
    }

    /// The path of `profiled`.
    pub(crate) fn krate_or_default(&self) -> TokenStream {
        match &self.krate {
            Some(path) => quote! { #path },
            None => {
                let name = Ident::new("profiled", Span::mixed_site());
                quote! { ::#name }
            }
        }
    }
}

impl ToTokens for Labels {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let word = &self.word;
        let pairs = self.pairs.iter().map(|(key, value)| quote! { #key = #(#value)* });
        tokens.extend(quote! { #word(#(#pairs),*) });
    }
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Args> {
        let mut args = Args::default();
        while !input.is_empty() {
            if !input.peek(syn::Ident::peek_any) {
                return Err(input.error(format!("expected an argument: {ALLOWED}")));
            }
            let key = Ident::parse_any(input)?;
            let word = key.to_string();
            let repeated = match word.as_str() {
                "name" => args.name.is_some(),
                "skip" => args.skip.is_some(),
                "crate" => args.krate.is_some(),
                "labels" => args.labels.is_some(),
                "trace" => args.trace.is_some(),
                METHOD if input.peek(token::Paren) => args.method.is_some(),
                _ => {
                    let message = format!("unknown argument `{word}`: {ALLOWED}");
                    return Err(syn::Error::new(key.span(), message));
                }
            };
            if repeated {
                return Err(syn::Error::new(
                    key.span(),
                    format!("`{word}` is given twice: {ALLOWED}, each once"),
                ));
            }
            match word.as_str() {
                "name" => args.name = Some(name(input, &key)?),
                "skip" => {
                    if let Some(value) = input.cursor().token_tree().map(|(token, _)| token)
                        && !input.peek(Token![,])
                    {
                        return Err(wrong(value.span(), "`skip` stands alone: it takes no value"));
                    }
                    args.skip = Some(key.span());
                }
                "crate" => args.krate = Some(krate(input, &key)?),
                "labels" => args.labels = Some(labels(input, key)?),
                "trace" => args.trace = Some(trace(input, &key)?),
                _ => {
                    let content;
                    syn::parenthesized!(content in input);
                    args.method = Some(Method { prefix: content.parse()? });
                }
            }
            if !input.is_empty() && !input.peek(Token![,]) {
                return Err(wrong(input.span(), "expected `,`"));
            }
            input.parse::<Option<Token![,]>>()?;
        }
        let other = [
            args.name.as_ref().map(|_| "name"),
            args.labels.as_ref().map(|_| "label"),
            args.trace.as_ref().map(|_| "leave out of the timeline"),
        ];
        if let (Some(skip), Some(what)) = (args.skip, other.into_iter().flatten().next()) {
            let message = format!("`skip` leaves the function alone, so that there is nothing to {what}");
            return Err(syn::Error::new(skip, message));
        }
        Ok(args)
    }
}

/// An argument that is none: what this one takes, and what there is.
fn wrong(span: Span, expected: &str) -> syn::Error {
    syn::Error::new(span, format!("{expected}\n{ALLOWED}"))
}

/// The value after `key =`.
fn value<T>(
    input: ParseStream<'_>,
    key: &Ident,
    expected: &str,
    parse: impl FnOnce(ParseStream<'_>) -> syn::Result<T>,
) -> syn::Result<T> {
    if !input.peek(Token![=]) {
        return Err(wrong(key.span(), expected));
    }
    input.parse::<Token![=]>()?;
    if input.is_empty() || input.peek(Token![,]) {
        return Err(wrong(key.span(), expected));
    }
    // The span of the token itself: a parser that looks further ahead would say where it gave up.
    let span = input.span();
    parse(input).map_err(|_| wrong(span, expected))
}

fn name(input: ParseStream<'_>, key: &Ident) -> syn::Result<LitStr> {
    const EXPECTED: &str = "`name` takes a string literal: `name = \"checkout\"`";
    let name = value(input, key, EXPECTED, |input| input.parse::<LitStr>())?;
    if name.value().is_empty() {
        return Err(syn::Error::new(name.span(), "a profile's name cannot be empty"));
    }
    if !name.suffix().is_empty() {
        return Err(wrong(name.span(), EXPECTED));
    }
    Ok(name)
}

fn krate(input: ParseStream<'_>, key: &Ident) -> syn::Result<Path> {
    const EXPECTED: &str = "`crate` takes the path of the crate `profiled`: `crate = my::reexport`";
    let path = value(input, key, EXPECTED, |input| input.call(Path::parse_mod_style))?;
    if input.peek(Token![::]) {
        return Err(wrong(input.span(), EXPECTED));
    }
    Ok(path)
}

fn trace(input: ParseStream<'_>, key: &Ident) -> syn::Result<LitBool> {
    value(input, key, "`trace` takes `true`, which it is, or `false`", |input| input.parse())
}

fn labels(input: ParseStream<'_>, word: Ident) -> syn::Result<Labels> {
    const EXPECTED: &str =
        "`labels` takes pairs in parentheses: `labels(user = user.id, \"the route\" = path)`";
    if !input.peek(token::Paren) {
        return Err(wrong(word.span(), EXPECTED));
    }
    let content;
    syn::parenthesized!(content in input);
    if content.is_empty() {
        return Err(wrong(word.span(), EXPECTED));
    }
    let mut pairs: Vec<(LitStr, Vec<TokenTree>)> = Vec::new();
    while !content.is_empty() {
        let key = if content.peek(LitStr) {
            content.parse::<LitStr>()?
        } else if content.peek(Ident::peek_any) {
            let key = Ident::parse_any(&content)?;
            LitStr::new(&key.unraw().to_string(), key.span())
        } else {
            return Err(wrong(content.span(), EXPECTED));
        };
        if key.value().is_empty() {
            return Err(syn::Error::new(key.span(), "a label's key cannot be empty"));
        }
        if pairs.iter().any(|(earlier, _)| earlier.value() == key.value()) {
            let message = format!("the label `{}` is given twice", key.value());
            return Err(syn::Error::new(key.span(), message));
        }
        if !content.peek(Token![=]) || content.peek(Token![==]) || content.peek(Token![=>]) {
            return Err(wrong(if content.is_empty() { key.span() } else { content.span() }, EXPECTED));
        }
        content.parse::<Token![=]>()?;
        let mut value = Vec::new();
        while !content.is_empty() && !content.peek(Token![,]) {
            // `a::<B, C>()` has its commas inside: only an expression parser knows which `<` opens what. After `::`
            // it does.
            if value.is_empty() && content.peek(Token![<]) {
                generic_arguments(&content, &mut value)?;
                continue;
            }
            let turbofish = content.peek(Token![::]) && content.peek3(Token![<]);
            value.push(content.parse::<TokenTree>()?);
            if turbofish {
                value.push(content.parse()?);
                generic_arguments(&content, &mut value)?;
            }
        }
        if value.is_empty() {
            return Err(wrong(key.span(), EXPECTED));
        }
        pairs.push((key, value));
        content.parse::<Option<Token![,]>>()?;
    }
    Ok(Labels { word, pairs })
}

/// From `<` to its `>`.
fn generic_arguments(content: ParseStream<'_>, into: &mut Vec<TokenTree>) -> syn::Result<()> {
    let mut angles = crate::tokens::Angles::default();
    while !content.is_empty() {
        let token = content.parse::<TokenTree>()?;
        angles.see(&token);
        into.push(token);
        if angles.depth <= 0 {
            break;
        }
    }
    Ok(())
}
