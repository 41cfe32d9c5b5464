//! From arguments and item to tokens: pure, and as little as will do.
//!
//! A function becomes
//!
//! ```text
//! #[user's] pub fn f(..) -> T {                             // the user's own braces: with ours, temporaries of
//!     let _scope = ::profiled::__private::enter(SITE);      // the tail expression would live by our edition
//!     ..                                                    // the user's tokens
//! }
//! ```
//!
//! and an asynchronous one
//!
//! ```text
//! #[user's] pub async fn f(..) -> T {
//!     ::profiled::__private::Polled::new(SITE, async move {
//!         if false { return ::profiled::__private::never::<T>(); }
//!         ..
//!     }).await
//! }
//! ```
//!
//! where `SITE` is a block that holds the one static of the function and its entry in the registry, and has a
//! reference to it as its value. A function that returns the future of an `async` block, bare or in `Box::pin(..)`,
//! has just that block wrapped.
//!
//! Paths are absolute and locals hygienic (`mixed_site`); items are in a block of their own, because items have no
//! hygiene. The first token stays the user's: `dead_code` is silent about items that begin with a macro's token.
mod arguments;
mod future;
mod tail;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt;

use crate::args::{Args, Labels, METHOD, Method};
use crate::item::{Attribute, Function, Impl, Item, Kind, Member, leading_items};
use crate::tokens::inner_attribute;
use future::{future, name_ignored_arguments};
use tail::Tail;

