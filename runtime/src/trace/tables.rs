#![expect(unsafe_code, reason = "names and sites by the addresses that threads noted")]
//! What the numbers in events stand for: the hub's, and the same ones for all sessions.
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr;

use super::event::{Frame, StackId, StringId, Tables};
use super::raw;
use crate::site::{self, FunctionSite};
use crate::snapshot::{Meta, Places, Snapshot};
use crate::stack;
use crate::store::Stack;
use crate::symbol::{Level, Names};

/// What a message has for the moment that its event is handled.
const PASSING: StringId = u32::MAX;

/// Frames of a stack at the most: what readers take.
const MAX_FRAMES: usize = 128;

/// A hash of a word or two, for keys that nobody chooses.
#[derive(Default)]
pub(super) struct Words(u64);

impl Hasher for Words {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Words>>;

/// A frame as it is kept: numbers of [`Known::strings`].
#[derive(Clone, Copy)]
struct Row {
    id: u32,
    address: u64,
    function: StringId,
    file: StringId,
    line: u32,
}

pub(super) struct Known {
    strings: Vec<Box<str>>,
    by_text: HashMap<Box<str>, StringId>,
    by_place: Map<(usize, usize), StringId>,
    by_site: Map<usize, StringId>,
    locks: Map<u32, StringId>,
    stacks: Vec<Stack>,
    by_stack: Map<usize, StackId>,
    /// Of each stack, once somebody asked.
    rows: Vec<Option<Box<[Row]>>>,
    by_frame: Map<(u64, u32, u32), u32>,
    passing: String,
    names: Snapshot,
}

impl Known {
    pub(super) fn new() -> Known {
        Known {
            strings: vec!["".into()],
            by_text: HashMap::from([("".into(), 0)]),
            by_place: Map::default(),
            by_site: Map::default(),
            locks: Map::default(),
            stacks: Vec::new(),
            by_stack: Map::default(),
            rows: Vec::new(),
            by_frame: Map::default(),
            passing: String::new(),
            names: names(),
        }
    }

    pub(super) fn intern(&mut self, text: &str) -> StringId {
        if let Some(&id) = self.by_text.get(text) {
            return id;
        }
        let id = self.strings.len() as StringId;
        self.strings.push(cut(text).into());
        self.by_text.insert(text.into(), id);
        id
    }

    /// A text that a thread noted by its place.
    pub(super) fn text(&mut self, (address, len): (usize, usize)) -> StringId {
        if len == 0 {
            return 0;
        }
        if let Some(&id) = self.by_place.get(&(address, len)) {
            return id;
        }
        // SAFETY: `raw::Writer::text` took it from a `&'static str`.
        let text: &'static str = unsafe {
            let bytes = std::slice::from_raw_parts(ptr::with_exposed_provenance(address), len);
            str::from_utf8_unchecked(bytes)
        };
        let id = self.intern(text);
        self.by_place.insert((address, len), id);
        id
    }

    /// The name of a function that is marked.
    pub(super) fn site(&mut self, address: usize) -> StringId {
        if let Some(&id) = self.by_site.get(&address) {
            return id;
        }
        // SAFETY: null, or what `record` took from a site, which is a static or lives for ever.
        let site: Option<&'static FunctionSite> =
            unsafe { ptr::with_exposed_provenance::<FunctionSite>(address).as_ref() };
        let id = self.intern(site.map_or("", FunctionSite::unique_name));
        self.by_site.insert(address, id);
        id
    }

    /// The name of a lock's site.
    pub(super) fn lock(&mut self, id: u32) -> StringId {
        if id == 0 {
            return 0;
        }
        if let Some(&name) = self.locks.get(&id) {
            return name;
        }
        for site in site::locks().collect::<Vec<_>>() {
            let of_site = site.id.load(std::sync::atomic::Ordering::Relaxed);
            if of_site != 0 && !self.locks.contains_key(&of_site) {
                let name = self.intern(site.unique_name());
                self.locks.insert(of_site, name);
            }
        }
        *self.locks.entry(id).or_default()
    }

    pub(super) fn stack(&mut self, address: usize) -> StackId {
        if address == 0 {
            return 0;
        }
        if let Some(&id) = self.by_stack.get(&address) {
            return id;
        }
        // SAFETY: threads note what `Stack::expose` gave them.
        self.stacks.push(unsafe { Stack::exposed(address) });
        self.rows.push(None);
        let id = self.stacks.len() as StackId;
        self.by_stack.insert(address, id);
        id
    }

    /// Makes a message the text of the event that is handled next.
    pub(super) fn pass(&mut self, text: &str) -> StringId {
        self.passing.clear();
        self.passing.push_str(&cut(text));
        PASSING
    }

    /// A generation begins: modules may have come since.
    pub(super) fn refresh(&mut self) {
        self.names = names();
    }

    fn rows(&mut self, id: StackId) -> Option<usize> {
        let at = (id as usize).checked_sub(1)?;
        let stack = *self.stacks.get(at)?;
        if self.rows[at].is_none() {
            let mut rows = Vec::new();
            let places = Names::new(&self.names, Level::Lines).stack(stack);
            for place in places {
                let shown = place.shown();
                if shown.is_empty() {
                    let row = self.row(
                        (place.address, stack.epoch(), u32::MAX),
                        &format!("{:#x}", place.address),
                        "",
                        0,
                    );
                    rows.push(row);
                }
                for (inlined, frame) in shown.iter().enumerate() {
                    let key = (place.address, stack.epoch(), (place.cut + inlined) as u32);
                    rows.push(self.row(key, frame.name(), frame.file().unwrap_or_default(), frame.line()));
                }
            }
            rows.truncate(MAX_FRAMES);
            self.rows[at] = Some(rows.into());
        }
        Some(at)
    }

    fn row(&mut self, key: (u64, u32, u32), function: &str, file: &str, line: u32) -> Row {
        let next = self.by_frame.len() as u32 + 1;
        let id = *self.by_frame.entry(key).or_insert(next);
        Row { id, address: key.0, function: self.intern(function), file: self.intern(file), line }
    }
}

/// What names are looked up with.
fn names() -> Snapshot {
    let meta = Meta { places: Places::Hooked, ..Meta::default() };
    Snapshot::new(meta, Vec::new(), stack::modules())
}

/// No more than readers take, with a mark where it was cut.
fn cut(text: &str) -> Cow<'_, str> {
    match raw::cut(text) {
        None => Cow::Borrowed(text),
        Some(kept) => Cow::Owned(format!("{kept}{}", raw::MARK)),
    }
}

impl Tables for Known {
    fn string(&self, id: StringId) -> &str {
        match id {
            PASSING => &self.passing,
            id => self.strings.get(id as usize).map_or("", |text| text),
        }
    }

    fn frames(&mut self, id: StackId, f: &mut dyn FnMut(Frame<'_>)) {
        let Some(at) = self.rows(id) else { return };
        for row in self.rows[at].iter().flatten() {
            f(Frame {
                id: row.id,
                address: row.address,
                function: self.string(row.function),
                file: self.string(row.file),
                line: row.line,
            });
        }
    }
}
