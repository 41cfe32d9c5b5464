//! On a mistake: the message, and the user's item as it was.
use proc_macro2::TokenStream;
use quote::quote;

use crate::item::{Item, Kind};

/// One error and no cascade: whatever calls the function still finds it.
pub(crate) fn keep(error: &syn::Error, item: TokenStream) -> TokenStream {
    let message = error.to_compile_error();
    match Item::read(item.clone()).kind {
        Kind::Other { is_expression: true, .. } => quote! {{ #message #item }},
        // The item first, so that its first token stays the user's own.
        _ => quote! { #item #message },
    }
}
