//! Since when threads wait.
//!
//! The kernel tells when a thread ran last, by the clock of the processor that it ran on. These clocks differ, by whatever
//! time other guests of the machine had of each. What such a clock says now, a thread tells that has just run there: one
//! that answered. Once it is known since when a thread waits, that is kept: to be asked wakes it for a moment, which is not
//! the end of its wait.
use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::sys::look::{Look, Ran};

/// A thread that waited at a dump.
#[derive(Clone, Copy)]
struct Waited {
    started: u64,
    since: Instant,
    /// How often it had gone to wait when we looked, and how often our signal has it do so once more.
    switches: u64,
}

/// What is kept from one dump to the next.
#[derive(Default)]
pub(super) struct Memory(HashMap<i32, Waited>);

impl Memory {
    /// Threads were asked, and nobody looked how often they had gone to wait.
    pub(super) fn allow_for_a_signal(&mut self) {
        self.0.values_mut().for_each(|waited| waited.switches += 1);
    }
}

/// What one dump finds out.
pub(super) struct Waits {
    before: Memory,
    now: Memory,
    clocks: HashMap<u64, Duration>,
    /// Of whom only the processor's clock is known: its place in the dump.
    open: Vec<(usize, i32, u64, Duration)>,
}

impl Waits {
    pub(super) fn new(before: Memory) -> Waits {
        Waits { before, now: Memory::default(), clocks: HashMap::new(), open: Vec::new() }
    }

    /// A thread waits, the one at `index`. Since when, if that is known by now.
    pub(super) fn meet(
        &mut self,
        index: usize,
        tid: i32,
        look: &Look,
        ran: Ran,
        asked: bool,
    ) -> Option<Instant> {
        let known = self.before.0.get(&tid);
        let known = known.filter(|known| known.started == look.started && ran.switches <= known.switches);
        let since = known.map(|known| known.since);
        if since.is_none() {
            self.open.push((index, tid, look.processor, ran.last));
        }
        let switches = ran.switches + u64::from(asked);
        let waited = Waited { started: look.started, since: since.unwrap_or_else(Instant::now), switches };
        self.now.0.insert(tid, waited);
        since
    }

    /// A thread has just run there, at `last` by the processor's clock.
    pub(super) fn tell(&mut self, processor: u64, last: Duration) {
        let clock = self.clocks.entry(processor).or_default();
        *clock = last.max(*clock);
    }

    /// Whether somebody waits since a moment of this processor's clock, and that is not known.
    pub(super) fn wants(&self, processor: u64) -> bool {
        !self.clocks.contains_key(&processor) && self.open.iter().any(|&(_, _, of, _)| of == processor)
    }

    /// Since when the others wait, by their places; and what is to be kept. Of whom that remains unknown, it is known from
    /// now on that it has been waiting.
    pub(super) fn settle(mut self) -> (Vec<(usize, Duration)>, Memory) {
        let now = Instant::now();
        let mut waits = Vec::with_capacity(self.open.len());
        for (index, tid, processor, last) in self.open {
            let Some(clock) = self.clocks.get(&processor) else { continue };
            let wait = clock.saturating_sub(last);
            waits.push((index, wait));
            if let (Some(waited), Some(since)) = (self.now.0.get_mut(&tid), now.checked_sub(wait)) {
                waited.since = since;
            }
        }
        (waits, self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(started: u64, processor: u64) -> Look {
        Look { name: String::new(), state: 2, silent: None, started, processor }
    }

    fn ran(seconds: u64, switches: u64) -> Ran {
        Ran { last: Duration::from_secs(seconds), switches }
    }

    #[test]
    fn each_processor_has_a_clock_of_its_own() {
        let mut waits = Waits::new(Memory::default());
        assert!(waits.meet(0, 10, &look(1, 0), ran(100, 5), true).is_none());
        assert!(waits.meet(1, 11, &look(1, 1), ran(190, 5), true).is_none());
        assert!(waits.meet(2, 12, &look(1, 2), ran(1, 5), true).is_none());
        assert!(waits.wants(0) && waits.wants(1) && !waits.wants(3));
        waits.tell(0, Duration::from_secs(107));
        waits.tell(1, Duration::from_secs(191));
        waits.tell(1, Duration::from_secs(190));
        assert!(!waits.wants(0) && waits.wants(2));
        let (found, memory) = waits.settle();
        assert_eq!(found, [(0, Duration::from_secs(7)), (1, Duration::from_secs(1))]);
        // The signal had each of them go to wait once more.
        let mut waits = Waits::new(memory);
        let since = |waits: &mut Waits, tid, started, switches| {
            let since = waits.meet(0, tid, &look(started, 0), ran(108, switches), true);
            since.map(|since| since.elapsed().as_secs())
        };
        assert_eq!(since(&mut waits, 10, 1, 6), Some(7), "the same wait");
        let (_, mut memory) = waits.settle();
        memory.allow_for_a_signal();
        let mut waits = Waits::new(memory);
        assert_eq!(since(&mut waits, 10, 1, 8), Some(7), "asked once more");

        assert_eq!(since(&mut waits, 10, 1, 10), None, "another one");
        assert_eq!(since(&mut waits, 10, 2, 8), None, "another thread");
    }
}
