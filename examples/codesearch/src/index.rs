//! The trigram index: for every three bytes in a row, the files that have them.
//!
//! The lists are spread over shards, each behind a lock of its own, and a pool of threads fills them at once. All
//! shards are made at one place in the source, so the profiler shows them as one lock, `codesearch/shard`.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::Receiver;
use profiled::{labels, profile, profile_mutex, profiled};

use crate::walk::{self, File};

/// Few enough that a pool of threads meets at their locks now and then: there should be something to see.
const SHARDS: u32 = 16;

profile! {
    /// Indexes that are alive, each with the stack that made it. More than two, and something holds on to one.
    static INDEXES = "codesearch/indexes";
}

profile_mutex! {
    /// The index that queries use. It is replaced as a whole; whoever still reads the old one keeps it until done.
    static CURRENT: Mutex<Option<Arc<Index>>> = Mutex::new(None);
}

/// Three bytes as a number.
pub(crate) type Trigram = u32;

type Postings = HashMap<Trigram, Vec<u32>>;

/// The index in use, if there is one.
#[profiled]
pub(crate) fn current() -> Option<Arc<Index>> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Puts another index, or none, in the place of the one in use.
#[profiled]
pub(crate) fn replace(index: Option<Arc<Index>>) {
    let old = std::mem::replace(&mut *CURRENT.lock().unwrap_or_else(PoisonError::into_inner), index);
    // Freeing millions of lists takes a while, and the lock is not held for it any more.
    drop(old);
}

/// How far a running indexer is; read by whoever prints it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) files: AtomicUsize,
    pub(crate) bytes: AtomicU64,
    pub(crate) not_text: AtomicUsize,
    pub(crate) unreadable: AtomicUsize,
}

#[derive(Debug)]
pub(crate) struct Index {
    number: u64,
    files: Vec<File>,
    /// Where a profiled lock's type is written out, it is the profiler's name for it.
    shards: Vec<profiled::sync::Mutex<Postings>>,
}

#[profiled]
impl Index {
    fn empty(files: Vec<File>) -> Index {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // A number is given once, so it cannot be in the profile already.
        _ = INDEXES.add(number, 0);
        let shard = |_| profile_mutex!("codesearch/shard", Mutex::new(Postings::new()));
        Index { number, files, shards: (0..SHARDS).map(shard).collect() }
    }

    /// Reads and indexes `files` with a pool of `threads`. Files that cannot be read are counted, not fatal.
    pub(crate) fn build(files: Vec<File>, threads: usize, progress: &Progress) -> Index {
        let index = Index::empty(files);
        let (queue, numbers) = crossbeam_channel::bounded(threads);
        thread::scope(|scope| {
            let mut pool = 0;
            for number in 1..=threads {
                let name = format!("indexer-{number}");
                let work = || index.work(&numbers, progress);
                // A pool that is smaller than asked for is still a pool.
                pool += usize::from(thread::Builder::new().name(name).spawn_scoped(scope, work).is_ok());
            }
            let queue = queue;
            for number in 0..index.files.len() {
                if pool == 0 {
                    index.enter(number, &mut Vec::new(), progress);
                } else {
                    // There is a receiver as long as there is `numbers`.
                    _ = queue.send(number);
                }
            }
        });
        index.sort();
        index
    }

    /// One thread of the pool: takes files until there are no more.
    fn work(&self, numbers: &Receiver<usize>, progress: &Progress) {
        labels! { "phase" => "index" }
        let mut text = Vec::new();
        for number in numbers {
            self.enter(number, &mut text, progress);
        }
    }

    /// Reads a file and enters what is in it.
    #[profiled(skip)]
    fn enter(&self, number: usize, text: &mut Vec<u8>, progress: &Progress) {
        let Some(file) = self.files.get(number) else { return };
        match walk::read(&file.path, text) {
            Err(_) => _ = progress.unreadable.fetch_add(1, Ordering::Relaxed),
            Ok(None) => _ = progress.not_text.fetch_add(1, Ordering::Relaxed),
            Ok(Some(())) => {
                self.add(number as u32, &trigrams(text));
                progress.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
            }
        }
        progress.files.fetch_add(1, Ordering::Relaxed);
    }

