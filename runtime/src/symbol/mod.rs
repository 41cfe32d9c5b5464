//! Addresses to names: in this process, when a profile is written or a frame is asked for, on an ordinary thread.
//!
//! No hook ever comes here. Everything is behind one mutex, which is held for one address at a time: the files of
//! the modules that were met, opened when first needed and closed after ten idle seconds, and what was found in
//! them, kept until it is too much. An address that nothing is known of has no frames.
#[cfg(not(profiled_portable))]
mod awaited;
mod creator;
mod demangle;
#[cfg(not(profiled_portable))]
mod image;
#[cfg(profiled_portable)]
#[path = "in_process.rs"]
mod image;
mod resolve;
#[cfg(not(profiled_portable))]
mod sources;
mod wait;

use std::fmt;
use std::sync::Arc;

use crate::module::Module;
use crate::record::pseudo;
use crate::site;
use crate::snapshot::{Places, SampleRef, Snapshot};
use crate::store::Stack;

pub(crate) use resolve::{after_fork_in_child, drop_idle};

/// How much is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Level {
    /// Functions, inlined ones too, with file and line: from the debug info.
    #[default]
    Lines,
    /// Functions only: from the symbol table.
    Names,
    /// Addresses only.
    Raw,
}

/// A function in a stack, inlined ones each on their own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Frame {
    name: Arc<str>,
    system_name: Arc<str>,
    file: Option<Arc<str>>,
    line: u32,
    start_line: u32,
    address: u64,
    entry: u64,
}

impl Frame {
    /// The function as people write it: demangled, without hashes. A place that is no function has a name in
    /// brackets, such as `[truncated]`; an address that nothing is known of is its own name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The function as the linker knows it; empty when that is no different, or not known.
    pub fn system_name(&self) -> &str {
        &self.system_name
    }

    /// The file that the line is in.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// The line, from 1; 0 when it is not known.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The line where the function begins, from 1; 0 when it is not known.
    pub fn start_line(&self) -> u32 {
        self.start_line
    }

    /// The address it was looked up at. All functions inlined into one another there share it.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// How far into the function's code the address lies; of an inlined one, into the function around it.
    pub(crate) fn offset(&self) -> Option<u64> {
        if self.entry == 0 { None } else { self.address.checked_sub(self.entry) }
    }

    /// A frame that has a name and no code.
    fn named(name: &str, address: u64) -> Frame {
        Frame {
            name: name.into(),
            system_name: "".into(),
            file: None,
            line: 0,
            start_line: 0,
            address,
            entry: 0,
        }
    }

    /// One of the program's, for tests of what is made of frames.
    #[cfg(test)]
    pub(crate) fn test(name: &str, file: &str, lines: (u32, u32), address: u64, entry: u64) -> Frame {
        Frame {
            file: (!file.is_empty()).then(|| file.into()),
            line: lines.0,
            start_line: lines.1,
            entry,
            ..Frame::named(name, address)
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.file {
            Some(file) => write!(f, " ({file}:{})", self.line),
            None => Ok(()),
        }
    }
}

/// The names of one snapshot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    snapshot: &'a Snapshot,
    level: Level,
}

/// An address of a stack and what is shown of it.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) address: u64,
    /// Innermost first; empty when nothing is known.
    pub(crate) frames: Arc<[Frame]>,
    /// How many of `frames` are our own plumbing and left out.
    pub(crate) cut: usize,
}

impl Place {
    /// The frames that are shown.
    pub(crate) fn shown(&self) -> &[Frame] {
        &self.frames[self.cut..]
    }
}

