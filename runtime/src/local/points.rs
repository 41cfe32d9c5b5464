//! Points in the time that a thread waits, chosen by chance before it waits.
use std::cell::Cell;

use super::Local;
use crate::clock;

/// Where a thread stands between two of them.
#[derive(Debug)]
pub(crate) struct Points {
    /// Ticks of waiting until the next one.
    left: Cell<u64>,
    /// Nanoseconds from point to point in the mean; 0 before the first is drawn.
    mean: Cell<u64>,
}

impl Points {
    /// A mean: none comes.
    pub(crate) const NEVER: u64 = u64::MAX;

    pub(super) const fn new() -> Points {
        Points { left: Cell::new(0), mean: Cell::new(0) }
    }

    /// Ticks until the next one, where the mean is to be `mean` nanoseconds. What was left of another mean is given up:
    /// how far the next one is does not depend on how far the last one is back.
    #[inline(always)]
    pub(crate) fn left(&self, local: &Local, mean: u64) -> u64 {
        if self.mean.get() != mean {
            self.mean.set(mean);
            self.left.set(draw(local, mean));
        }
        self.left.get()
    }

    /// So many ticks were waited. Gives how many points they passed.
    #[inline(always)]
    pub(crate) fn pass(&self, local: &Local, ticks: u64) -> u64 {
        let left = self.left.get();
        if ticks < left {
            self.left.set(left - ticks);
            return 0;
        }
        self.passed(local, ticks)
    }

    #[cold]
    #[inline(never)]
    fn passed(&self, local: &Local, ticks: u64) -> u64 {
        let (mut next, mut points) = (self.left.get(), 0);
        while next <= ticks {
            points += 1;
            next += draw(local, self.mean.get());
        }
        self.left.set(next - ticks);
        points
    }
}

fn draw(local: &Local, mean: u64) -> u64 {
    match mean {
        Points::NEVER => 1 << 60,
        _ => local.random(|random| random.distance(clock::in_ticks(mean))) as u64 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points, each counting for the mean distance, come to what was waited, also where the mean changes between waits. Some
    /// 13 000 points have a standard error of 0.9 %; five of them are allowed.
    #[test]
    fn points_come_to_what_was_waited() {
        crate::local::with(|local| {
            let points = Points::new();
            let (mut waited, mut counted) = ([0_u64; 2], [0_u64; 2]);
            for n in 0..4_000_000_u64 {
                let (which, mean) = if n / 10 % 2 == 0 { (0, 20_000) } else { (1, 30_000) };
                let ticks = n * 7919 % clock::in_ticks(400);
                points.left(local, mean);
                waited[which] += ticks;
                counted[which] += points.pass(local, ticks) * clock::in_ticks(mean);
            }
            for which in [0, 1] {
                let share = counted[which] as f64 / waited[which] as f64;
                assert!((share - 1.0).abs() < 0.045, "{share} of what was waited");
            }
        });
    }

    #[test]
    fn no_point_comes_while_nobody_is_to_be_asked() {
        crate::local::with(|local| {
            let points = Points::new();
            for _ in 0..100 {
                assert!(points.left(local, Points::NEVER) > 1 << 50);
                assert_eq!(points.pass(local, 1 << 40), 0);
            }
        });
    }
}
