//! Which crate a source file belongs to.
//!
//! With `debug = "line-tables-only"` an inlined function is called by its last name alone: `push`, `{closure#0}`.
//! Its file is known, and the units of the debug info tell the root file of every crate that was linked, so that
//! the module's path can be put in front: `alloc::vec::push`.
use std::collections::BTreeMap;

/// The directories of crates' root files.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// By directory, with a slash at the end: the crate's name and its root file's.
    roots: BTreeMap<String, (String, String)>,
}

impl Sources {
    /// Takes a unit into account, called `src/lib.rs/@/shop.d16cc6db-cgu.0` and compiled in `directory`.
    ///
    /// Where the compiler works incrementally it names no crate there, and its directory's name stands in for it. Our own
    /// we know: whether a frame is ours must not depend on that.
    pub(super) fn add(&mut self, directory: &str, unit: &str) {
        let Some((file, code)) = unit.split_once("/@/") else { return };
        let named = code.split_once('.').map(|(name, _)| name);
        let Some(name) = named.or_else(|| is_our_root(file).then_some("profiled")) else { return };
        let file = if file.starts_with('/') { file.to_owned() } else { format!("{directory}/{file}") };
        let Some((root, file)) = file.rsplit_once('/') else { return };
        let fresh = (name.to_owned(), file.to_owned());
        // A library and a program may share a directory, hardly ever with two names; then the order must not tell.
        self.roots
            .entry(format!("{root}/"))
            .and_modify(|known| *known = fresh.clone().min(known.clone()))
            .or_insert(fresh);
    }

    /// The path of the module that `file` holds.
    pub(super) fn module(&self, file: &str) -> Option<String> {
        let mut end = file.rfind('/')?;
        // The nearest directory above that is a crate's root.
        let root = loop {
            let directory = &file[..=end];
            if let Some(root) = self.roots.get(directory) {
                break Some((root.0.as_str(), root.1.as_str(), &file[end + 1..]));
            }
            match file[..end].rfind('/') {
                Some(above) => end = above,
                None => break None,
            }
        };
        let (name, root, rest) = root.or_else(|| by_convention(file))?;
        let mut module = name.replace('-', "_");
        let segments = if rest == root { "" } else { rest.strip_suffix(".rs")? };
        let segments = segments.strip_suffix("/mod").unwrap_or(segments);
        for segment in segments.split('/').filter(|segment| !matches!(*segment, "" | "lib" | "main" | "mod"))
        {
            module.push_str("::");
            module.push_str(segment);
        }
        Some(module)
    }
}

/// Whether `file` is what this crate's root was called when it was compiled.
fn is_our_root(file: &str) -> bool {
    let source = file!().strip_suffix("symbol/sources.rs");
    source.is_some_and(|source| file.strip_prefix(source) == Some("lib.rs"))
}

/// Of `../tokio-1.40.0/src/sync/mutex.rs`, the crate's name, no root file, and what is below `src/`.
fn by_convention(file: &str) -> Option<(&str, &str, &str)> {
    let (above, rest) = file.rsplit_once("/src/")?;
    let directory = above.rsplit_once('/').map_or(above, |(_, last)| last);
    let version = directory.match_indices('-').map(|(at, _)| at).find(|at| {
        directory[at + 1..].starts_with(|first: char| first.is_ascii_digit())
            && directory[at + 1..].contains('.')
    });
    Some((&directory[..version.unwrap_or(directory.len())], "", rest))
}

/// Whether debug info gave only a function's last name.
pub(super) fn is_bare(name: &str) -> bool {
    let path = name.split('<').next().unwrap_or(name);
    !path.is_empty() && !path.contains("::") && !path.starts_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_found_by_their_files() {
        let mut sources = Sources::default();
        sources.add("/build", "shop/src/lib.rs/@/web_shop.d16cc6db-cgu.0");
        sources.add("/build", "shop/tests/orders.rs/@/orders.d16cc6db-cgu.0");
        sources.add("/rustc/5980", "library/alloc/src/lib.rs/@/alloc.bfb2-cgu.0");
        sources.add("/build", "/u/.cargo/registry/src/i/log-0.4.1/src/lib.rs/@/log.1-cgu.0");
        sources.add("/build", "main.c");
        // As an incremental compiler names them.
        sources.add("/ours", &format!("{}/@/0pjaf8wkxr36d", file!().replace("symbol/sources.rs", "lib.rs")));
        sources.add("/build", "depot/src/lib.rs/@/0pjaf8wkxr36d");
        let ours = format!("/ours/{}", file!());
        for (file, module) in [
            ("/build/shop/src/lib.rs", "web_shop"),
            ("/build/shop/src/cart.rs", "web_shop::cart"),
            ("/build/shop/src/cart/mod.rs", "web_shop::cart"),
            ("/build/shop/src/cart/item.rs", "web_shop::cart::item"),
            ("/build/shop/tests/orders.rs", "orders"),
            ("/build/shop/tests/common/mod.rs", "orders::common"),
            ("/rustc/5980/library/alloc/src/vec/mod.rs", "alloc::vec"),
            ("/u/.cargo/registry/src/i/log-0.4.1/src/macros.rs", "log::macros"),
            // No unit of theirs was linked: everything of them is inlined.
            ("/u/.cargo/registry/src/i/serde-json-1.0.2/src/de.rs", "serde_json::de"),
            ("/u/own-crate/src/main.rs", "own_crate"),
            ("/build/depot/src/stock.rs", "depot::stock"),
            (ours.as_str(), "profiled::symbol::sources"),
        ] {
            assert_eq!(sources.module(file).as_deref(), Some(module), "{file}");
        }
        for file in ["", "lib.rs", "/usr/include/stdio.h", "/build/shop/src/parser.lalrpop"] {
            assert_eq!(sources.module(file), None, "{file}");
        }
    }

    #[test]
    fn bare_names_are_known() {
        for name in ["push", "push<u8, alloc::alloc::Global>", "{closure#0}", "{impl#3}"] {
            assert!(is_bare(name), "{name}");
        }
        for name in ["", "a::b", "<a::B as c::D>::e", "__rust_alloc", "_ZN1a1bE"] {
            assert!(!is_bare(name), "{name}");
        }
    }
}
