//! The bytes of Go's format: batches of events, and the tables that a generation ends with.
use std::collections::HashMap;

use super::super::event::{Frame, StackId, StringId, Tables};
use super::super::tables::Map;

/// What a reader is told first. It names the version whose rules are followed.
pub(super) const HEADER: &[u8; 16] = b"go 1.23 trace\0\0\0";
/// The thread that tables are of.
pub(super) const NO_THREAD: u64 = u64::MAX;
/// Bytes of a batch from which on another one begins. Readers refuse 64 KiB; the largest event, a string, has a little
/// over one.
const BATCH: usize = 60 << 10;

const BATCHES: u8 = 1;
const STACKS: u8 = 2;
const STACK: u8 = 3;
const STRINGS: u8 = 4;
const STRING: u8 = 5;
const SAMPLES: u8 = 6;
const SAMPLE: u8 = 7;
const FREQUENCY: u8 = 8;

pub(super) const PROC_START: u8 = 10;
pub(super) const PROC_STOP: u8 = 11;
pub(super) const PROC_STATUS: u8 = 13;
pub(super) const GO_CREATE: u8 = 14;
pub(super) const GO_START: u8 = 16;
pub(super) const GO_DESTROY: u8 = 17;
pub(super) const GO_BLOCK: u8 = 20;
pub(super) const GO_UNBLOCK: u8 = 21;
pub(super) const HEAP: u8 = 37;
pub(super) const LABEL: u8 = 39;
pub(super) const TASK_BEGIN: u8 = 40;
pub(super) const TASK_END: u8 = 41;
pub(super) const REGION_BEGIN: u8 = 42;
pub(super) const REGION_END: u8 = 43;
pub(super) const LOG: u8 = 44;
pub(super) const GO_STATUS_STACK: u8 = 48;

/// Bytes that a batch takes at the most, besides its data.
pub(super) const BATCH_HEADER: usize = 32;

/// Appends a number as the format has them.
pub(super) fn number(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Bytes that a number takes.
pub(super) fn len(number: u64) -> usize {
    (64 - (number | 1).leading_zeros() as usize).div_ceil(7)
}

/// A batch, whole.
fn batch(out: &mut Vec<u8>, generation: u64, thread: u64, time: u64, data: &[u8]) {
    out.push(BATCHES);
    for part in [generation, thread, time, data.len() as u64] {
        number(out, part);
    }
    out.extend_from_slice(data);
}

/// Events of one thread that are not written yet.
#[derive(Default)]
pub(super) struct Batch {
    data: Vec<u8>,
    begin: u64,
    last: u64,
}

impl Batch {
    /// Adds an event. Gives its bytes.
    pub(super) fn event(&mut self, kind: u8, time: u64, arguments: &[u64]) -> usize {
        let before = self.data.len();
        if self.data.is_empty() {
            (self.begin, self.last) = (time, time);
        }
        self.data.push(kind);
        number(&mut self.data, time.saturating_sub(self.last));
        self.last = self.last.max(time);
        for &argument in arguments {
            number(&mut self.data, argument);
        }
        self.data.len() - before
    }

    /// Whether it is time to write it.
    pub(super) fn is_large(&self) -> bool {
        self.data.len() >= BATCH
    }

    /// Writes it, and begins anew. Gives the bytes of its events.
    pub(super) fn write(&mut self, generation: u64, thread: u64, out: &mut Vec<u8>) -> usize {
        let len = self.data.len();
        if len > 0 {
            batch(out, generation, thread, self.begin, &self.data);
            self.data.clear();
        }
        len
    }
}

/// A table that is being made.
struct Table {
    kind: u8,
    data: Vec<u8>,
}

impl Table {
    const fn new(kind: u8) -> Table {
        Table { kind, data: Vec::new() }
    }

    /// Adds an entry, in a batch that has room for it.
    fn add(&mut self, entry: &[u8], at: (u64, u64), out: &mut Vec<u8>) {
        if self.data.len() + entry.len() > BATCH {
            self.write(at, out);
        }
        if self.data.is_empty() {
            self.data.push(self.kind);
        }
        self.data.extend_from_slice(entry);
    }

    fn write(&mut self, (generation, time): (u64, u64), out: &mut Vec<u8>) {
        if !self.data.is_empty() {
            batch(out, generation, NO_THREAD, time, &self.data);
            self.data.clear();
        }
    }
}

/// A stack of the format.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Taken(StackId),
    /// One frame that is a name.
    Named(StringId),
}

/// What the numbers of one generation stand for.
pub(super) struct Dictionary {
    generation: u64,
    time: u64,
    strings: Table,
    stacks: Table,
    samples: Table,
    last_string: u64,
    by_id: Map<StringId, u64>,
    by_text: HashMap<Box<str>, u64>,
    by_key: HashMap<Key, u64>,
    /// Bytes of what goroutines are called.
    named: usize,
    scratch: Vec<u8>,
}

