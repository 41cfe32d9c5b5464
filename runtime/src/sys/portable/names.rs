//! The names of this process's own code, as the `backtrace` crate finds them: where it can, with file and line.
use std::ffi::c_void;
use std::ptr;

/// What a function inlined at an address, or around it, goes by. Mangled, as the linker knows it.
#[derive(Debug, Default)]
pub(crate) struct Name {
    pub(crate) name: String,
    pub(crate) file: Option<String>,
    pub(crate) line: u32,
}

/// The functions at a lookup address, innermost first. Takes a lock, allocates, reads files. Ordinary code only.
pub(crate) fn at(address: u64) -> Vec<Name> {
    let mut names = Vec::new();
    // It takes return addresses, and subtracts the one that is off already.
    let return_address: *mut c_void = ptr::without_provenance_mut((address as usize).wrapping_add(1));
    backtrace::resolve(return_address, |symbol| {
        let name = symbol.name().map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        let file = symbol.filename().map(|file| file.to_string_lossy().into_owned());
        let line = symbol.lineno().unwrap_or(0);
        if name.is_some() || file.is_some() {
            names.push(Name { name: name.unwrap_or_default(), file, line });
        }
    });
    names
}

/// Closes the files that were opened for that.
pub(crate) fn forget() {
    backtrace::clear_symbol_cache();
}
