//! The protobuf that `pprof` and every scraper read, written as it is made.
//!
//! Samples go out one by one, each location in front of the first sample that has it. Only what has to be known to
//! the end stays in memory: where each location got its number, the functions, the strings.
//!
//! Rules of the readers that are kept here: ids count from 1 in the order of their tables, strings are unique and
//! shorter than 64 KiB, no stack is deeper than 1000, a label key is a name.
use std::cell::OnceCell;
use std::collections::HashMap;
use std::io::{self, Write};
use std::time::UNIX_EPOCH;

use prost::encoding::{WireType, bool, encode_key, encode_varint, encoded_len_varint, int64, uint64};

use super::CHUNK;
use super::places::{Cut, Places, Varint};
use super::strings::Strings;
use crate::record::{LabelValue, ValueType};
use crate::snapshot::{Row, SampleRef, Snapshot};
use crate::symbol::{Frame, Names};

/// Field numbers of `Profile`; those of the smaller messages stand where they are written. See `proto.rs`.
mod field {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING_TABLE: u32 = 6;
    pub(super) const TIME_NANOS: u32 = 9;
    pub(super) const DURATION_NANOS: u32 = 10;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
    pub(super) const COMMENT: u32 = 13;
    pub(super) const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

/// Readers cut deeper stacks, or refuse them.
const MAX_DEPTH: usize = 1000;
/// What a function takes in its table at the most, and what is around a string.
const FUNCTION_BYTES: usize = 32;
const STRING_BYTES: usize = 4;
/// The same for a value, up to 2^56, and for the lengths of a sample and of its values.
const VALUE_BYTES: usize = 8;
const SAMPLE_BYTES: usize = 6;

/// Writes `snapshot` with the names that `names` has for it, not compressed: of its rows as many as go into `most` bytes,
/// and one more for the others.
pub(super) fn write(
    snapshot: &Snapshot,
    names: Names<'_>,
    most: usize,
    w: &mut impl Write,
) -> io::Result<()> {
    let other = OnceCell::new();
    let mut encoder = Encoder::new(snapshot, names);
    encoder.head();
    for (at, sample) in snapshot.samples().enumerate() {
        if at > 0 && encoder.size(at) > most {
            let rest = &snapshot.rows[at..];
            encoder.folded = rest.len();
            encoder.sample(SampleRef { row: other.get_or_init(|| Row::other(rest)), snapshot });
            break;
        }
        encoder.sample(sample);
        if encoder.out.len() >= CHUNK {
            encoder.flush(w)?;
        }
    }
    encoder.tail(w)?;
    encoder.flush(w)
}

struct Encoder<'a> {
    snapshot: &'a Snapshot,
    names: Names<'a>,
    /// What the writer has not got yet.
    out: Vec<u8>,
    /// The bytes that it has.
    written: usize,
    /// Those, here or there, whose number depends on values.
    varying: usize,
    /// Rows that found no room.
    folded: usize,
    /// The body of the message being written.
    body: Vec<u8>,
    /// The body of a message within it.
    inner: Vec<u8>,
    /// Those of the sample being written: the id of the key, the key, the value.
    labels: Vec<(i64, &'a str, LabelValue<'a>)>,
    strings: Strings,
    /// A table for each epoch that was met; most programs never have a second.
    places: Vec<(u32, Places)>,
    locations: u64,
    /// By name, system name and file: the id.
    function_ids: HashMap<[i64; 3], u64>,
    functions: Vec<([i64; 3], u32)>,
    modules: Vec<Resolution>,
}

/// How much is known of a module's addresses, of those that were used.
#[derive(Clone, Copy, Default)]
struct Resolution {
    used: bool,
    named: bool,
    files: bool,
    lines: bool,
}

