//! What functions are called, worked out from what the compiler says of them.
use super::{FunctionSite, Name};

impl FunctionSite {
    /// The name of its profile, before clashes are settled.
    ///
    /// | where the function stands | name |
    /// |---|---|
    /// | in a module | `shop::cart::checkout` |
    /// | in `impl Cart`, `impl<T> Cart<T>` | `shop::cart::Cart::checkout` |
    /// | in `impl Cart<u32>` | `shop::cart::Cart<u32>::checkout` |
    /// | in `impl Drop for Cart` | `shop::cart::<Cart as Drop>::drop` |
    /// | in `impl<T> From<T> for Cart` | `shop::cart::<Cart as From>::from` |
    /// | in `trait Store`, with a default body | `shop::cart::Store::get` |
    /// | in another function or a closure | `shop::cart::checkout::inner` |
    ///
    /// The module is the one that the code stands in, wherever its types are from; types and traits go by their
    /// last word, and generic arguments are shown where they are not parameters.
    pub(crate) fn name(&self) -> String {
        match self.name {
            Name::Literal(name) => name.to_owned(),
            Name::Prefixed(prefix, function) => format!("{prefix}::{function}"),
            Name::Path { module, function, item } => {
                let module = module.replace("r#", "");
                path_of(&module, function, item()).unwrap_or_else(|| format!("{module}::{function}"))
            }
        }
    }
}

/// The name of `function` in `module`, from the path of an item in its body as the compiler prints it. What it
/// prints is not promised: `None` if it is not what we know.
fn path_of(module: &str, function: &str, item: &str) -> Option<String> {
    let mut parts = components(item);
    parts.pop()?;
    // `{{closure}}`, `{{constant}}`, `{impl#0}`: places, not names.
    parts.retain(|part| !part.starts_with('{'));
    if parts.last().copied() != Some(function) {
        return None;
    }
    // `<Type as Trait>::f` has no module; everything else begins with the one where the code stands. A module in a
    // function has that function in its path here, but not in `module_path!()`.
    let mut rest = parts.as_slice();
    if !rest.first()?.starts_with('<') {
        for (n, word) in components(module).into_iter().enumerate() {
            let at = rest.iter().position(|part| *part == word)?;
            if n == 0 && at > 0 {
                return None;
            }
            rest = &rest[at + 1..];
        }
    }
    if rest.is_empty() {
        return None;
    }
    let mut name = module.to_owned();
    for part in rest {
        name.push_str("::");
        name.push_str(&shown(part));
    }
    Some(name)
}

