//! The peak in a file, for when the program is no more: killed for want of memory, say.
//!
//! What was written to a file is the kernel's, and stays when the process goes. It is written with `pwrite` rather than
//! through a mapping: a full disk or a file cut short is then an error, and no `SIGBUS` in somebody's allocation. The
//! file has two slots of which one is whole at any moment; holes cost nothing.
//!
//! ```text
//! file: MAGIC, slot size; at SLOTS the one slot, and behind it the other
//! slot: sequence (0: not whole), length, live bytes, time, process, bytes refused, rows left out, live bytes of those;
//!       modules; rows
//! module: path length, build id length, bias, segments, first and last epoch; segments; path; build id
//! row:  addresses, epoch, block size, rate, allocated, freed, labels length; addresses; labels
//! ```
//! All numbers are words of 64 bits, least byte first; texts are filled up to whole words.
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};

use super::report::{self, Values};
use super::{BUCKETS, bytes_of};
use crate::error::{Error, Result};
use crate::module::{Module, ModuleMap, Segment};
use crate::record::ValueType;
use crate::snapshot::{Meta, Snapshot};
use crate::store::bucket::Key;
use crate::store::{Labels, Stack};
use crate::{label, stack, sys};

const MAGIC: u64 = u64::from_le_bytes(*b"profPEAK");
const VERSION: u64 = 1;
const SLOTS: u64 = 4096;
/// The longest slot: some 200 000 rows. What does not fit is one row, `[other]`.
const MAX_SLOT: u64 = 64 << 20;
/// The shortest that is worth having.
const MIN_SLOT: u64 = 1 << 20;
const HEAD: usize = 8;
/// Addresses of a stack: what a walk takes, and the mark of one that was cut.
const MAX_DEPTH: usize = stack::MAX_FRAMES + 1;
/// Words of a row before its addresses.
const ROW: usize = 7;
/// Modules that a file names.
const MAX_MODULES: usize = 4096;
/// Segments of code that a module has.
const MAX_SEGMENTS: usize = 64;
/// Bytes that are collected before they are written.
const BUFFER: usize = 64 << 10;

/// Passes that could not be written.
pub(super) static FAILED: AtomicU64 = AtomicU64::new(0);

/// The file that is being written.
pub(super) struct PeakFile {
    file: File,
    slot: u64,
    sequence: u64,
    /// Whoever else has the file, a forked child, does not write to it.
    process: u32,
    /// Never grows beyond what it was made with: it is filled within an allocation.
    buffer: Vec<u8>,
}

/// What a pass says besides its rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct About {
    pub(super) bytes: u64,
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    /// Of the allocation that was refused, or 0.
    pub(super) refused: u64,
}

impl PeakFile {
    /// Begins a file. It is there, and empty, when this returns.
    pub(super) fn create(path: &Path) -> Result<PeakFile> {
        let slot =
            sys::file::most_bytes().map_or(MAX_SLOT, |most| (most.saturating_sub(SLOTS) / 2).min(MAX_SLOT));
        if slot < MIN_SLOT {
            return Err(Error::Unsupported("a peak file: the limit on the size of files is too low"));
        }
        let file = File::create(path)?;
        for (at, word) in [MAGIC, VERSION, slot].into_iter().enumerate() {
            sys::file::write_at(&file, &word.to_le_bytes(), at as u64 * 8)?;
        }
        // So that all modules of now are known.
        drop(stack::modules());
        let (process, buffer) = (std::process::id(), Vec::with_capacity(BUFFER));
        Ok(PeakFile { file, slot, sequence: 0, process, buffer })
    }

    /// Writes the peak that the buckets have noted. Within an allocation: it allocates nothing.
    pub(super) fn write(&mut self, about: About) {
        if self.try_write(about).is_err() {
            FAILED.fetch_add(1, Relaxed);
        }
    }

    fn try_write(&mut self, about: About) -> io::Result<()> {
        let pid = std::process::id();
        if pid != self.process {
            return Ok(());
        }
        // The limit may be another one by now.
        if sys::file::most_bytes().is_some_and(|most| most < SLOTS + 2 * self.slot) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let start = SLOTS + self.slot * (self.sequence % 2);
        let PeakFile { file, buffer, slot, .. } = self;
        // From here on the slot is not whole, and the other one is.
        sys::file::write_at(file, &0_u64.to_le_bytes(), start)?;
        let mut body = Body { file, buffer, at: start + HEAD as u64 * 8 };
        stack::with_modules(|map| body.modules(map, start + *slot / 2))?;
        let (mut left_out, mut left_out_bytes) = (0_u64, 0_u64);
        for bucket in BUCKETS.iter() {
            let [allocated, freed] = bucket.value().at_peak.each_ref().map(|count| count.load(Relaxed));
            let live = allocated.saturating_sub(freed);
            if live == 0 {
                continue;
            }
            let Key { stack, labels, what, rate, .. } = bucket.key();
            let (addresses, labels) = (stack.addresses(), labels.encoded());
            let length = (ROW + addresses.len()) * 8 + labels.len().next_multiple_of(8);
            if body.end() + length as u64 > start + *slot {
                left_out += live;
                left_out_bytes = left_out_bytes.saturating_add(live.saturating_mul(bytes_of(bucket)));
                continue;
            }
            let counts = [what, rate, allocated, freed, labels.len() as u64];
            for word in [addresses.len() as u64, u64::from(stack.epoch())].into_iter().chain(counts) {
                body.word(word)?;
            }
            addresses.iter().try_for_each(|&address| body.word(address))?;
            body.bytes(labels)?;
        }
        let length = body.end() - start;
        body.flush()?;
        let About { bytes, time, refused } = about;
        let sequence = self.sequence + 1;
        let head = [sequence, length, bytes, time, u64::from(pid), refused, left_out, left_out_bytes];
        // The sequence last: with it the slot is whole.
        for (at, word) in head.into_iter().enumerate().rev() {
            sys::file::write_at(&self.file, &word.to_le_bytes(), start + at as u64 * 8)?;
        }
        // Only now is it the other one's turn.
        self.sequence = sequence;
        Ok(())
    }
}

