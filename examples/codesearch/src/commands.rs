//! What the program does beside answering: it indexes, again and again, and does what it is told.
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use profiled::{profile_mutex, profiled};

use crate::index::{self, Index, Progress};
use crate::walk;

profile_mutex! {
    /// One indexer at a time: the pool has all the processors already.
    static INDEXER: Mutex<()> = Mutex::new(());
}

/// The indexer and the switch of it. Shared by the server, the terminal and the thread that indexes.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) limit: u64,
    pub(crate) threads: usize,
    /// Off after `drop`: what was dropped on purpose should not come back by itself.
    active: AtomicBool,
    rounds: AtomicUsize,
}

impl Commands {
    pub(crate) fn new(roots: Vec<PathBuf>, limit: u64, threads: usize) -> Commands {
        Commands { roots, limit, threads, active: AtomicBool::new(true), rounds: AtomicUsize::new(0) }
    }

    /// Walks, indexes, and puts the new index into use. Says how far it is if `loud`.
    #[profiled]
    pub(crate) fn index(&self, loud: bool) -> String {
        let _alone = INDEXER.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = Instant::now();
        let found = walk::sources(&self.roots, self.limit);
        let progress = Progress::default();
        let total = (found.files.len(), found.bytes);
        let ready = AtomicBool::new(false);
        let index = thread::scope(|scope| {
            let printer = loud.then(|| scope.spawn(|| report(&progress, total, begin, &ready)));
            let index = Index::build(found.files, self.threads, &progress);
            ready.store(true, Ordering::Relaxed);
            if let Some(printer) = printer {
                printer.thread().unpark();
            }
            index
        });
        if self.active.load(Ordering::Relaxed) {
            index::replace(Some(Arc::new(index)));
        }
        self.rounds.fetch_add(1, Ordering::Relaxed);
        let mut text = line("indexed", &progress, begin);
        let unreadable = found.unreadable + progress.unreadable.load(Ordering::Relaxed);
        let not_text = progress.not_text.load(Ordering::Relaxed);
        text += &format!(" ({unreadable} could not be read, {not_text} were not text)");
        if found.cut {
            text += &format!("; stopped at {} MB, --max-mb changes that", self.limit >> 20);
        }
        text
    }

    /// Indexes again and again: `rounds` times in all, or for ever if that is 0.
    #[profiled]
    pub(crate) fn keep_indexing(&self, rounds: usize, pause: Duration) {
        while rounds == 0 || self.rounds.load(Ordering::Relaxed) < rounds {
            thread::sleep(pause);
            if self.active.load(Ordering::Relaxed) {
                self.index(false);
            }
        }
    }

    pub(crate) fn drop_index(&self) -> String {
        self.active.store(false, Ordering::Relaxed);
        index::replace(None);
        "dropped; the live heap falls. `index` makes it again".into()
    }

    pub(crate) fn index_again(&self) -> String {
        self.active.store(true, Ordering::Relaxed);
        self.index(false)
    }

    pub(crate) fn stats(&self) -> String {
        let rounds = self.rounds.load(Ordering::Relaxed);
        match index::current() {
            None => format!("no index; indexed {rounds} times"),
            Some(index) => {
                let (files, trigrams, entries) = index.size();
                format!("{files} files, {trigrams} trigrams, {entries} entries; indexed {rounds} times")
            }
        }
    }
}

/// Shows the progress until it is complete: in place on a terminal, a line every two seconds elsewhere.
fn report(progress: &Progress, (files, bytes): (usize, u64), begin: Instant, ready: &AtomicBool) {
    let mut out = io::stderr();
    let live = out.is_terminal();
    let pause = Duration::from_millis(if live { 100 } else { 2_000 });
    loop {
        thread::park_timeout(pause);
        if ready.load(Ordering::Relaxed) {
            break;
        }
        let text = format!("{}, of {files} files, {:.1} MB", line("indexing", progress, begin), mb(bytes));
        // A terminal that went away is no reason to stop.
        _ = if live { write!(out, "\r{text}  ") } else { writeln!(out, "{text}") };
    }
    if live {
        _ = write!(out, "\r\x1b[K");
    }
}

fn line(doing: &str, progress: &Progress, begin: Instant) -> String {
    let files = progress.files.load(Ordering::Relaxed);
    let mb = mb(progress.bytes.load(Ordering::Relaxed));
    format!("{doing} {files} files, {mb:.1} MB in {:.1} s", begin.elapsed().as_secs_f64())
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
