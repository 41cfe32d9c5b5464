//! Symbols as people read them, and which of them are our own plumbing.

/// The name for people, without hashes, and the mangled one: empty when the two are the same.
pub(super) fn demangle(raw: &str) -> (String, String) {
    match rustc_demangle::try_demangle(raw) {
        Ok(name) => (format!("{name:#}"), raw.to_owned()),
        Err(_) => (raw.to_owned(), String::new()),
    }
}

/// Whether `demangle` made something of it.
#[cfg_attr(profiled_portable, expect(dead_code, reason = "only whoever reads files himself asks"))]
pub(super) fn is_mangled(raw: &str) -> bool {
    rustc_demangle::try_demangle(raw).is_ok()
}

/// Whether a function is one of our hooks, or of what lies between the program and an allocator.
///
/// Only whole path segments count: `profiled_shop::cart` is somebody else's.
pub(super) fn is_plumbing(name: &str) -> bool {
    const GLUE: [&str; 2] = ["core::ptr::drop_in_place::<", "core::ptr::drop_in_place<"];
    const ALLOCATION: [&str; 4] = ["__rust_", "__rdl_", "__rg_", "__rustc::"];
    if ALLOCATION.iter().any(|prefix| name.starts_with(prefix)) || name == "__rustc" {
        return true;
    }
    let glue = GLUE.iter().find_map(|prefix| name.strip_prefix(prefix));
    if is_ours(glue.unwrap_or(name)) {
        return true;
    }
    // What the standard library does on our behalf: reach our thread-local, drop our guard.
    const ERRANDS: [&str; 2] = ["std::thread::local::", "core::mem::drop"];
    let errand = ERRANDS.iter().any(|prefix| subject(name).starts_with(prefix));
    if errand && name.contains("<profiled::") {
        return true;
    }
    let path = subject(name);
    glue.is_none() && (path.starts_with("alloc::alloc::"))
}

/// Whether a function is of how a waker is cloned and kept: of those who wait, what matters is for whom.
pub(super) fn keeps_wakers(name: &str) -> bool {
    const CAUGHT: [&str; 3] = ["__rust_try", "std::panic", "core::panic::"];
    let path = subject(name);
    let caught = CAUGHT.iter().any(|part| name.starts_with(part) || path.starts_with(part));
    caught || ["core::task::wake::", "AtomicWaker", "WakerRef"].iter().any(|part| name.contains(part))
}

/// Whether a function is of the standard library's containers, or of what they are made from: how a vector grows says
/// little about who grows it.
pub(super) fn is_container(name: &str) -> bool {
    const LIBRARY: [&str; 4] = ["alloc::", "core::", "hashbrown::", "std::collections::"];
    let library = |path: &str| LIBRARY.iter().any(|library| path.starts_with(library));
    // `<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem`; but a type of the program's own is its own.
    let built_in = |kind: &str| !kind.split(" as ").next().unwrap_or(kind).contains("::");
    library(subject(name)) || as_trait(name).is_some_and(|path| library(path) && built_in(name))
}

/// Whether a function is what threads are started with.
pub(super) fn starts_threads(name: &str) -> bool {
    const STARTING: [&str; 3] = ["std::thread::", "std::sys::thread::", "std::sys::pal::unix::thread::"];
    name == "pthread_create" || STARTING.iter().any(|path| subject(name).starts_with(path))
}

/// Of `<T as Trait>::f` and `<T>::f` the type, of `a::b` itself; references are looked through.
fn subject(name: &str) -> &str {
    name.trim_start_matches(['<', '&']).trim_start_matches("mut ").trim_start_matches("dyn ")
}

fn is_ours(name: &str) -> bool {
    let ours = subject(name).strip_prefix("profiled::");
    // Our own tests stand in for the program.
    if let Some(path) = ours {
        return !path.contains("tests::");
    }
    // `<std::sync::Mutex<T> as profiled::..::Lock>::lock`: an implementation of ours for a type of another's.
    name.starts_with('<') && as_trait(name).is_some_and(|path| path.starts_with("profiled::"))
}