/// What is written one after the other.
struct Body<'a> {
    file: &'a File,
    buffer: &'a mut Vec<u8>,
    /// Where the buffer will be written.
    at: u64,
}

impl Body<'_> {
    fn end(&self) -> u64 {
        self.at + self.buffer.len() as u64
    }

    fn word(&mut self, word: u64) -> io::Result<()> {
        self.bytes(&word.to_le_bytes())
    }

    /// Bytes, filled up to whole words.
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let padding = [0; 7];
        for part in
            bytes.chunks(BUFFER / 2).chain([&padding[..bytes.len().next_multiple_of(8) - bytes.len()]])
        {
            if self.buffer.len() + part.len() > BUFFER {
                self.flush()?;
            }
            self.buffer.extend_from_slice(part);
        }
        Ok(())
    }

    /// The modules, as far as there is room for them up to `end`: those of now first.
    fn modules(&mut self, map: &ModuleMap, end: u64) -> io::Result<()> {
        let length = |module: &Module| {
            let texts = module.path.len().next_multiple_of(8) + module.build_id.len().next_multiple_of(8);
            (6 * 8 + module.text.len() * 24 + texts) as u64
        };
        let is_loaded = |module: &&Arc<Module>| module.last_epoch == u32::MAX;
        let order =
            || map.modules.iter().filter(is_loaded).chain(map.modules.iter().filter(|m| !is_loaded(m)));
        let (mut at, mut count) = (self.end() + 8, 0);
        for module in order() {
            at += length(module);
            if at > end || count == MAX_MODULES {
                break;
            }
            count += 1;
        }
        self.word(count as u64)?;
        for module in order().take(count) {
            let Module { path, build_id, bias, text, first_epoch, last_epoch } = &**module;
            let text = &text[..text.len().min(MAX_SEGMENTS)];
            let numbers = [path.len() as u64, build_id.len() as u64, *bias, text.len() as u64];
            let epochs = [u64::from(*first_epoch), u64::from(*last_epoch)];
            numbers.into_iter().chain(epochs).try_for_each(|word| self.word(word))?;
            for Segment { start, end, offset } in text {
                [*start, *end, *offset].into_iter().try_for_each(|word| self.word(word))?;
            }
            self.bytes(path.as_bytes())?;
            self.bytes(build_id)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = sys::file::write_at(self.file, self.buffer, self.at);
        self.at = self.end();
        self.buffer.clear();
        written
    }
}

/// Reads what [`peak_file`](crate::heap::peak_file) has left: the live heap of a program as it was when it was largest.
/// The program may be gone, and the file half written: what was whole before is read.
///
/// Names are looked up in the files that the program and its libraries were made of, as far as they are where they were
/// and have the build ids that they had; the portable backend has addresses alone. `alloc_objects` and `alloc_space` count
/// at those places alone that had anything alive.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read, [`Error::Invalid`] if it is no such file, or nothing was written to it yet.
///
/// It is for tools: the stacks of each file that is read stay in this process's table of stacks, which has room for
/// 262 144 of them.
pub fn read_peak_file(path: impl AsRef<Path>) -> Result<Snapshot> {
    let path = path.as_ref();
    let invalid = || Error::Invalid { what: "peak file", value: path.display().to_string() };
    let mut file = File::open(path)?;
    let mut begin = [0; 24];
    file.read_exact(&mut begin).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => invalid(),
        _ => error.into(),
    })?;
    let mut words = Words(&begin);
    let known = words.word() == Some(MAGIC) && words.word() == Some(VERSION);
    let slot =
        words.word().filter(|slot| known && (MIN_SLOT..=MAX_SLOT).contains(slot)).ok_or_else(invalid)?;
    let mut slots: Vec<Vec<u8>> = Vec::new();
    for n in 0..2 {
        slots.extend(read_slot(&mut file, SLOTS + n * slot, slot)?);
    }
    // The later of those that are whole.
    slots.sort_by_key(|slot| std::cmp::Reverse(Words(slot).word()));
    slots.iter().find_map(|slot| parse(slot)).ok_or_else(invalid)
}

