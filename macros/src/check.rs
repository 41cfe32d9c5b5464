//! What we refuse, and the sentence we refuse it with.
use syn::{Error, Result};

use crate::args::Args;
use crate::item::{Item, Kind};

/// An error at the token that is in the way, or nothing.
pub(crate) fn refuse(args: &Args, item: &Item) -> Result<()> {
    if args.skip.is_some() && !matches!(item.kind, Kind::Other { .. }) {
        return Ok(());
    }
    match &item.kind {
        Kind::Impl(_) => Ok(()),
        Kind::Function(function) => {
            if let Some(token) = &function.constness {
                return Err(Error::new(
                    token.span(),
                    "`#[profiled]` cannot be on a `const fn`, which may run while compiling: remove one of the two \
                     (in an annotated `impl` block a `const fn` is left alone)",
                ));
            }
            if function.body.is_none() {
                return Err(Error::new(
                    function.name.span(),
                    "`#[profiled]` needs a body: put it on the implementation, or on a method with a default body",
                ));
            }
            if let Some(attribute) = item.attributes.iter().find(|attribute| attribute.is_naked()) {
                return Err(Error::new(
                    attribute.span(),
                    "`#[profiled]` cannot be on a naked function, which has room for nothing but its assembly",
                ));
            }
            Ok(())
        }
        Kind::Other { what, span, .. } => Err(Error::new(
            *span,
            format!("`#[profiled]` goes on a function, a method or a whole `impl` block, not on {what}"),
        )),
    }
}
