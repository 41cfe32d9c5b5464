//! The heap as it was when it was largest.
//!
//! What is alive is known from the samples at any moment, so one comparison a sample tells that it never was more. Then
//! every bucket notes what it has, which takes no memory and some hundred microseconds, but only after the heap has
//! grown by a twentieth since the last time: a few hundred times on the way from a megabyte to all there is.
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering::Acquire, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::peak_file::{About, PeakFile};
use super::{BUCKETS, report};
use crate::error::Result;
use crate::fork::Lock;
use crate::snapshot::{Meta, Snapshot};
use crate::stack;

/// Bytes that are alive, as far as the samples tell.
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);
/// More than so many are a new peak.
static NEXT: AtomicI64 = AtomicI64::new(0);

/// A peak is a new one if it exceeds the last by one part in so many, and by `LEAST` bytes.
const PART: i64 = 20;
const LEAST: i64 = 64 << 10;

/// The peak that the buckets have noted.
struct Peak {
    bytes: i64,
    /// Nanoseconds since 1970.
    time: u64,
    /// Of the first allocation since then that was refused, or 0.
    refused: u64,
    /// Where it is written, too.
    file: Option<PeakFile>,
}

static PEAK: Lock<Peak> = Lock::new(Peak { bytes: 0, time: 0, refused: 0, file: None });

/// Bytes that are alive, as far as the samples tell.
pub(crate) fn live_bytes() -> u64 {
    LIVE_BYTES.load(Relaxed).max(0) as u64
}

/// A sample came that stands for so many bytes.
pub(super) fn grew(bytes: u64) {
    let now = LIVE_BYTES.fetch_add(bytes as i64, Relaxed).wrapping_add(bytes as i64);
    if now > NEXT.load(Relaxed) {
        reached();
    }
}

/// One of them is gone.
pub(super) fn shrank(bytes: u64) {
    LIVE_BYTES.fetch_sub(bytes as i64, Relaxed);
}

/// Notes the peak, unless another thread is about to, or a reader is at it: then the next sample will.
#[cold]
#[inline(never)]
fn reached() {
    if let Some(mut peak) = PEAK.try_lock() {
        peak.note();
    }
}

/// The allocator has refused so many bytes: there will hardly be more than there is now.
pub(super) fn refused(size: usize) {
    if let Some(mut peak) = PEAK.try_lock() {
        peak.note();
        // Once: a program that lives on may be refused often.
        if peak.refused == 0 {
            peak.refused = size as u64;
            peak.write();
        }
    }
}

impl Peak {
    /// Has the buckets note what is alive now, if that is more than it ever was.
    fn note(&mut self) {
        let now = LIVE_BYTES.load(Relaxed);
        if now <= self.bytes {
            return;
        }
        for bucket in BUCKETS.iter() {
            let blocks = bucket.value();
            let freed = blocks.freed.load(Acquire);
            blocks.at_peak[1].store(freed, Relaxed);
            blocks.at_peak[0].store(blocks.allocated.load(Acquire), Relaxed);
        }
        (self.bytes, self.time, self.refused) = (now, since_1970(), 0);
        NEXT.store(now + (now / PART).max(LEAST), Relaxed);
        self.write();
    }

    fn write(&mut self) {
        if let Some(file) = &mut self.file {
            file.write(About { bytes: self.bytes.max(0) as u64, time: self.time, refused: self.refused });
        }
    }
}

/// Keeps the peak, as [`peak`] gives it, in the file at `path` from now on, which survives the process whatever ends it:
/// also `SIGKILL`, as the kernel sends it to whoever has used up the memory. It is also written when an allocation is
/// refused. [`read_peak_file`](crate::heap::read_peak_file) makes a profile of it.
///
/// A file that is there is overwritten; of an earlier one that this process wrote to, the last state stays. It takes
/// 64 MiB at the most, twice, and mostly a few hundred kilobytes for each thousand rows; forked children do not write
/// to it. It is written within the allocation that makes the peak: keep it on a disk of this machine, which does not make
/// anybody wait. What cannot be written later, for want of space on the disk, is counted and said in the profile.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be written,
/// [`Error::Unsupported`](crate::Error::Unsupported) if the process may not write files of 2 MiB.
pub fn peak_file(path: impl AsRef<Path>) -> Result<()> {
    let file = PeakFile::create(path.as_ref())?;
    let mut peak = PEAK.lock();
    let before = peak.file.replace(file);
    peak.note();
    peak.write();
    drop(peak);
    drop(before);
    Ok(())
}

/// The file is the parent's. Nothing is freed, as that may take a lock of the allocator, which its own handlers have not
/// seen to yet; the descriptor stays open until the child becomes another program.
pub(crate) fn after_fork_in_child() {
    std::mem::forget(PEAK.lock().file.take());
}

fn since_1970() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// The most bytes that were alive. What was said once is not taken back.
pub(super) fn bytes() -> u64 {
    static MOST: AtomicI64 = AtomicI64::new(0);
    let now = LIVE_BYTES.load(Relaxed).max(PEAK.lock().bytes).max(0);
    MOST.fetch_max(now, Relaxed).max(now) as u64
}

/// The live heap as it was at its high-water mark, to about 5 %; what was allocated until then is in it, too. `None` if
/// nothing was sampled yet.
///
/// The mark is noted when the sampled size of the live heap exceeds the last one by a twentieth and by 64 KiB, when an
/// allocation is refused, and now. Programs of a few megabytes should set a smaller
/// [`rate`](crate::heap::set_rate): of these, 524 288 bytes a sample show little.
pub fn peak() -> Option<Snapshot> {
    let modules = stack::modules();
    // The program's allocator is not called under the lock: room for all there are, and for many that come meanwhile.
    let mut noted = Vec::with_capacity(BUCKETS.count() * 2 + 1000);
    let mut left_out = 0;
    let mut peak = PEAK.lock();
    peak.note();
    for bucket in BUCKETS.iter() {
        let counts = bucket.value().at_peak.each_ref().map(|count| count.load(Relaxed));
        if counts[0] > 0 {
            if noted.len() < noted.capacity() {
                noted.push((bucket, counts));
            } else {
                left_out += 1;
            }
        }
    }
    let (bytes, time) = (peak.bytes, UNIX_EPOCH + Duration::from_nanos(peak.time));
    drop(peak);
    if bytes == 0 {
        return None;
    }
    let rows =
        noted.into_iter().map(|(bucket, [allocated, freed])| report::row(bucket, allocated, freed)).collect();
    let mut meta = Meta { time, cumulative: false, ..report::meta("heap") };
    meta.comments.push("the live heap as it was when it was largest".to_owned());
    if left_out > 0 {
        meta.comments.push(format!("{left_out} rows left out: they came while this was taken"));
    }
    Some(Snapshot::new(meta, rows, modules))
}