impl Dictionary {
    pub(super) fn new(generation: u64, time: u64) -> Dictionary {
        Dictionary {
            generation,
            time,
            strings: Table::new(STRINGS),
            stacks: Table::new(STACKS),
            samples: Table::new(SAMPLES),
            last_string: 0,
            by_id: Map::default(),
            by_text: HashMap::new(),
            by_key: HashMap::new(),
            named: 0,
            scratch: Vec::new(),
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The number of a text of the session's.
    pub(super) fn string(&mut self, id: StringId, tables: &dyn Tables, out: &mut Vec<u8>) -> u64 {
        if id == 0 {
            return 0;
        }
        if let Some(&number) = self.by_id.get(&id) {
            return number;
        }
        let number = self.text(tables.string(id), out);
        self.by_id.insert(id, number);
        number
    }

    /// The number of a text that comes more than once.
    pub(super) fn text(&mut self, text: &str, out: &mut Vec<u8>) -> u64 {
        if text.is_empty() {
            return 0;
        }
        if let Some(&number) = self.by_text.get(text) {
            return number;
        }
        let number = self.once(text, out);
        self.by_text.insert(text.into(), number);
        number
    }

    /// The number of a text that comes once.
    pub(super) fn once(&mut self, text: &str, out: &mut Vec<u8>) -> u64 {
        if text.is_empty() {
            return 0;
        }
        self.last_string += 1;
        self.scratch.clear();
        self.scratch.push(STRING);
        number(&mut self.scratch, self.last_string);
        number(&mut self.scratch, text.len() as u64);
        self.scratch.extend_from_slice(text.as_bytes());
        self.strings.add(&self.scratch, (self.generation, self.time), out);
        self.last_string
    }

    /// The number of a stack. What is in it is looked up the first time.
    pub(super) fn stack(&mut self, id: StackId, tables: &mut dyn Tables, out: &mut Vec<u8>) -> u64 {
        if id == 0 {
            return 0;
        }
        let key = Key::Taken(id);
        if let Some(&number) = self.by_key.get(&key) {
            return number;
        }
        let mut rows = Vec::new();
        tables.frames(id, &mut |frame: Frame<'_>| {
            let (function, file) = (self.text(frame.function, out), self.text(frame.file, out));
            rows.push([u64::from(frame.id), function, file, u64::from(frame.line)]);
        });
        self.add(key, &rows, out)
    }

    /// The number of a stack of one frame of this name.
    pub(super) fn named(&mut self, name: StringId, tables: &dyn Tables, out: &mut Vec<u8>) -> u64 {
        let key = Key::Named(name);
        if let Some(&number) = self.by_key.get(&key) {
            return number;
        }
        let function = self.string(name, tables, out);
        // The most that the text and the stack take.
        self.named += tables.string(name).len() + 64;
        self.add(key, &[[1 << 32 | u64::from(name), function, 0, 0]], out)
    }

    fn add(&mut self, key: Key, rows: &[[u64; 4]], out: &mut Vec<u8>) -> u64 {
        let place = self.by_key.len() as u64 + 1;
        self.by_key.insert(key, place);
        self.scratch.clear();
        self.scratch.push(STACK);
        number(&mut self.scratch, place);
        number(&mut self.scratch, rows.len() as u64);
        for &part in rows.iter().flatten() {
            number(&mut self.scratch, part);
        }
        self.stacks.add(&self.scratch, (self.generation, self.time), out);
        place
    }

    /// Bytes that were not written yet, at the most.
    pub(super) fn held(&self) -> usize {
        let tables = [&self.strings, &self.stacks, &self.samples];
        tables.map(|table| table.data.len() + BATCH_HEADER).iter().sum::<usize>() + BATCH_HEADER
    }

    /// Bytes at the most of what goroutines are called.
    pub(super) fn names(&self) -> usize {
        self.named
    }

    /// A sample of the CPU, on a thread, a processor and in a goroutine.
    pub(super) fn sample(&mut self, time: u64, on: [u64; 3], stack: u64, out: &mut Vec<u8>) {
        self.scratch.clear();
        self.scratch.push(SAMPLE);
        for part in [time, on[0], on[1], on[2], stack] {
            number(&mut self.scratch, part);
        }
        self.samples.add(&self.scratch, (self.generation, self.time), out);
    }

    /// Writes all of it. What says how long a unit of time is comes last: a generation without it is none, so that one that
    /// was cut off is not taken for whole.
    pub(super) fn write(mut self, out: &mut Vec<u8>) {
        let at = (self.generation, self.time);
        for table in [&mut self.strings, &mut self.stacks, &mut self.samples] {
            table.write(at, out);
        }
        let mut frequency = vec![FREQUENCY];
        number(&mut frequency, 1_000_000_000);
        batch(out, self.generation, NO_THREAD, self.time, &frequency);
    }
}
