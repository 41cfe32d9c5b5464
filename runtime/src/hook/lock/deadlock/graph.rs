//! Who waits for whom, read off the threads' own words, and the cycles in it.
//!
//! A cycle is a deadlock if all of it was true at one moment. So everything is looked at twice and the waits once more: a
//! thread that is in the same wait at both ends did not run in between, and what it held in the middle, when all were in
//! their waits already, it holds still. Whoever got a lock and has not said so yet is no cycle's: the holder's number is
//! gone before a lock is released.
use std::collections::HashMap;

use super::order;
use crate::local::Thread;
use crate::local::blocked::Seen;
use crate::local::held::{Access, Hold};

/// A thread that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    /// The thread's number.
    pub(super) thread: u32,
    pub(super) tid: i32,
    pub(super) seen: Seen,
    /// The numbers of those who hold what it waits for and keep it from it, as far as they are known.
    pub(super) holders: Vec<u32>,
    /// Of those who came before it and want the lock alone, so that it may not share it with those who have it.
    pub(super) ahead: Vec<u32>,
    /// What it holds, where that is noted.
    pub(super) held: Vec<Hold>,
}

impl Waiter {
    /// The numbers of all it waits for.
    pub(super) fn waits_for(&self) -> impl Iterator<Item = u32> {
        self.holders.iter().chain(&self.ahead).copied()
    }
}

/// All who wait, and who of them wait for one another.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) waiters: Vec<Waiter>,
    /// Places in `waiters`: each waits for what the next one holds, the last for what the first one holds.
    pub(super) cycles: Vec<Vec<usize>>,
}

/// As it is now.
pub(super) fn look() -> Graph {
    let threads = crate::local::threads();
    let waiters = waiters(&threads);
    let mut cycles = cycles(&waiters);
    if !cycles.is_empty() {
        let second = self::waiters(&threads);
        let third: HashMap<u32, Seen> = threads
            .iter()
            .zip(Thread::look(&threads))
            .filter_map(|(thread, seen)| Some((thread.number(), seen?)))
            .collect();
        cycles = lasting(cycles, [&waiters, &second], &third);
    }
    Graph { waiters, cycles }
}

/// Of the cycles in the first of two looks those that were there in both, and whose waits `third` has, too.
fn lasting(
    cycles: Vec<Vec<usize>>,
    [first, second]: [&[Waiter]; 2],
    third: &HashMap<u32, Seen>,
) -> Vec<Vec<usize>> {
    let lasts = |waiter: &Waiter| {
        let is_same = |other: &Waiter| {
            (other.thread, other.seen, &other.holders) == (waiter.thread, waiter.seen, &waiter.holders)
        };
        second.iter().any(is_same) && third.get(&waiter.thread) == Some(&waiter.seen)
    };
    cycles.into_iter().filter(|cycle| cycle.iter().all(|&place| lasts(&first[place]))).collect()
}

fn waiters(threads: &[&'static Thread]) -> Vec<Waiter> {
    let seen = Thread::look(threads);
    let era = order::checks().then(order::era);
    let held_by = |thread: &'static Thread| -> Vec<Hold> {
        let (Some(era), Some(held)) = (era, thread.held()) else { return Vec::new() };
        held.locks(era).collect()
    };
    let held: Vec<(u32, Vec<Hold>)> =
        threads.iter().map(|thread| (thread.number(), held_by(thread))).collect();
    let waiter = |(thread, seen): (&&'static Thread, Option<Seen>)| {
        let seen = seen?;
        let number = thread.number();
        let holders = match (seen.owner, seen.lock) {
            (0, 0) => Vec::new(),
            (0, lock) => {
                let holds = |(thread, held): &&(u32, Vec<Hold>)| {
                    let in_the_way = held
                        .iter()
                        .filter(|hold| hold.lock == lock && hold.access.excludes(seen.manner.wants));
                    // Who has it already, and is to have more, is not in its own way.
                    let own = seen.manner.raises && *thread == number;
                    in_the_way.count() > usize::from(own)
                };
                held.iter().filter(holds).map(|(thread, _)| *thread).collect()
            }
            (owner, _) => vec![owner],
        };
        let own = held.iter().find(|(thread, _)| *thread == number);
        let held = own.map_or_else(Vec::new, |(_, held)| held.clone());
        let ahead = Vec::new();
        (number != 0).then_some(Waiter { thread: number, tid: thread.tid(), seen, holders, ahead, held })
    };
    let mut waiters: Vec<Waiter> = threads.iter().zip(seen).filter_map(waiter).collect();
    queue(&mut waiters);
    waiters
}

/// Who could share a lock with those who have it waits for those who want it alone and were there before. If it came before
/// them, it waited for somebody else and is about to run, or is woken with its like.
fn queue(waiters: &mut [Waiter]) {
    let alone: Vec<(u32, Seen)> = waiters
        .iter()
        .filter(|waiter| waiter.seen.manner.wants == Access::Alone && !waiter.seen.manner.in_time)
        .map(|waiter| (waiter.thread, waiter.seen))
        .collect();
    for waiter in waiters {
        let seen = waiter.seen;
        if seen.manner.wants == Access::Alone || seen.place == 0 || seen.owner != 0 {
            continue;
        }
        let is_ahead = |(_, other): &&(u32, Seen)| {
            other.place == seen.place && (other.since.wrapping_sub(seen.since) as i64) < 0
        };
        waiter.ahead = alone.iter().filter(is_ahead).map(|(thread, _)| *thread).collect();
    }
}