/// The trait in `<T as Trait>::f`, past any such pair nested in `T`.
fn as_trait(name: &str) -> Option<&str> {
    let mut depth = 0_u32;
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'<' => depth += 1,
            // Not the arrow of `fn() -> T`.
            b'>' if at > 0 && name.as_bytes()[at - 1] != b'-' => depth = depth.checked_sub(1)?,
            b' ' if depth == 1 && name[at..].starts_with(" as ") => return Some(&name[at + 4..]),
            _ => {}
        }
        if depth == 0 {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_the_librarys() {
        for name in [
            "alloc::raw_vec::RawVec<shop::Cart>::grow_one",
            "<alloc::vec::Vec<u8> as core::clone::Clone>::clone",
            "<u8 as alloc::vec::spec_from_elem::SpecFromElem>::from_elem",
            "hashbrown::raw::RawTable<(u32, shop::Cart)>::reserve_rehash",
            "std::collections::hash::map::HashMap<u32, u32>::insert",
        ] {
            assert!(is_container(name), "{name}");
        }
        for name in
            ["shop::alloc::vec", "<shop::Cart as core::clone::Clone>::clone", "std::fs::read", "[libc.so.6]"]
        {
            assert!(!is_container(name), "{name}");
        }
    }

    #[test]
    fn plumbing_is_ours_and_the_allocators() {
        for name in [
            "profiled::hook::alloc::sample",
            "<profiled::hook::lock::Release as core::ops::drop::Drop>::drop",
            "<profiled::alloc::Allocator<std::alloc::System> as core::alloc::global::GlobalAlloc>::alloc",
            "<std::sync::poison::mutex::Mutex<T> as profiled::hook::lock::Lock>::lock",
            "core::ptr::drop_in_place::<profiled::sync::MutexGuard<u32>>",
            "core::ptr::drop_in_place<profiled::sync::MutexGuard<u32>>",
            "__rust_alloc",
            "__rustc::__rust_alloc",
            "__rdl_alloc",
            "__rg_realloc",
            "std::thread::local::with<profiled::local::Local, profiled::hook::alloc::allocated::{closure_env#0}, ()>",
            "<std::thread::local::LocalKey<profiled::local::Local>>::try_with::<(), F>",
            "core::mem::drop<profiled::hook::lock::MutexGuard<u32>>",
            "alloc::alloc::exchange_malloc",
            "alloc::alloc::alloc",
            "<alloc::alloc::Global as core::alloc::Allocator>::allocate",
            "<alloc::alloc::Global>::alloc_impl",
        ] {
            assert!(is_plumbing(name), "{name}");
        }
    }

    #[test]
    fn the_users_own_is_not() {
        for name in [
            "profiled_shop::cart",
            "<profiled_shop::Cart as core::ops::drop::Drop>::drop",
            "shop::profiled::f",
            "shop::f::<profiled::Tracked>",
            "<shop::Cart as core::convert::From<profiled::Tracked>>::from",
            "<alloc::vec::Vec<T>>::push",
            "<std::thread::local::LocalKey<shop::Cart>>::with::<(), F>",
            "alloc::raw_vec::RawVecInner<A>::finish_grow",
            "alloc::allocate",
            "core::ptr::drop_in_place::<alloc::alloc::Global>",
            "core::ptr::drop_in_place::<shop::Cart>",
            "profiled::symbol::tests::somewhere",
            "__rustdoc_main",
            "malloc",
            "",
        ] {
            assert!(!is_plumbing(name), "{name}");
        }
    }

    #[test]
    fn names_lose_their_hashes() {
        let (name, system_name) = demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE");
        assert_eq!(name, "core::fmt::Write::write_fmt");
        assert_eq!(system_name, "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE");
        assert_eq!(demangle("malloc"), ("malloc".to_owned(), String::new()));
        assert_eq!(demangle("_RNvCs1234_7mycrate3foo").0, "mycrate::foo");
    }
}
