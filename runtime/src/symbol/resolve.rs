//! The files that are open and the addresses that are known, behind one mutex.
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::image::Image;
use super::{Frame, Level};
use crate::local;
use crate::module::Module;
use crate::store::arena::Placed;

/// Files are closed when nobody asked for so long.
const IDLE: Duration = Duration::from_secs(10);
/// About so much memory is spent on what was found. Beyond it names only, which are cheap to find again.
const MAX_BYTES: usize = 64 << 20;

/// What a file knows about an address: one function of it, inlined or not.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) name: String,
    /// The mangled name, or empty.
    pub(super) system_name: String,
    pub(super) file: Option<String>,
    pub(super) line: u32,
    pub(super) start_line: u32,
    /// Where the function's code begins; of an inlined one, where that of the function around it does. 0: unknown.
    pub(super) entry: u64,
}

/// What is remembered of a place, and where: an address means another thing once its module is gone.
type Key = (u64, u32, Level);

struct Symbolizer {
    known: HashMap<Key, Arc<[Frame]>>,
    strings: HashSet<Arc<str>>,
    /// An estimate of the memory in `known` and `strings`.
    bytes: usize,
    open: Vec<Open>,
    used: Instant,
    /// When there was no room for more.
    full: Option<Instant>,
}

struct Open {
    module: Arc<Module>,
    /// Opened with debug info.
    lines: bool,
    /// `None`: the file cannot be had, and need not be tried again soon.
    image: Option<Image>,
}

/// Held for as long as reading debug info takes, so it is none of `fork`'s locks: a forked child gets a new one.
static SYMBOLIZER: Placed<Mutex<Option<Symbolizer>>> = Placed::new();

/// `None` when not even a lock's worth of memory is left.
fn lock() -> Option<MutexGuard<'static, Option<Symbolizer>>> {
    let symbolizer = SYMBOLIZER.get_or_place(|| Mutex::new(None))?;
    Some(symbolizer.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Another thread of the parent's may have been at it. What that one had opened stays open, unused.
pub(crate) fn after_fork_in_child() {
    SYMBOLIZER.forget();
}

/// Closes the files if they have not been used for a while. Whoever comes by calls it; there is no thread for it.
pub(crate) fn drop_idle() {
    if let Some(mut symbolizer) = lock()
        && let Some(symbolizer) = &mut *symbolizer
    {
        symbolizer.rest();
    }
}

/// What `module`, the program itself if `main`, has at `address`.
pub(super) fn resolve(address: u64, module: &Arc<Module>, main: bool, level: Level) -> Arc<[Frame]> {
    if level == Level::Raw {
        return [].into();
    }
    // What is opened for this is ours, not the program's: its heap profile does not show it.
    local::with(|local| {
        local.aside(|| match lock() {
            Some(mut symbolizer) => {
                symbolizer.get_or_insert_with(Symbolizer::new).resolve(address, module, main, level)
            }
            None => [].into(),
        })
    })
}

impl Symbolizer {
    fn new() -> Symbolizer {
        Symbolizer {
            known: HashMap::new(),
            strings: HashSet::new(),
            bytes: 0,
            open: Vec::new(),
            used: Instant::now(),
            full: None,
        }
    }

    /// Lets go of what nobody uses.
    fn rest(&mut self) {
        if self.used.elapsed() >= IDLE {
            self.open = Vec::new();
        }
        // No room for a while: begin again rather than stay at names for ever.
        if self.full.is_some_and(|full| full.elapsed() >= IDLE) {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.known = HashMap::new();
        self.strings = HashSet::new();
        self.bytes = 0;
        self.full = None;
    }

    fn resolve(&mut self, address: u64, module: &Arc<Module>, main: bool, level: Level) -> Arc<[Frame]> {
        let key = (address, module.first_epoch, level);
        if let Some(frames) = self.known.get(&key) {
            return frames.clone();
        }
        let full = self.bytes >= MAX_BYTES;
        let lines = level == Level::Lines && !full;
        let lookup = address.wrapping_sub(module.bias);
        let found = match self.image(module, main, lines) {
            Some(image) if lines => image.lines(lookup),
            Some(image) => image.symbol(lookup).into_iter().collect(),
            None => Vec::new(),
        };
        self.used = Instant::now();
        if full {
            self.full.get_or_insert(self.used);
            return found
                .into_iter()
                .map(|line| frame(line, address, module.bias, |text| text.into()))
                .collect();
        }
        let frames: Arc<[Frame]> =
            found.into_iter().map(|line| frame(line, address, module.bias, |s| self.share(s))).collect();
        // The entry, the allocation's head, and the slack of a hash table.
        self.bytes += 2 * size_of::<(Key, Arc<[Frame]>)>() + 32 + size_of_val(&*frames);
        self.known.insert(key, frames.clone());
        frames
    }

    /// The opened file of `module`, if it can be had.
    fn image(&mut self, module: &Arc<Module>, main: bool, lines: bool) -> Option<&mut Image> {
        let place = self.open.iter().position(|open| *open.module == **module);
        let place = match place {
            Some(place) if self.open[place].lines || !lines => place,
            stale => {
                if let Some(stale) = stale {
                    self.open.swap_remove(stale);
                }
                let image = Image::open(module, main, lines);
                self.open.push(Open { module: module.clone(), lines, image });
                self.open.len() - 1
            }
        };
        self.open[place].image.as_mut()
    }

    /// The one copy of a string.
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(shared) = self.strings.get(text) {
            return shared.clone();
        }
        let shared: Arc<str> = text.into();
        self.bytes += text.len() + 64;
        self.strings.insert(shared.clone());
        shared
    }
}

fn frame(line: Line, address: u64, bias: u64, mut share: impl FnMut(&str) -> Arc<str>) -> Frame {
    Frame {
        name: share(&line.name),
        system_name: share(&line.system_name),
        file: line.file.as_deref().map(&mut share),
        line: line.line,
        start_line: line.start_line,
        address,
        entry: if line.entry == 0 { 0 } else { line.entry.wrapping_add(bias) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::tests::{module_map, take};

    #[test]
    fn memory_is_bounded_and_files_are_closed() {
        let (map, stack) = (module_map(), take());
        let find = |symbolizer: &mut Symbolizer, address| {
            symbolizer.resolve(address, &map.modules[0], true, Level::Lines)
        };
        let mut symbolizer = Symbolizer::new();
        let lines = find(&mut symbolizer, stack[0]);
        assert!(lines[0].line > 0);
        assert!(symbolizer.bytes > 0 && symbolizer.bytes < 10_000, "{}", symbolizer.bytes);
        assert_eq!(symbolizer.open.len(), 1);

        symbolizer.bytes = MAX_BYTES;
        let names = find(&mut symbolizer, stack[0] - 1);
        assert_eq!(names[0].line, 0, "names only, beyond the bound");
        assert_eq!(names[0].name, lines.last().unwrap().name);
        assert_eq!(find(&mut symbolizer, stack[0]), lines, "what is known stays");
        assert_eq!((symbolizer.known.len(), symbolizer.open.len()), (1, 1));

        symbolizer.rest();
        assert_eq!(symbolizer.open.len(), 1, "not idle yet");
        let Some(past) = Instant::now().checked_sub(IDLE) else { return };
        (symbolizer.used, symbolizer.full) = (past, Some(past));
        symbolizer.rest();
        assert!(symbolizer.open.is_empty() && symbolizer.known.is_empty());
        assert!(find(&mut symbolizer, stack[0] - 1)[0].line > 0, "and begins again");
    }
}