/// Writes an item that [`check`](crate::check) let through.
pub(crate) fn expand(mut args: Args, item: Item) -> TokenStream {
    let Item { mut attributes, kind } = item;
    match kind {
        Kind::Function(function) => {
            // An attribute of the user's own comes before the one that an annotated `impl` block appended, and
            // speaks for both.
            if args.method.is_none() {
                take_hidden(&mut attributes, &mut args);
            }
            let function = if args.skip.is_some() { plain(*function) } else { instrument(&args, *function) };
            quote! { #(#attributes)* #function }
        }
        Kind::Impl(block) => {
            let block = if args.skip.is_some() { plain_block(block) } else { annotate(&args, block) };
            quote! { #(#attributes)* #block }
        }
        // `check` refuses it.
        Kind::Other { .. } => TokenStream::new(),
    }
}

impl ToTokens for Attribute {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.pound.to_tokens(tokens);
        self.brackets.to_tokens(tokens);
    }
}

fn take_hidden(attributes: &mut Vec<Attribute>, args: &mut Args) {
    attributes.retain(|attribute| {
        let hidden = attribute.hidden_arguments().and_then(|tokens| syn::parse2::<Args>(tokens).ok());
        let Some(hidden) = hidden else { return true };
        args.krate = args.krate.take().or(hidden.krate);
        args.labels = args.labels.take().or(hidden.labels);
        args.trace = args.trace.take().or(hidden.trace);
        args.method = hidden.method;
        false
    });
}

fn plain(function: Function) -> TokenStream {
    let Function { signature, body, .. } = function;
    quote! { #(#signature)* #body }
}

fn plain_block(block: Impl) -> TokenStream {
    let Impl { header, braces, .. } = block;
    quote! { #(#header)* #braces }
}

/// Appends the attribute to each method instead of expanding it here: what else stands on the method, behind a
/// `cfg_attr` or under another name, has its turn first.
fn annotate(args: &Args, block: Impl) -> TokenStream {
    let Impl { header, braces, members } = block;
    let krate = args.krate_or_default();
    let prefix = &args.name;
    let path = args.krate.as_ref().map(|path| quote! { , crate = #path });
    let labels = args.labels.as_ref().map(|labels| quote! { , #labels });
    let trace = args.trace.as_ref().map(|trace| quote! { , trace = #trace });
    let (method, profiled) = (mixed(METHOD), mixed("profiled"));
    let members = members.into_iter().map(|member| {
        let Member { attributes, tokens, takes_attribute } = member;
        let hidden =
            takes_attribute.then(|| quote! { #[#krate::#profiled(#method(#prefix) #path #labels #trace)] });
        quote! { #(#attributes)* #hidden #(#tokens)* }
    });
    let members = within(&braces, quote! { #(#members)* });
    quote! { #(#header)* #members }
}

fn instrument(args: &Args, mut function: Function) -> TokenStream {
    if function.is_async {
        name_ignored_arguments(&mut function);
    }
    let Function { ref signature, body: Some(ref body), .. } = function else { return plain(function) };
    let private = args.private();
    let site = site(args, &function.name);
    let (inner_attributes, statements) = split(body);

    let content = if function.is_async {
        let inner = future(args, &function, &statements, body);
        // As the user's own: lints look at who wrote the block around what they have to say.
        let block = quote_spanned! { body.span() => async move };
        let polled = polled(args, &site, quote! { #block #inner });
        quote! { #polled.await }
    } else if let Some(tail) = Tail::of(&statements) {
        let (before, expression) = statements.split_at(tail.begin);
        wrap_tail(args, &site, before, expression, &tail)
    } else {
        let (enter, scope) = (mixed("enter"), mixed("_scope"));
        // Before the scope, so that they are in force when it ends, too.
        let labels = args.labels.as_ref().map(|labels| {
            let (set, labelled) = (set(&private, labels), mixed("_labels"));
            let name = mixed("set");
            quote! { #set let #labelled = #name.enter(); }
        });
        let (items, statements) = statements.split_at(leading_items(&statements));
        quote! {
            #(#items)*
            #labels
            let #scope = #private::#enter(#site);
            #(#statements)*
        }
    };
    let body = within(body, quote! { #(#inner_attributes)* #content });
    quote! { #(#signature)* #body }
}

/// The future as one that counts and times itself, and has its labels.
fn polled(args: &Args, site: &TokenStream, future: TokenStream) -> TokenStream {
    let private = args.private();
    let new = mixed("new");
    let polled = mixed("Polled");
    let polled = quote! { #private::#polled::#new(#site, #future) };
    let Some(labels) = &args.labels else { return polled };
    let (set, labelled, name) = (set(&private, labels), mixed("Labelled"), mixed("set"));
    // The set first: its values look at arguments that the future takes.
    quote! { #private::#labelled::#new({ #set #name }, #polled) }
}

/// Statements that make the set `set` of these labels.
fn set(private: &TokenStream, labels: &Labels) -> TokenStream {
    let (set, new) = (mixed("set"), mixed("Set"));
    let pairs = labels.pairs.iter().map(|(key, value)| {
        let span = value.first().map_or(key.span(), TokenTree::span);
        // An error about the value is to be at the value.
        let mut content = Group::new(Delimiter::Parenthesis, value.iter().cloned().collect());
        content.set_span(Span::mixed_site().located_at(span));
        let reference = quote_spanned! { Span::mixed_site().located_at(span) => & };
        quote! { #set.insert(#key, #reference #content); }
    });
    quote! {
        let mut #set = #private::#new::inherit();
        #(#pairs)*
    }
}

/// A block with the function's one static, and the reference to it.
fn site(args: &Args, name: &Ident) -> TokenStream {
    let private = args.private();
    let word = name.unraw().to_string();
    let (start, register) = (mixed("__profiled_start"), mixed("register"));
    let made = match (&args.name, &args.method) {
        (Some(literal), _) => quote! { Literal(#literal) },
        (None, Some(Method { prefix: Some(prefix) })) => quote! { Prefixed(#prefix, #word) },
        // What tells the type of a method is known to the compiler alone: the path of an item in its body.
        (None, _) => quote! { path(::core::module_path!(), #word, #start) },
    };
    // The place of this call is the one that the site notes, which shall be the function's name and not ours.
    let here = quote_spanned! { name.span() => here() };
    let untraced = args.trace.as_ref().filter(|trace| !trace.value).map(|_| quote! { .untraced() });
    quote! {{
        extern "C" fn #start() {
            #private::#register(&__PROFILED_SITE);
        }
        #private::#register! { __PROFILED_SITE, #start }
        static __PROFILED_SITE: #private::FunctionSite = #private::Name::#made.#here #untraced;
        &__PROFILED_SITE
    }}
}

/// The `async` block wrapped, where it stands. Its type is inferred as it was: unlike that of an `async fn` it is not
/// declared.
fn wrap_tail(
    args: &Args,
    site: &TokenStream,
    before: &[TokenTree],
    expression: &[TokenTree],
    tail: &Tail,
) -> TokenStream {
    match expression.split_last() {
        Some((TokenTree::Group(arguments), path)) if tail.is_boxed => {
            let arguments = within(arguments, polled(args, site, arguments.stream()));
            quote! { #(#before)* #(#path)* #arguments }
        }
        _ => {
            let polled = polled(args, site, quote! { #(#expression)* });
            quote! { #(#before)* #polled }
        }
    }
}

/// Inner attributes, which have to stay first, and the statements.
fn split(body: &Group) -> (Vec<TokenTree>, Vec<TokenTree>) {
    let mut statements: Vec<TokenTree> = body.stream().into_iter().collect();
    let mut attributes = Vec::new();
    while let Some(inner) = inner_attribute(&statements).map(<[TokenTree]>::len) {
        attributes.extend(statements.drain(..inner));
    }
    (attributes, statements)
}

/// Other content in the user's own delimiters.
fn within(delimiters: &Group, content: TokenStream) -> Group {
    let mut group = Group::new(delimiters.delimiter(), content);
    group.set_span(delimiters.span());
    group
}

/// An identifier of ours: as a local variable it is invisible to the user's code, and blind to it.
fn mixed(word: &str) -> Ident {
    Ident::new(word, Span::mixed_site())
}
