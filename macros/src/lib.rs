//! The attribute of the crate `profiled`; use it from there.
//!
//! The compiler calls this once for every `#[profiled]`: `args` and `item` read, `check` refuses, `expand`
//! writes, `fallback` keeps the user's item when there is something to complain about. Nothing here knows
//! what a profile is: the expansion is one static, its entry in the registry and one guard (or one wrapped
//! future), and all that they do is in `profiled::__private`.
//!
//! Without the feature `enabled` the input tokens are returned as they came, arguments unread.
#![forbid(unsafe_code)]

#[cfg(feature = "enabled")]
mod args;
#[cfg(feature = "enabled")]
mod check;
#[cfg(feature = "enabled")]
mod expand;
#[cfg(feature = "enabled")]
mod fallback;
#[cfg(feature = "enabled")]
mod item;
#[cfg(feature = "enabled")]
mod tokens;

use proc_macro::TokenStream;

#[cfg(feature = "enabled")]
#[proc_macro_attribute]
#[doc(hidden)] // documented where `profiled` re-exports it, with examples that run
pub fn profiled(args: TokenStream, item: TokenStream) -> TokenStream {
    attribute(args.into(), item.into()).into()
}

#[cfg(not(feature = "enabled"))]
#[proc_macro_attribute]
#[doc(hidden)]
pub fn profiled(_args: TokenStream, item: TokenStream) -> TokenStream {
    item
}

#[cfg(feature = "enabled")]
fn attribute(args: proc_macro2::TokenStream, item: proc_macro2::TokenStream) -> proc_macro2::TokenStream {
    match expanded(args, item.clone()) {
        Ok(expansion) => expansion,
        Err(error) => fallback::keep(&error, item),
    }
}

#[cfg(feature = "enabled")]
fn expanded(
    args: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> syn::Result<proc_macro2::TokenStream> {
    let args: args::Args = syn::parse2(args)?;
    let item = item::Item::read(item);
    check::refuse(&args, &item)?;
    Ok(expand::expand(args, item))
}

#[cfg(all(test, feature = "enabled"))]
mod tests;
