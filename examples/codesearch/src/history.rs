//! A leak to look for, with `--leak`: what was searched is remembered together with the last file that was read, and
//! nobody ever forgets it.
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

struct Past {
    _text: Vec<u8>,
    _file: Vec<u8>,
}

static LEAKS: AtomicBool = AtomicBool::new(false);
static PAST: Mutex<Vec<Past>> = Mutex::new(Vec::new());

/// From now on queries are remembered.
pub(crate) fn leak() {
    LEAKS.store(true, Relaxed);
}

/// Remembers a query, if that was asked for.
#[inline(never)]
pub(crate) fn remember(text: &[u8], file: &[u8]) {
    if LEAKS.load(Relaxed) {
        let past = Past { _text: text.to_vec(), _file: file.to_vec() };
        PAST.lock().unwrap_or_else(PoisonError::into_inner).push(past);
    }
}