/// The slot at `offset`; `None` if it is not whole.
fn read_slot(file: &mut File, offset: u64, most: u64) -> io::Result<Option<Vec<u8>>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut slot = Vec::new();
    file.take(HEAD as u64 * 8).read_to_end(&mut slot)?;
    let mut words = Words(&slot);
    let length = words.word().and_then(|_sequence| words.word());
    let Some(length) = length.filter(|&length| length >= slot.len() as u64 && length <= most) else {
        return Ok(None);
    };
    file.take(length - slot.len() as u64).read_to_end(&mut slot)?;
    Ok((slot.len() as u64 == length).then_some(slot))
}

/// Words of a file, as long as there are any.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn word(&mut self) -> Option<u64> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*word))
    }

    fn count(&mut self) -> Option<usize> {
        // What is counted takes at least a byte each, so a wrong number is noticed before memory is asked for it.
        self.word().and_then(|word| usize::try_from(word).ok()).filter(|&count| count <= self.0.len())
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length.next_multiple_of(8))?;
        self.0 = rest;
        bytes.get(..length)
    }
}

/// A slot, its head first. `None`: it is not whole.
fn parse(slot: &[u8]) -> Option<Snapshot> {
    let mut words = Words(slot);
    let mut head = [0; HEAD];
    for word in &mut head {
        *word = words.word()?;
    }
    let [sequence, length, bytes, time, pid, refused, left_out, left_out_bytes] = head;
    if sequence == 0 || length != slot.len() as u64 {
        return None;
    }
    // Epochs of their own, as what is remembered of addresses is remembered by epoch; the same for the same content, so
    // that to read a file again takes no more room.
    let hash = slot.chunks_exact(8).fold(0_u64, |hash, word| {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        (hash.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
    });
    let base = 1 << 31 | ((hash >> 49) as u32) << 16;
    let epoch = |epoch: u64| base + (epoch as u32).min(0xffff);
    let count = words.count().filter(|&count| count <= MAX_MODULES)?;
    let modules = (0..count).map(|_| module(&mut words, &epoch)).collect::<Option<_>>()?;
    let (mut rows, mut rates) = (Vec::new(), HashMap::<u64, u64>::new());
    while !words.0.is_empty() {
        let (depth, since) = (words.count().filter(|&depth| depth <= MAX_DEPTH)?, words.word()?);
        let (size, rate, allocated, freed) = (words.word()?, words.word()?, words.word()?, words.word()?);
        let labels = words.count().filter(|&length| length <= label::MAX_BYTES)?;
        let blocks = rates.entry(rate).or_default();
        *blocks = blocks.saturating_add(allocated.saturating_sub(freed).max(1));
        let addresses = (0..depth).map(|_| words.word()).collect::<Option<Vec<u64>>>()?;
        let stack = Stack::intern(&addresses, epoch(since));
        let labels = Labels::intern(words.bytes(labels)?);
        rows.push(report::scaled(Values { stack, labels, size, rate, scope: None }, allocated, freed));
    }
    let mut comments =
        vec![format!("the live heap of process {pid} as it was when it was largest: {bytes} bytes")];
    if refused > 0 {
        comments.push(format!("then an allocation of {refused} bytes was refused"));
    }
    if left_out > 0 {
        comments.push(format!("{left_out} samples folded into [other]: the file has no room for more rows"));
        let other = Values {
            stack: Stack::other(),
            labels: Labels::none(),
            size: left_out_bytes,
            rate: 1,
            scope: None,
        };
        rows.push(report::scaled(other, 1, 0));
    }
    let time = UNIX_EPOCH + Duration::from_nanos(time);
    // The rate that most was sampled at; others had others, if the program changed it.
    let rate = rates.into_iter().max_by_key(|&(rate, samples)| (samples, rate)).map_or(0, |(rate, _)| rate);
    let period = (ValueType::new("space", "bytes"), i64::try_from(rate).unwrap_or(i64::MAX));
    let meta = Meta { time, comments, period, cumulative: false, ..report::meta("heap") };
    Some(Snapshot::new(meta, rows, Arc::new(ModuleMap { modules, elsewhere: true })))
}

fn module(words: &mut Words<'_>, epoch: &impl Fn(u64) -> u32) -> Option<Arc<Module>> {
    let (path, build_id, bias, segments) = (words.count()?, words.count()?, words.word()?, words.count()?);
    let (first_epoch, last_epoch) = (words.word()?, words.word()?);
    if segments > MAX_SEGMENTS {
        return None;
    }
    let text = (0..segments)
        .map(|_| Some(Segment { start: words.word()?, end: words.word()?, offset: words.word()? }))
        .collect::<Option<_>>()?;
    Some(Arc::new(Module {
        path: String::from_utf8_lossy(words.bytes(path)?).into_owned(),
        build_id: words.bytes(build_id)?.to_vec(),
        bias,
        text,
        first_epoch: epoch(first_epoch),
        last_epoch: if last_epoch == u64::from(u32::MAX) { u32::MAX } else { epoch(last_epoch) },
    }))
}
