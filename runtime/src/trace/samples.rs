//! Samples of the CPU, on their way to the hub.
use super::record;
use crate::fork::Lock;
use crate::store::Stack;

/// A sample of the CPU, which others took.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) tid: i32,
    /// Ticks.
    pub(super) at: u64,
    pub(super) weight: u32,
    /// As [`Stack::expose`] has it.
    pub(super) stack: usize,
}

static SAMPLES: Lock<Vec<Sample>> = Lock::new(Vec::new());

/// Samples that wait for the hub: some minutes' worth of one processor.
#[cfg_attr(profiled_portable, allow(dead_code, reason = "the portable backend takes none"))]
const MOST_SAMPLES: usize = 1 << 16;

/// A sample of the CPU was taken: told by the thread that takes samples in.
#[cfg_attr(profiled_portable, expect(dead_code, reason = "the portable backend takes none"))]
pub(crate) fn sampled(tid: i32, at: u64, weight: u32, stack: Stack) {
    let mut samples = SAMPLES.lock();
    if samples.len() < MOST_SAMPLES {
        samples.push(Sample { tid, at, weight, stack: stack.expose() });
    } else {
        record::lose_untold();
    }
}

/// Those that came since the last time.
pub(super) fn take() -> Vec<Sample> {
    std::mem::take(&mut SAMPLES.lock())
}