impl<'a> Names<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, level: Level) -> Names<'a> {
        drop_idle();
        Names { snapshot, level }
    }

    /// What stands at `address`, innermost first. Empty when nothing is known.
    pub(crate) fn at(&self, address: u64, epoch: u32) -> Arc<[Frame]> {
        #[cfg(test)]
        if let Some(frames) = tests::fixed(address) {
            return frames;
        }
        if let Some(name) = pseudo::name(address) {
            return [Frame::named(name, address)].into();
        }
        if self.snapshot.meta.places == Places::Scopes {
            return match site::by_address(address) {
                Some((name, place)) => [Frame {
                    file: Some(place.file.into()),
                    line: place.line,
                    start_line: place.line,
                    ..Frame::named(name, address)
                }]
                .into(),
                None => [].into(),
            };
        }
        match self.module(address, epoch) {
            Some((index, module)) => {
                let elsewhere = self.snapshot.modules.elsewhere;
                // What only this process knows is no news of another one's, and a name alone proves nothing.
                if elsewhere && (module.build_id.is_empty() || !module.path.starts_with('/')) {
                    return [].into();
                }
                let main = index == 0 && !elsewhere;
                resolve::resolve(address, module, main, self.level)
            }
            None => [].into(),
        }
    }

    /// The module that `address` lies in, and its place in the map.
    pub(crate) fn module(&self, address: u64, epoch: u32) -> Option<(usize, &'a Arc<Module>)> {
        if self.snapshot.meta.places == Places::Scopes {
            return None;
        }
        let module = self.snapshot.modules.find(address, epoch)?;
        let index = self.snapshot.modules.modules.iter().position(|other| Arc::ptr_eq(other, module))?;
        Some((index, module))
    }

    /// Whether lines and inlined functions are looked up, too.
    pub(crate) fn lines(&self) -> bool {
        self.level == Level::Lines
    }

    /// Whether our own plumbing is to be left out at the leaf.
    pub(crate) fn cuts(&self) -> bool {
        !matches!(self.snapshot.meta.places, Places::Code | Places::Scopes)
    }

    /// How many of the innermost `frames` are to be left out: our own hooks, allocator plumbing, and the standard
    /// library's containers where those are noise.
    pub(crate) fn plumbing(&self, frames: &[Frame]) -> usize {
        let quietly = self.snapshot.meta.places == Places::HookedQuietly;
        let parked = self.snapshot.meta.places == Places::Parked;
        let starting = self.snapshot.meta.places == Places::Starting;
        let cut = |name: &str| {
            demangle::is_plumbing(name)
                || quietly && demangle::is_container(name)
                || parked && demangle::keeps_wakers(name)
                || starting && demangle::starts_threads(name)
        };
        frames.iter().take_while(|frame| cut(&frame.name)).count()
    }

    /// A whole stack, leaf first, our own plumbing left out.
    pub(crate) fn stack(&self, stack: Stack) -> Vec<Place> {
        let epoch = stack.epoch();
        let mut places: Vec<Place> = stack
            .addresses()
            .iter()
            .map(|&address| Place { address, frames: self.at(address, epoch), cut: 0 })
            .collect();
        if self.cuts() {
            let all = |frames: &[Frame]| !frames.is_empty() && self.plumbing(frames) == frames.len();
            let whole = places.iter().take_while(|place| all(&place.frames)).count();
            if whole < places.len() {
                places.drain(..whole);
                places[0].cut = self.plumbing(&places[0].frames);
            }
        }
        places
    }
}

impl<'a> SampleRef<'a> {
    /// The stack with its names, leaf first, functions inlined at one address innermost first.
    ///
    /// Names are looked up here and then remembered: the first call may take a while. Frames of this crate's own
    /// hooks are left out.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + use<'a> {
        let places = Names::new(self.snapshot, Level::Lines).stack(self.row.key.stack);
        places.into_iter().flat_map(|place| match place.shown() {
            [] => vec![Frame::named(&format!("{:#x}", place.address), place.address)],
            shown => shown.to_vec(),
        })
    }
}

/// The name of the function at `address` now, for `/debug/pprof/symbol`: the outermost one of those inlined there.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
pub(crate) fn name_of(address: u64) -> Option<String> {
    Some(outermost(address, Level::Names)?.name().to_owned())
}

/// Whether there is a line of source for `address`: what debug information is for.
#[cfg_attr(not(feature = "http"), expect(dead_code, reason = "only the server asks"))]
pub(crate) fn has_line(address: u64) -> bool {
    outermost(address, Level::Lines).is_some_and(|frame| frame.line() > 0)
}

/// The function that the code at `address` is of, as if nothing were inlined.
fn outermost(address: u64, level: Level) -> Option<Frame> {
    let modules = crate::stack::modules();
    let (index, module) = modules
        .modules
        .iter()
        .enumerate()
        .find(|(_, module)| module.last_epoch == u32::MAX && module.contains(address))?;
    resolve::resolve(address, module, index == 0, level).last().cloned()
}

#[cfg(all(test, not(profiled_portable)))]
mod image_tests;
#[cfg(test)]
pub(crate) mod tests;
