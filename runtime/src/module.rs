//! The files whose code is mapped into this process: plain values, made by `stack` and read by `symbol`.
//!
//! A module keeps the span of *epochs* it was loaded in. The epoch advances when a module goes away, and every
//! stack notes the epoch it was taken in, so that an address of an unloaded library is never given the name of
//! whatever was loaded in its place. The last 1024 modules that went away are remembered.
use std::sync::Arc;

/// A mapped stretch of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// First address, in this process.
    pub(crate) start: u64,
    /// One past the last address.
    pub(crate) end: u64,
    /// Where `start` lies in the file.
    pub(crate) offset: u64,
}

/// A program, a library, or the vdso.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// The file's path as the loader knows it; `[vdso]` for the kernel's. The file may have been replaced since: the
    /// build id tells.
    pub(crate) path: String,
    /// The GNU build id, empty when the file has none.
    pub(crate) build_id: Vec<u8>,
    /// Address in this process minus address in the file's own terms.
    pub(crate) bias: u64,
    /// The executable segments, in order of their addresses.
    pub(crate) text: Vec<Segment>,
    /// The first epoch whose stacks may hold its addresses: the one before it was seen, unless it took another's
    /// place.
    pub(crate) first_epoch: u32,
    /// The last epoch in which it was there; `u32::MAX` while it is loaded.
    pub(crate) last_epoch: u32,
}

impl Module {
    /// Whether `address` is code of this module.
    pub(crate) fn contains(&self, address: u64) -> bool {
        self.text.iter().any(|segment| (segment.start..segment.end).contains(&address))
    }
}

/// Every module of the process, gone ones included, the main program first.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModuleMap {
    pub(crate) modules: Vec<Arc<Module>>,
    /// They are another process's.
    pub(crate) elsewhere: bool,
}

impl ModuleMap {
    /// The module that held `address` in `epoch`.
    pub(crate) fn find(&self, address: u64, epoch: u32) -> Option<&Arc<Module>> {
        self.modules.iter().find(|module| {
            (module.first_epoch..=module.last_epoch).contains(&epoch) && module.contains(address)
        })
    }
}