    /// Enters a file's trigrams, which come grouped by shard, so that each lock is taken once.
    fn add(&self, file: u32, trigrams: &[Trigram]) {
        for group in trigrams.chunk_by(|a, b| shard_of(*a) == shard_of(*b)) {
            let shard = &self.shards[shard_of(group[0]) as usize];
            let mut postings = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for &trigram in group {
                postings.entry(trigram).or_default().push(file);
            }
        }
    }

    /// Threads finish in any order; lists are ascending from here on.
    fn sort(&self) {
        for shard in &self.shards {
            for list in shard.lock().unwrap_or_else(PoisonError::into_inner).values_mut() {
                list.sort_unstable();
            }
        }
    }

    /// The files that have all of these trigrams: a superset of those that have the text.
    pub(crate) fn candidates(&self, trigrams: &[Trigram]) -> Vec<&File> {
        let mut files: Option<Vec<u32>> = None;
        for &trigram in trigrams {
            let shard =
                self.shards[shard_of(trigram) as usize].lock().unwrap_or_else(PoisonError::into_inner);
            let list = shard.get(&trigram).map_or(&[][..], Vec::as_slice);
            match &mut files {
                None => files = Some(list.to_vec()),
                Some(files) => files.retain(|file| list.binary_search(file).is_ok()),
            }
        }
        files.unwrap_or_default().iter().filter_map(|&file| self.files.get(file as usize)).collect()
    }

    /// (files, distinct trigrams, entries in all lists)
    pub(crate) fn size(&self) -> (usize, usize, usize) {
        let mut size = (self.files.len(), 0, 0);
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            size.1 += shard.len();
            size.2 += shard.values().map(Vec::len).sum::<usize>();
        }
        size
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        INDEXES.remove(self.number);
    }
}

/// The distinct trigrams of a text, grouped by shard.
#[profiled]
pub(crate) fn trigrams(text: &[u8]) -> Vec<Trigram> {
    let mut all: Vec<Trigram> = text.windows(3).map(trigram).collect();
    all.sort_unstable();
    all.dedup();
    all.sort_by_key(|&trigram| shard_of(trigram));
    all
}

fn trigram(bytes: &[u8]) -> Trigram {
    bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte))
}

fn shard_of(trigram: Trigram) -> u32 {
    // Neighbours in the alphabet are neighbours in text: a multiplication spreads them.
    trigram.wrapping_mul(0x9e37_79b9) >> 16 & (SHARDS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trigrams_are_distinct_and_grouped() {
        assert_eq!(trigrams(b"ab"), [0; 0]);
        assert_eq!(trigrams(b"aaaaa"), [0x61_6161]);
        let many = trigrams("the quick brown fox jumps over the lazy dog".as_bytes());
        let groups = many.chunk_by(|a, b| shard_of(*a) == shard_of(*b)).count();
        let shards: std::collections::HashSet<u32> = many.iter().map(|&trigram| shard_of(trigram)).collect();
        assert_eq!(groups, shards.len());
    }

    #[test]
    fn finds_the_files_that_have_all_trigrams() {
        let folder = std::env::temp_dir().join(format!("codesearch-index-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let texts = ["fn main() {}", "fn other() {}", "caf\u{e9} main", ""];
        let mut files: Vec<File> = (0..texts.len())
            .map(|number| File { path: folder.join(format!("{number}.rs")), shown: format!("{number}.rs") })
            .collect();
        for (file, text) in files.iter().zip(texts) {
            std::fs::write(&file.path, text).unwrap();
        }
        files.push(File { path: folder.join("gone.rs"), shown: "gone.rs".into() });

        let progress = Progress::default();
        let index = Index::build(files, 3, &progress);
        let found = |text: &str| -> Vec<&str> {
            index.candidates(&trigrams(text.as_bytes())).iter().map(|file| file.shown.as_str()).collect()
        };
        assert_eq!(found("main"), ["0.rs", "2.rs"]);
        assert_eq!(found("fn "), ["0.rs", "1.rs"]);
        assert_eq!(found("nowhere"), [""; 0]);
        assert_eq!(index.size().0, 5);
        assert_eq!(progress.files.load(Ordering::Relaxed), 5);
        assert_eq!(progress.unreadable.load(Ordering::Relaxed), 1);
        _ = std::fs::remove_dir_all(&folder);
    }
}
