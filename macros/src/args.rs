//! What stands in the parentheses of `#[profiled(..)]`.
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitStr, Path, Token};

/// The arguments, each at most once.
#[derive(Default)]
pub(crate) struct Args {
    /// `name = ".."`: the profile's name; on an `impl` block what comes before `::function`.
    pub(crate) name: Option<LitStr>,
    /// `skip`: leave this one alone.
    pub(crate) skip: Option<Span>,
    /// `crate = path`: where `profiled` is, if not at `::profiled`.
    pub(crate) krate: Option<Path>,
    /// Set on the attribute that an annotated `impl` block appends to each of its methods.
    pub(crate) method: Option<Method>,
}

/// What an annotated `impl` block tells its methods.
pub(crate) struct Method {
    /// The block's `name`.
    pub(crate) prefix: Option<LitStr>,
}

/// The hidden argument, which users are not told of.
pub(crate) const METHOD: &str = "__method";

const ALLOWED: &str = "`#[profiled]` takes `name = \"..\"`, `skip` and `crate = path`";

impl Args {
    /// The module that the expansion names its parts in.
    pub(crate) fn private(&self) -> TokenStream {
        // `mixed_site`: a local variable or a macro of the user's cannot stand in for it.
        let krate = self.krate_or_default();
        quote! { #krate::__private }
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
                METHOD => args.method.is_some(),
                _ => {
                    let message = format!("unknown argument `{word}`: {ALLOWED}");
                    return Err(syn::Error::new(key.span(), message));
                }
            };
            if repeated {
                return Err(syn::Error::new(key.span(), format!("`{word}` is given twice")));
            }
            match word.as_str() {
                "name" => args.name = Some(name(input, &key)?),
                "skip" => {
                    if let Some(value) = input.cursor().token_tree().map(|(token, _)| token)
                        && !input.peek(Token![,])
                    {
                        return Err(syn::Error::new(value.span(), "`skip` stands alone: it takes no value"));
                    }
                    args.skip = Some(key.span());
                }
                "crate" => args.krate = Some(krate(input, &key)?),
                _ => {
                    let content;
                    syn::parenthesized!(content in input);
                    args.method = Some(Method { prefix: content.parse()? });
                }
            }
            if !input.is_empty() && !input.peek(Token![,]) {
                return Err(input.error("expected `,`"));
            }
            input.parse::<Option<Token![,]>>()?;
        }
        if let (Some(skip), Some(_)) = (args.skip, &args.name) {
            let message = "`skip` leaves the function alone, so that there is nothing to name";
            return Err(syn::Error::new(skip, message));
        }
        Ok(args)
    }
}

fn name(input: ParseStream<'_>, key: &Ident) -> syn::Result<LitStr> {
    const EXPECTED: &str = "`name` takes a string literal: `name = \"checkout\"`";
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(key.span(), EXPECTED));
    }
    input.parse::<Token![=]>()?;
    let name: LitStr = match input.parse() {
        Ok(name) => name,
        Err(_) if input.is_empty() => return Err(syn::Error::new(key.span(), EXPECTED)),
        Err(error) => return Err(syn::Error::new(error.span(), EXPECTED)),
    };
    if name.value().is_empty() {
        return Err(syn::Error::new(name.span(), "a profile's name cannot be empty"));
    }
    if !name.suffix().is_empty() {
        return Err(syn::Error::new(name.span(), EXPECTED));
    }
    Ok(name)
}

fn krate(input: ParseStream<'_>, key: &Ident) -> syn::Result<Path> {
    const EXPECTED: &str = "`crate` takes the path of the crate `profiled`: `crate = my::reexport`";
    if !input.peek(Token![=]) {
        return Err(syn::Error::new(key.span(), EXPECTED));
    }
    input.parse::<Token![=]>()?;
    match input.call(Path::parse_mod_style) {
        Ok(path) => Ok(path),
        Err(_) if input.is_empty() => Err(syn::Error::new(key.span(), EXPECTED)),
        Err(error) => Err(syn::Error::new(error.span(), EXPECTED)),
    }
}