/// Cycles, no thread in two of them: of threads that wait for one another in several ways, one of the shortest.
///
/// Who gives up by itself is in none.
fn cycles(waiters: &[Waiter]) -> Vec<Vec<usize>> {
    let places: HashMap<u32, usize> =
        waiters.iter().enumerate().map(|(place, waiter)| (waiter.thread, place)).collect();
    let next: Vec<Vec<usize>> = waiters
        .iter()
        .map(|waiter| match waiter.seen.manner.in_time {
            true => Vec::new(),
            false => waiter.waits_for().filter_map(|other| places.get(&other).copied()).collect(),
        })
        .collect();
    let mut found: Vec<Vec<usize>> = Vec::new();
    let mut is_in = vec![false; waiters.len()];
    let mut first: Vec<usize> = (0..waiters.len()).collect();
    first.sort_by_key(|&place| waiters[place].thread);
    for from in first {
        if !is_in[from]
            && let Some(cycle) = shortest(&next, from)
            && !cycle.iter().any(|&place| is_in[place])
        {
            cycle.iter().for_each(|&place| is_in[place] = true);
            found.push(cycle);
        }
    }
    found
}

/// The shortest way from a place back to it.
fn shortest(next: &[Vec<usize>], from: usize) -> Option<Vec<usize>> {
    let mut before: Vec<Option<usize>> = vec![None; next.len()];
    let mut reached = vec![from];
    let mut looked = 0;
    while let Some(&place) = reached.get(looked) {
        looked += 1;
        for &to in &next[place] {
            if to == from {
                let mut way: Vec<usize> =
                    std::iter::successors(
                        Some(place),
                        |&place| if place == from { None } else { before[place] },
                    )
                    .collect();
                way.reverse();
                return Some(way);
            }
            if before[to].is_none() {
                before[to] = Some(place);
                reached.push(to);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::blocked::Manner;

    /// A thread that waits for what others hold.
    fn waiter(thread: u32, holders: &[u32]) -> Waiter {
        let seen = Seen {
            round: 1,
            place: thread as usize,
            lock: 0,
            owner: 0,
            site: 0,
            since: 0,
            stack: None,
            manner: Manner::of(Access::Alone),
        };
        Waiter { thread, tid: 0, seen, holders: holders.to_vec(), ahead: Vec::new(), held: Vec::new() }
    }

    fn threads_of(waiters: &[Waiter]) -> Vec<Vec<u32>> {
        cycles(waiters)
            .iter()
            .map(|cycle| cycle.iter().map(|&place| waiters[place].thread).collect())
            .collect()
    }

    #[test]
    fn a_cycle_is_found_once_and_those_behind_it_are_not_in_it() {
        let waiters = [waiter(5, &[3]), waiter(1, &[2]), waiter(2, &[3]), waiter(3, &[1]), waiter(4, &[5])];
        assert_eq!(threads_of(&waiters), [[1, 2, 3]]);
    }

    #[test]
    fn whoever_waits_for_itself_waits_for_ever() {
        assert_eq!(threads_of(&[waiter(1, &[1]), waiter(2, &[1])]), [[1]]);
    }

    #[test]
    fn chains_are_no_cycles() {
        assert!(threads_of(&[waiter(1, &[2]), waiter(2, &[3]), waiter(3, &[9]), waiter(4, &[])]).is_empty());
    }

    #[test]
    fn of_several_ways_the_shortest_is_shown() {
        // Two readers hold what 1 waits for; by one of them it comes back at once.
        let waiters = [waiter(1, &[2, 4]), waiter(2, &[3]), waiter(3, &[1]), waiter(4, &[1])];
        assert_eq!(threads_of(&waiters), [[1, 4]]);
        let two = [waiter(1, &[2]), waiter(2, &[1]), waiter(3, &[4]), waiter(4, &[3])];
        assert_eq!(threads_of(&two), [[1, 2], [3, 4]]);
    }

    #[test]
    fn readers_wait_for_writers_that_came_before() {
        // 1 reads and waits to write something else, which 3 holds, who came to read what 1 reads: after 2, who is to write
        // it, or before.
        let found = |reader: u64, in_time: bool| {
            let mut waiters = [waiter(1, &[3]), waiter(2, &[1]), waiter(3, &[])];
            for (waiter, since) in waiters[1..].iter_mut().zip([5, reader]) {
                (waiter.seen.place, waiter.seen.since) = (7, since);
            }
            waiters[1].seen.manner.in_time = in_time;
            waiters[2].seen.manner.wants = Access::Shared;
            queue(&mut waiters);
            threads_of(&waiters)
        };
        assert_eq!(found(6, false), [[1, 3, 2]]);
        assert!(found(4, false).is_empty() && found(6, true).is_empty());
    }

    /// A thread that ran between two looks may have let go of what it held at the first.
    #[test]
    fn what_was_so_for_a_moment_is_no_deadlock() {
        let first = [waiter(1, &[2]), waiter(2, &[1])];
        let found = |second: &[Waiter], third: &[Waiter]| {
            let third = third.iter().map(|waiter| (waiter.thread, waiter.seen)).collect();
            lasting(cycles(&first), [&first, second], &third)
        };
        assert_eq!(found(&first, &first), [[0, 1]]);
        // It waits anew, or for another one, or no more: at the second look, or at the third.
        let mut anew = first.clone();
        anew[1].seen.round = 2;
        let other = [waiter(1, &[3]), waiter(2, &[1])];
        assert!(found(&anew, &anew).is_empty() && found(&first, &anew).is_empty());
        assert!(found(&other, &other).is_empty());
        assert!(found(&first[..1], &first).is_empty() && found(&first, &first[1..]).is_empty());
    }

    #[test]
    fn who_gives_up_makes_no_deadlock() {
        let mut waiters = [waiter(1, &[2]), waiter(2, &[1])];
        waiters[1].seen.manner.in_time = true;
        assert!(threads_of(&waiters).is_empty());
    }
}
