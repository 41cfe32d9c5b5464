//! What is known of one module: where it lies, how to walk through it, and how to tell it from its namesake.
use std::borrow::Cow;
use std::sync::Arc;

use super::build::{Source, build};
use super::row::Rows;
use crate::module::{Module, Segment};
use crate::sys;
use crate::sys::modules::Loaded;

/// A module that is loaded, and what was made of it.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) identity: Identity,
    pub(super) module: Arc<Module>,
    pub(super) rows: Arc<Rows>,
}

/// What tells a module from another one that was mapped in the same place.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// The path, in the loader's own bytes; empty for the main program.
    pub(super) name: Vec<u8>,
    pub(super) bias: u64,
    /// Of the unwind information and the build id; 0 for modules of the start, which stay.
    pub(super) hash: u64,
}

/// A module that the loader shows and that is not known yet.
pub(super) struct New {
    pub(super) identity: Identity,
    pub(super) build_id: Vec<u8>,
    pub(super) text: Vec<Segment>,
    pub(super) source: Option<Source<'static>>,
}

impl New {
    pub(super) fn of_start(module: &Loaded<'static>) -> New {
        New { source: Source::find(module), ..New::without_source(module, 0) }
    }

    /// What is needed of a module that may be gone a moment later.
    pub(super) fn copied(module: &Loaded<'_>) -> New {
        let source = Source::find(module);
        let mut new = New::without_source(module, hash(module, source.as_ref()));
        new.source = source.map(|source| Source {
            eh_frame: Cow::Owned(source.eh_frame.into_owned()),
            address: source.address,
            main: source.main,
        });
        new
    }

    fn without_source(module: &Loaded<'_>, hash: u64) -> New {
        let name = module.name().to_bytes().to_vec();
        New {
            identity: Identity { name, bias: module.bias(), hash },
            build_id: module.build_id().unwrap_or_default().to_vec(),
            text: module.text().collect(),
            source: None,
        }
    }

    pub(super) fn finish(mut self, first_epoch: u32) -> Known {
        self.text.sort_by_key(|segment| segment.start);
        let span =
            self.text.first().map_or(0, |first| first.start)..self.text.last().map_or(0, |last| last.end);
        let rows = self.source.map(|source| build(&source, span)).unwrap_or_default();
        let module = Module {
            path: display_path(&self.identity, &self.text),
            build_id: self.build_id,
            bias: self.identity.bias,
            text: self.text,
            first_epoch,
            last_epoch: u32::MAX,
        };
        Known { identity: self.identity, module: Arc::new(module), rows: Arc::new(rows) }
    }
}

/// The known module that `module` is.
pub(super) fn recognise(module: &Loaded<'_>, known: &[Known], none_removed: bool) -> Option<Known> {
    let name = module.name().to_bytes();
    let mut alike = known.iter().filter(|known| known.identity.bias == module.bias());
    alike
        .find(|known| {
            let stays = none_removed || known.identity.hash == 0;
            let namesake = known.identity.name == name;
            // Of the start's modules none goes, but the place of a later one may be taken by its namesake.
            namesake && (stays || known.identity.hash == hash(module, Source::find(module).as_ref()))
        })
        .cloned()
}

/// Whether the two have an address in common.
pub(super) fn overlap(one: &[Segment], other: &[Segment]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.start < b.end && b.start < a.end))
}

/// The path to show: the loader has none for the main program, and a made-up one for the vdso.
fn display_path(identity: &Identity, text: &[Segment]) -> String {
    if sys::modules::is_vdso(text) {
        return "[vdso]".to_owned();
    }
    if !identity.name.is_empty() {
        return String::from_utf8_lossy(&identity.name).into_owned();
    }
    let path = std::fs::read_link("/proc/thread-self/exe").unwrap_or_default().to_string_lossy().into_owned();
    // The kernel says so when the file was replaced under the running program: the build id tells them apart.
    path.strip_suffix(" (deleted)").map(str::to_owned).unwrap_or(path)
}

/// FxHash of what a rebuilt library is bound to differ in; never 0.
fn hash(module: &Loaded<'_>, source: Option<&Source<'_>>) -> u64 {
    const SEED: u64 = 0x517c_c1b7_2722_0a95;
    let mut hash = SEED;
    for bytes in [module.build_id(), source.map(|source| &*source.eh_frame)].into_iter().flatten() {
        for word in bytes.chunks(8) {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            hash = (hash.rotate_left(5) ^ u64::from_ne_bytes(padded)).wrapping_mul(SEED);
        }
    }
    hash | 1
}