/// Splits at each `::` that is in no brackets.
fn components(path: &str) -> Vec<&str> {
    let bytes = path.as_bytes();
    let mut parts = Vec::new();
    let (mut depth, mut from, mut at) = (0_usize, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The `>` of `->` closes nothing.
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 && bytes.get(at + 1) == Some(&b':') => {
                parts.push(&path[from..at]);
                at += 1;
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(&path[from..]);
    parts
}

/// One component as people write it.
fn shown(part: &str) -> String {
    // An `impl` in another module than its type: `<impl Type>`, `<impl Trait for Type>`.
    let Some(inner) = part.strip_prefix("<impl ").and_then(|rest| rest.strip_suffix('>')) else {
        return short(part);
    };
    match split_at_word(inner, " for ") {
        Some((of, ty)) => format!("<{} as {}>", short(ty), short(of)),
        None => {
            let ty = short(inner);
            let is_path = ty.starts_with(|c: char| c.is_alphabetic() || c == '_') && !ty.starts_with("dyn ");
            if is_path { ty } else { format!("<{ty}>") }
        }
    }
}

/// Splits at the first `word` that is in no brackets: `for<'a> fn(&'a u8)` and `Fn(impl X for Y)` have one too.
fn split_at_word<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let bytes = text.as_bytes();
    let mut depth = 0_usize;
    for at in 0..bytes.len() {
        match bytes[at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ if depth == 0 && bytes[at..].starts_with(word.as_bytes()) => {
                return Some((&text[..at], &text[at + word.len()..]));
            }
            _ => {}
        }
    }
    None
}

/// Every path in `text` by its last word, and without generic arguments that are all parameters (`_`).
pub(super) fn short(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word_from = 0;
    let mut characters = text.char_indices().peekable();
    while let Some((_, c)) = characters.next() {
        match c {
            ':' if characters.peek().is_some_and(|&(_, next)| next == ':') => {
                characters.next();
                // `<T as Trait>::Item` keeps what is before.
                if out.len() > word_from {
                    out.truncate(word_from);
                } else {
                    out.push_str("::");
                    word_from = out.len();
                }
            }
            c => {
                out.push(c);
                if !(c.is_alphanumeric() || c == '_' || c == '#') {
                    word_from = out.len();
                }
                if c == '>' {
                    drop_parameters(&mut out);
                    word_from = out.len();
                }
            }
        }
    }
    out
}

/// Takes a closing `<_, _>` off the end.
fn drop_parameters(out: &mut String) {
    let Some(open) = out.rfind('<') else { return };
    let arguments = &out[open + 1..out.len() - 1];
    let names_a_type = out[..open].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    if names_a_type && arguments.split(',').all(|argument| argument.trim() == "_") {
        out.truncate(open);
    }
}

#[cfg(test)]
#[expect(clippy::new_ret_no_self, reason = "names are what is under test")]
mod tests {
    use super::*;
    use crate::site::Place;

    #[test]
    fn types_are_named_without_their_paths() {
        let kind = std::any::type_name::<std::sync::Mutex<Vec<Option<u8>>>>();
        assert_eq!(short(kind), "Mutex<Vec<Option<u8>>>");
    }

    #[track_caller]
    fn check(module: &str, item: &str, name: &str) {
        let function =
            components(item).into_iter().rev().filter(|part| !part.starts_with('{')).nth(1).unwrap();
        assert_eq!(path_of(module, function, item).as_deref(), Some(name));
    }

    #[test]
    fn a_function_goes_by_its_path() {
        check("shop::cart", "shop::cart::checkout::Here", "shop::cart::checkout");
        check("shop", "shop::checkout::Here", "shop::checkout");
        check("shop", "shop::checkout::{{closure}}::Here", "shop::checkout");
        check("shop", "shop::checkout::{{closure}}::inner::Here", "shop::checkout::inner");
        check("shop", "shop::C::{{constant}}::inner::Here", "shop::C::inner");
    }

    #[test]
    fn a_method_has_its_type() {
        check("shop::cart", "shop::cart::Cart::new::Here", "shop::cart::Cart::new");
        check("shop::cart", "shop::cart::Basket::new::Here", "shop::cart::Basket::new");
        check("shop", "shop::Cart<_>::get::Here", "shop::Cart::get");
        check("shop", "shop::Cart<_, _>::get::Here", "shop::Cart::get");
        check("shop", "shop::Cart<u32>::get::Here", "shop::Cart<u32>::get");
        check("shop", "shop::Cart<alloc::vec::Vec<_>>::get::Here", "shop::Cart<Vec>::get");
        check("shop", "shop::Cart<[u8; N]>::get::Here", "shop::Cart<[u8; N]>::get");
        check("shop", "shop::Cart<fn(u8) -> a::B>::get::Here", "shop::Cart<fn(u8) -> B>::get");
        check("shop", "<dyn shop::Store>::get::Here", "shop::<dyn Store>::get");
    }

    #[test]
    fn an_impl_elsewhere_has_the_module_where_it_stands() {
        check("shop::deep", "shop::deep::<impl shop::Cart>::new::Here", "shop::deep::Cart::new");
        check("shop::deep", "shop::deep::<impl shop::Cart<_>>::new::Here", "shop::deep::Cart::new");
        check("shop::deep", "shop::deep::<impl [u8]>::new::Here", "shop::deep::<[u8]>::new");
        check("shop::deep", "shop::deep::<impl dyn a::Store>::new::Here", "shop::deep::<dyn Store>::new");
        check(
            "shop::deep",
            "shop::deep::<impl shop::Store for u8>::get::Here",
            "shop::deep::<u8 as Store>::get",
        );
        check(
            "shop::deep",
            "shop::deep::<impl a::From<for<'a> fn(&'a u8)> for b::C>::from::Here",
            "shop::deep::<C as From<for<'a> fn(&'a u8)>>::from",
        );
    }

    #[test]
    fn a_method_of_a_trait_has_type_and_trait() {
        check("shop", "<shop::Cart as core::ops::Drop>::drop::Here", "shop::<Cart as Drop>::drop");
        check("shop", "<shop::Cart<_> as core::convert::From<_>>::from::Here", "shop::<Cart as From>::from");
        check(
            "shop",
            "<shop::Cart as core::convert::From<u8>>::from::Here",
            "shop::<Cart as From<u8>>::from",
        );
        check("shop", "<&shop::Cart as shop::Tr>::f::{{closure}}::Here", "shop::<&Cart as Tr>::f");
        check("shop", "<[_; 3] as shop::Tr>::f::Here", "shop::<[_; 3] as Tr>::f");
        check("shop", "<(u32, fn(u8) -> u8) as a::Tr>::f::Here", "shop::<(u32, fn(u8) -> u8) as Tr>::f");
        check("shop", "<dyn core::any::Any as a::Tr>::f::Here", "shop::<dyn Any as Tr>::f");
        check("shop", "<a::B as c::Tr>::f::inner::Here", "shop::<B as Tr>::f::inner");
        check("shop", "shop::Store::get::Here", "shop::Store::get");
    }

    #[test]
    fn what_is_not_understood_falls_back() {
        assert_eq!(path_of("shop", "f", "shop::g::Here"), None);
        assert_eq!(path_of("shop", "f", "f"), None);
        assert_eq!(path_of("shop", "f", ""), None);
        assert_eq!(path_of("shop", "f", "store::f::Here"), None);
        let site = FunctionSite::new(
            Name::Path { module: "shop::r#type", function: "f", item: || "something else" },
            "src/lib.rs",
            1,
            1,
        );
        assert_eq!(site.name(), "shop::type::f");
    }

    #[test]
    fn the_compiler_prints_what_we_know() {
        struct Cart<T>(T);
        struct Basket;
        trait Store {
            fn get(&self) -> String;
        }
        macro_rules! here {
            ($function:literal) => {{
                enum Here {}
                let item = std::any::type_name::<Here>;
                FunctionSite::new(Name::Path { module: module_path!(), function: $function, item }, "", 0, 0)
                    .name()
            }};
        }
        impl<T> Cart<T> {
            fn new() -> String {
                here!("new")
            }
        }
        impl Basket {
            fn new() -> String {
                here!("new")
            }
        }
        impl<T> Store for Cart<T> {
            fn get(&self) -> String {
                _ = &self.0;
                here!("get")
            }
        }
        mod other {
            use super::*;
            impl Place {
                pub(super) fn away() -> String {
                    here!("away")
                }
            }
        }
        let this = "profiled::site::name::tests::the_compiler_prints_what_we_know";
        assert_eq!(Cart::<u8>::new(), format!("{this}::Cart::new"));
        assert_eq!(Basket::new(), format!("{this}::Basket::new"));
        assert_eq!(Cart(1).get(), "profiled::site::name::tests::<Cart as Store>::get");
        assert_eq!(Place::away(), "profiled::site::name::tests::other::Place::away");
    }

    #[test]
    fn literals_and_prefixes_are_taken_as_they_are() {
        assert_eq!(FunctionSite::new(Name::Literal("check out"), "", 0, 0).name(), "check out");
        assert_eq!(FunctionSite::new(Name::Prefixed("cart", "add"), "", 0, 0).name(), "cart::add");
    }
}
