//! On a mistake: the message, and the user's item as it was.
use proc_macro2::TokenStream;

/// One error and no cascade: whatever calls the function still finds it.
pub(crate) fn keep(error: &syn::Error, item: TokenStream) -> TokenStream {
    // The item first, so that its first token stays the user's own.
    let mut tokens = item;
    tokens.extend(error.to_compile_error());
    tokens
}
