//! Takes stacks of real code from a signal handler, ours and those of the standard library's unwinder, at one spot.
//!
//! A program of its own rather than a test, so that it is built the way programs are: with `panic = "abort"`, with
//! `strip`, with `lto = "fat"`. Prints a score for each kind of work; exits with 1 if less than 99 % are identical.
mod sampler;
mod work;

use std::collections::HashSet;
use std::hint::black_box;
use std::process::ExitCode;

use profiled_test_stack::ours;
use sampler::{Sample, Sampler};

/// Of each kind of work on each of two threads: 3 500 in all.
const SAMPLES: usize = 250;
/// Identical stacks of a hundred, of all together.
const PERCENT: f64 = 99.0;
/// And of each kind of work on each thread, so that none hides behind the others. One stack is 0.4 here.
const PERCENT_OF_EACH: f64 = 97.0;

#[derive(Default)]
struct Score {
    same: usize,
    all: usize,
    misses: Vec<String>,
}

impl Score {
    fn add(&mut self, sample: &Sample) {
        self.all += 1;
        if sample.is_true() {
            self.same += 1;
        } else if self.misses.len() < 5 {
            self.misses.push(sample.to_string());
        }
    }

    fn percent(&self) -> f64 {
        100.0 * self.same as f64 / self.all.max(1) as f64
    }
}

/// Runs each kind of work on this thread until there are enough samples of it. Says whether none fell short.
fn sample(thread: &str, total: &mut Score) -> bool {
    let mut good = true;
    for (name, work) in work::KINDS {
        let mut sampler = Sampler::start(SAMPLES);
        let mut rounds = 0_u64;
        while !sampler.is_full() {
            black_box(work(rounds));
            rounds += 1;
        }
        let mut score = Score::default();
        let (mut leaves, mut deepest) = (HashSet::<u64>::new(), 0);
        for sample in sampler.stop() {
            score.add(sample);
            total.add(sample);
            leaves.extend(sample.theirs().first());
            deepest = deepest.max(sample.theirs().len());
        }
        println!(
            "{thread}, {name}: {} of {} identical, {} places, up to {deepest} frames, {rounds} rounds",
            score.same,
            score.all,
            leaves.len(),
        );
        good &= score.all == SAMPLES && score.percent() >= PERCENT_OF_EACH;
    }
    good
}

fn main() -> ExitCode {
    // SAFETY: takes a number. A program that hangs ends here.
    unsafe { libc::alarm(300) };
    println!("panic = {}", if cfg!(panic = "abort") { "abort" } else { "unwind" });
    ours::prepare();
    sampler::install();
    let mut total = Score::default();
    let on_main = sample("main", &mut total);
    let (total, on_thread) = std::thread::spawn(move || {
        let good = sample("thread", &mut total);
        (total, good)
    })
    .join()
    .expect("it ended");
    for miss in &total.misses {
        println!("  {miss}");
    }
    println!("{:.3} % of {} stacks are identical", total.percent(), total.all);
    let good = on_main && on_thread && total.percent() >= PERCENT;
    ExitCode::from(u8::from(!good))
}