impl<'a> Encoder<'a> {
    fn new(snapshot: &'a Snapshot, names: Names<'a>) -> Encoder<'a> {
        Encoder {
            snapshot,
            names,
            out: Vec::with_capacity(CHUNK + CHUNK / 4),
            written: 0,
            varying: 0,
            folded: 0,
            body: Vec::new(),
            inner: Vec::new(),
            labels: Vec::new(),
            strings: Strings::new(),
            places: Vec::new(),
            locations: 0,
            function_ids: HashMap::new(),
            functions: Vec::new(),
            modules: vec![Resolution::default(); snapshot.modules.modules.len()],
        }
    }

    fn flush(&mut self, w: &mut impl Write) -> io::Result<()> {
        w.write_all(&self.out)?;
        self.written += self.out.len();
        self.out.clear();
        Ok(())
    }

    /// How much it will be with the tables that come at the end, once `samples` samples have grown as far as they may.
    fn size(&self, samples: usize) -> usize {
        self.written + self.out.len() - self.varying
            + samples * (SAMPLE_BYTES + self.snapshot.meta.value_types.len() * VALUE_BYTES)
            + self.functions.len() * FUNCTION_BYTES
            + self.strings.list.len() * STRING_BYTES
            + self.strings.bytes
    }

    fn head(&mut self) {
        let meta = &self.snapshot.meta;
        for &kind in &meta.value_types {
            self.value_type(field::SAMPLE_TYPE, kind);
        }
        if let Some(kind) = meta.default_type.and_then(|index| meta.value_types.get(index)) {
            let name = self.strings.id(&type_name(kind.name));
            number(field::DEFAULT_SAMPLE_TYPE, name, &mut self.out);
        }
        let (kind, period) = meta.period;
        if kind != ValueType::default() {
            self.value_type(field::PERIOD_TYPE, kind);
        }
        number(field::PERIOD, period, &mut self.out);
        let time = meta.time.duration_since(UNIX_EPOCH).unwrap_or_default();
        number(field::TIME_NANOS, i64::try_from(time.as_nanos()).unwrap_or(i64::MAX), &mut self.out);
        if let Some(duration) = meta.duration {
            // A window that is not longer than nothing would be read as none.
            let nanos = i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX).max(1);
            number(field::DURATION_NANOS, nanos, &mut self.out);
        }
        self.varying = self.out.len();
    }

    fn value_type(&mut self, tag: u32, kind: ValueType) {
        let (name, unit) = (self.strings.id(&type_name(kind.name)), self.strings.id(kind.unit));
        self.body.clear();
        number(1, name, &mut self.body);
        number(2, unit, &mut self.body);
        message(tag, &self.body, &mut self.out);
    }

    fn sample(&mut self, sample: SampleRef<'a>) {
        let stack = sample.row.key.stack;
        let addresses = stack.addresses();
        let mut table = self.table(stack.epoch());
        // The ids are written behind room for the longest key and length, and the packed field begins where
        // these end: nothing has to be moved.
        const HEAD: usize = 16;
        let depth = addresses.len().min(MAX_DEPTH);
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        body.resize(HEAD + depth * 4 + 4, 0);
        let mut end = HEAD;
        let mut rest = addresses;
        if self.names.cuts()
            && let Some((first, cut)) = self.leaf(&mut table, addresses)
        {
            end = first.write(&mut body, end);
            rest = &addresses[cut + 1..];
        }
        rest = &rest[..rest.len().min(MAX_DEPTH - usize::from(end > HEAD))];
        loop {
            let known;
            (known, end) = table.places.write(rest, &mut body, end);
            let Some(&address) = rest.get(known) else { break };
            end = self.place(&mut table, address).write(&mut body, end);
            rest = &rest[known + 1..];
        }
        let ids = HEAD..end;
        self.put_back(table);
        let start = match ids.is_empty() {
            true => ids.start,
            false => {
                let len = ids.len() as u64;
                let start = HEAD - 1 - encoded_len_varint(len);
                let mut head = &mut body[start..HEAD];
                encode_key(1, WireType::LengthDelimited, &mut head);
                encode_varint(len, &mut head);
                start
            }
        };
        body.truncate(ids.end);
        int64::encode_packed(2, sample.values(), &mut body);
        self.varying += body.len() - ids.end;
        self.labels(sample, &mut body);
        self.varying += encoded_len_varint(body[start..].len() as u64);
        message(field::SAMPLE, &body[start..], &mut self.out);
        self.body = body;
    }

    fn labels(&mut self, sample: SampleRef<'a>, body: &mut Vec<u8>) {
        let mut labels = std::mem::take(&mut self.labels);
        labels.clear();
        // An empty text would be read as the number 0.
        let there = sample.labels().filter(|(_, value)| *value != LabelValue::Str(""));
        labels.extend(there.map(|(key, value)| (self.strings.id(&label_key(key)), key, value)));
        // A key that comes twice (as it is, or as it is written) would be one column to those who read, with one of the
        // values. The last one is ours, by whose name readers ask; what the program set goes by another.
        for at in (0..labels.len().saturating_sub(1)).rev() {
            let mut other = label_key(labels[at].1);
            let taken = |id| labels.iter().enumerate().any(|(n, label)| label.0 == id && n != at);
            if !labels[at + 1..].iter().any(|label| label.0 == labels[at].0) {
                continue;
            }
            let id = loop {
                other.push('_');
                let id = self.strings.id(&other);
                if !taken(id) {
                    break id;
                }
            };
            labels[at].0 = id;
        }
        for &(key, _, value) in &labels {
            self.inner.clear();
            number(1, key, &mut self.inner);
            match value {
                LabelValue::Str(text) => number(2, self.strings.id(text), &mut self.inner),
                LabelValue::Num(value, unit) => {
                    number(3, value, &mut self.inner);
                    number(4, self.strings.id(unit), &mut self.inner);
                }
            }
            message(3, &self.inner, body);
        }
        self.labels = labels;
    }

    /// Of a stack whose leaf side is our own plumbing, the location it begins with instead, and how many addresses
    /// are left out before that. `None` when nothing is cut.
    fn leaf(&mut self, table: &mut Table, addresses: &[u64]) -> Option<(Varint, usize)> {
        let mut skipped = 0;
        loop {
            let &address = addresses.get(skipped)?;
            let cut = match table.places.cuts.get(&address) {
                Some(&cut) => cut,
                None => {
                    let frames = self.names.at(address, table.epoch);
                    let cut = match self.names.plumbing(&frames) {
                        0 => Cut::None,
                        cut if cut == frames.len() => Cut::All,
                        cut => Cut::Some(cut, None),
                    };
                    table.places.cuts.insert(address, cut);
                    cut
                }
            };
            match cut {
                Cut::All => skipped += 1,
                Cut::None if skipped == 0 => return None,
                Cut::None => {
                    let whole = table.places.find(address);
                    return Some((whole.unwrap_or_else(|| self.place(table, address)), skipped));
                }
                Cut::Some(_, Some(varint)) => return Some((varint, skipped)),
                Cut::Some(cut, None) => {
                    let frames = self.names.at(address, table.epoch);
                    let varint = self.location(address, table.epoch, &frames[cut..]);
                    table.places.cuts.insert(address, Cut::Some(cut, Some(varint)));
                    return Some((varint, skipped));
                }
            }
        }
    }

    /// The location of an address that was not met before.
    #[cold]
    fn place(&mut self, table: &mut Table, address: u64) -> Varint {
        let frames = self.names.at(address, table.epoch);
        let varint = self.location(address, table.epoch, &frames);
        table.places.insert(address, varint);
        varint
    }

    /// Writes a location and gives it the next id.
    fn location(&mut self, address: u64, epoch: u32, frames: &[Frame]) -> Varint {
        let mut body = Vec::with_capacity(64);
        self.locations += 1;
        uint64::encode(1, &self.locations, &mut body);
        if let Some((module, _)) = self.names.module(address, epoch) {
            if let Some(id) = self.mapping_id(module) {
                uint64::encode(2, &id, &mut body);
            }
            let resolution = &mut self.modules[module];
            resolution.used = true;
            resolution.named |= !frames.is_empty();
            resolution.files |= frames.iter().any(|frame| frame.file().is_some());
            resolution.lines |= frames.iter().any(|frame| frame.line() != 0);
        }
        if address != 0 {
            uint64::encode(3, &address, &mut body);
        }
        for frame in frames {
            let function = self.function(frame);
            self.inner.clear();
            uint64::encode(1, &function, &mut self.inner);
            number(2, i64::from(frame.line()), &mut self.inner);
            message(4, &self.inner, &mut body);
        }
        message(field::LOCATION, &body, &mut self.out);
        Varint::new(self.locations)
    }

    fn function(&mut self, frame: &Frame) -> u64 {
        let strings = [frame.name(), frame.system_name(), frame.file().unwrap_or("")];
        let [mut name, mut system_name, file] = strings.map(|text| self.strings.id(text));
        // Debug information may have a function without a name, and a reader takes none.
        if name == 0 {
            name = self.strings.id("[unknown]");
        }
        // A reader that finds them to be the same takes the name for one of C++'s, and cuts it at its brackets.
        if name == system_name {
            system_name = 0;
        }
        let key = [name, system_name, file];
        let next = self.functions.len() as u64 + 1;
        let id = *self.function_ids.entry(key).or_insert(next);
        if id == next {
            self.functions.push((key, 0));
        }
        // Where it was inlined the start may be unknown, while its own code tells it.
        let start = &mut self.functions[id as usize - 1].1;
        if *start == 0 {
            *start = frame.start_line();
        }
        id
    }

    /// Modules without code have no mapping, so that the numbers are not those of the modules.
    fn mapping_id(&self, module: usize) -> Option<u64> {
        let modules = &self.snapshot.modules.modules;
        let before = modules[..module].iter().filter(|module| !module.text.is_empty()).count();
        (!modules[module].text.is_empty()).then_some(before as u64 + 1)
    }

    fn tail(&mut self, w: &mut impl Write) -> io::Result<()> {
        let modules = &self.snapshot.modules.modules;
        for (index, module) in modules.iter().enumerate() {
            let (Some(id), Some(first), Some(last)) =
                (self.mapping_id(index), module.text.first(), module.text.last())
            else {
                continue;
            };
            let build_id: String = module.build_id.iter().map(|byte| format!("{byte:02x}")).collect();
            let (path, build_id) = (self.strings.id(&module.path), self.strings.id(&build_id));
            let known = self.modules[index];
            self.body.clear();
            uint64::encode(1, &id, &mut self.body);
            for (tag, value) in [(2, first.start), (3, last.end), (4, first.offset)] {
                if value != 0 {
                    uint64::encode(tag, &value, &mut self.body);
                }
            }
            number(5, path, &mut self.body);
            number(6, build_id, &mut self.body);
            // Of a module that nobody asked about nothing is missing. Of one that has some names, all that this machine
            // knows is told, and readers that looked again would overwrite it with less; one that has none may be
            // stripped, and is left to those who have its symbols.
            let told = known.named && self.names.lines();
            let flags = match !known.used || told {
                true => [true; 4],
                false => [known.named, known.files, known.lines, known.files],
            };
            for (tag, flag) in (7..).zip(flags).filter(|(_, flag)| *flag) {
                bool::encode(tag, &flag, &mut self.body);
            }
            message(field::MAPPING, &self.body, &mut self.out);
        }
        for (id, (strings, start)) in (1_u64..).zip(&self.functions) {
            self.body.clear();
            uint64::encode(1, &id, &mut self.body);
            for (tag, &string) in (2..).zip(strings) {
                number(tag, string, &mut self.body);
            }
            number(5, i64::from(*start), &mut self.body);
            message(field::FUNCTION, &self.body, &mut self.out);
        }
        self.flush(w)?;
        let mut comments: Vec<i64> =
            self.snapshot.meta.comments.iter().map(|comment| self.strings.id(comment)).collect();
        if self.folded > 0 {
            let comment =
                format!("{} rows are folded into [other]: all would be too many bytes", self.folded);
            comments.push(self.strings.id(&comment));
        }
        int64::encode_packed(field::COMMENT, &comments, &mut self.out);
        for index in 0..self.strings.list.len() {
            message(field::STRING_TABLE, self.strings.list[index].as_bytes(), &mut self.out);
            if self.out.len() >= CHUNK {
                self.flush(w)?;
            }
        }
        Ok(())
    }

    /// Takes out the table of an epoch, so that it can be used beside the encoder.
    fn table(&mut self, epoch: u32) -> Table {
        let at = match self.places.iter().position(|(known, _)| *known == epoch) {
            Some(at) => at,
            None => {
                self.places.push((epoch, Places::new()));
                self.places.len() - 1
            }
        };
        let places = std::mem::replace(&mut self.places[at].1, Places::EMPTY);
        Table { epoch, at, places }
    }

    fn put_back(&mut self, table: Table) {
        self.places[table.at].1 = table.places;
    }
}

/// The places of one epoch, for the time of one sample.
struct Table {
    epoch: u32,
    at: usize,
    places: Places,
}

/// A number, left out if it is 0 as the format has it.
fn number(tag: u32, value: i64, out: &mut Vec<u8>) {
    if value != 0 {
        int64::encode(tag, &value, out);
    }
}

fn message(tag: u32, body: &[u8], out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(body.len() as u64, out);
    out.extend_from_slice(body);
}

/// A sample type as the readers take it: some refuse `-`, and `:` separates for them.
fn type_name(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '-' | ':') || c.is_whitespace() { '_' } else { c }).collect()
}

/// A label's key as the readers take it: `[a-zA-Z_][a-zA-Z0-9_]*`.
fn label_key(key: &str) -> String {
    let digit = key.starts_with(|first: char| first.is_ascii_digit()) || key.is_empty();
    let rest = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    digit.then_some('_').into_iter().chain(rest).collect()
}

#[cfg(test)]
#[path = "pprof_tests.rs"]
mod tests;
