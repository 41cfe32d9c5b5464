//! What has to hold. Each runs until every order was tried, and panics where it does not hold.
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicU64 as Plain, Ordering::Relaxed};

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::account::{Account, Left};
use super::meter::Meter;
use super::store::bucket::{Blocks, Bucket};
use super::store::intern::Table;
use super::store::live::Live;
use crate::stand_ins::{keep, model};

static BUCKETS: [Bucket<Blocks>; 4] =
    [Bucket(0, PhantomData), Bucket(1, PhantomData), Bucket(2, PhantomData), Bucket(3, PhantomData)];

/// Addresses. To the filter `A` and `C` are at one place.
const A: usize = 0x400;
const B: usize = 0x800;
const C: usize = 0xc00;

/// A map that all threads know.
fn live() -> &'static Live {
    let live = keep(Live::new());
    assert_eq!((live.count(), live.iter().count()), (0, 0));
    assert!(!live.may_hold(A) && !live.may_hold(B));
    live
}

fn insert(live: &Live, address: usize, n: usize) {
    assert!(live.insert(address, &BUCKETS[n], BUCKETS[n].0));
}

/// Takes a block out that has to be there, as what it was put in.
fn remove(live: &Live, address: usize, n: usize) {
    assert!(live.may_hold(address), "the filter denies a block that is there");
    let block = live.remove(address).expect("it is there");
    assert_eq!((block.bucket.0, block.birth), (BUCKETS[n].0, BUCKETS[n].0), "it is what was put there");
    assert!(live.remove(address).is_none(), "it comes out once");
}

/// Blocks that go in at once: each comes out where it went in, once. The first level is made meanwhile.
pub fn inserts_race() {
    model(2, || {
        let live = live();
        let other = thread::spawn(move || {
            insert(live, A, 1);
            remove(live, A, 1);
            insert(live, A, 2);
        });
        insert(live, C, 3);
        other.join().unwrap();
        assert_eq!(live.count(), 2);
        remove(live, A, 2);
        remove(live, C, 3);
        assert_eq!((live.count(), live.iter().count()), (0, 0));
        assert!(!live.may_hold(A), "the filter is as it was");
    });
}

/// One more than a line holds: the last goes to the next level.
pub fn a_line_overflows() {
    model(2, || {
        let live = live();
        insert(live, B, 0);
        let other = thread::spawn(move || insert(live, A, 1));
        insert(live, C, 3);
        other.join().unwrap();
        assert_eq!((live.count(), live.iter().count()), (3, 3));
        for (address, n) in [(A, 1), (B, 0), (C, 3)] {
            remove(live, address, n);
        }
    });
}

/// A block is freed by another thread than it was allocated by, while a third one is at the same line and place.
pub fn a_block_is_handed_over() {
    model(2, || {
        let live = live();
        insert(live, B, 0);
        let there = keep(AtomicBool::new(false));
        let gives = thread::spawn(move || {
            insert(live, A, 1);
            there.store(true, Ordering::Release);
        });
        let beside = thread::spawn(move || {
            remove(live, B, 0);
            insert(live, C, 3);
        });
        if there.load(Ordering::Acquire) {
            remove(live, A, 1);
        }
        gives.join().unwrap();
        beside.join().unwrap();
        remove(live, C, 3);
    });
}

/// Whoever looks through the map finds what stays, and of what comes and goes only what was there.
pub fn a_look_beside_changes() {
    model(2, || {
        let live = live();
        insert(live, B, 0);
        insert(live, A, 1);
        let other = thread::spawn(move || {
            remove(live, A, 1);
            insert(live, A, 2);
            remove(live, A, 2);
            insert(live, C, 3);
        });
        let mut stays = 0;
        for block in live.iter() {
            assert_eq!(block.bucket.0, block.birth, "of two different blocks");
            stays += u32::from(block.birth == 0);
        }
        assert_eq!(stays, 1, "it was there all the time");
        other.join().unwrap();
    });
}

/// A record's value: the model complains where it is read and its making is not known to have come before.
pub struct Made(UnsafeCell<u32>);

impl Default for Made {
    fn default() -> Made {
        Made(UnsafeCell::new(7))
    }
}

impl Made {
    fn is_whole(&self) -> bool {
        #![expect(unsafe_code, reason = "nobody writes")]
        // SAFETY: nobody writes it after it was made.
        self.0.with(|value| unsafe { *value } == 7)
    }
}

/// Threads that meet the same slice get the same record, and find it whole.
pub fn slices_are_met_at_once() {
    model(2, || {
        let table: &Table<u64, Made, 10, 1> = keep(Table::new());
        assert_eq!((table.count(), table.refused(), table.iter().count()), (0, 0, 0));
        let meet = |slice: &[u64], tag: u32| {
            let record = table.intern(slice, tag).unwrap();
            assert!(record.value().is_whole() && record.elements() == slice && record.tag() == tag);
            record
        };
        let other = thread::spawn(move || {
            let record = meet(&[1, 2], 3);
            meet(&[4], 5);
            ptr::from_ref(record).addr()
        });
        meet(&[6, 7, 8], 9);
        let record = meet(&[1, 2], 3);
        assert!(table.iter().all(|record| record.value().is_whole()));
        assert_eq!(other.join().unwrap(), ptr::from_ref(record).addr(), "one slice, one record");
        assert_eq!((table.count(), table.iter().count()), (3, 3));
    });
}

/// A meter that has nothing.
fn meter() -> &'static Meter {
    let meter = keep(Meter::new());
    let left = meter.pause();
    meter.resume(left);
    assert_eq!(meter.read().bytes, 0);
    meter
}

/// Who reads a thread's total finds one that it had, and never less than before.
fn reads(meter: &Meter, totals: &[i64]) {
    let (first, second) = (meter.read().bytes, meter.read().bytes);
    assert!(totals.contains(&first) && totals.contains(&second), "{first}, {second}: no such total");
    assert!(first <= second, "{second} after {first}");
}

/// A total is read while its thread draws.
pub fn a_thread_draws() {
    model(2, || {
        let meter = meter();
        let other = thread::spawn(move || {
            meter.set(100);
            meter.subtract(1);
            meter.set(1000);
            meter.subtract(2);
        });
        reads(meter, &[0, 1, 3]);
        other.join().unwrap();
        assert_eq!(meter.read().bytes, 3);
    });
}

/// A total is read while its thread goes aside, and draws there.
pub fn a_thread_goes_aside() {
    model(3, || {
        let meter = meter();
        let other = thread::spawn(move || {
            meter.subtract(1);
            let left = meter.pause();
            meter.resume(left);
            meter.subtract(2);
            let left = meter.pause();
            meter.set(5);
            meter.subtract(1000);
            meter.resume(left);
        });
        reads(meter, &[0, 1, 3]);
        other.join().unwrap();
        assert_eq!(meter.read().bytes, 3);
    });
}

/// A lock's words, and what they came to. What only the model keeps is no step of a thread.
struct Ledger {
    account: Account,
    time: Plain,
    /// The last moment at which somebody may have been charged.
    last: Plain,
    waited: Plain,
    charged: Plain,
    gaps: Plain,
}

fn ledger() -> &'static Ledger {
    let new = || Plain::new(0);
    let account = Account::new();
    let ledger =
        keep(Ledger { account, time: Plain::new(100), last: new(), waited: new(), charged: new(), gaps: new() });
    // Each is used once before it is shared.
    let ticket = ledger.account.arrive(1, 0);
    assert_eq!(ledger.account.charge(2, 0), Some(1));
    ledger.account.serve(0);
    assert_eq!(ledger.account.leave(ticket, 2, 0), Left { gap: 0, server: Some(0) });
    assert!(ledger.account.put(1, 0) && ledger.account.settle().is_none());
    ledger
}

impl Ledger {
    /// It is later whenever somebody looks.
    fn now(&self) -> u64 {
        self.time.fetch_add(10, Relaxed)
    }

    fn waits(&self, generation: u32, gives_up: bool) {
        let start = self.now();
        let ticket = self.account.arrive(start, generation);
        let now = self.now();
        let gap = match gives_up {
            true => self.account.cancel(ticket, now, generation),
            false => self.account.leave(ticket, now, generation).gap,
        };
        let last = self.last.load(Relaxed).max(start);
        let least = now as i64 - last as i64;
        // Who gives up leaves what it waited to others, and whom nobody counts has none.
        let counts = !gives_up && gap != 0;
        assert!(!counts || gap >= least, "charged up to later than anybody was: {gap} instead of {least} at {now} from {start}");
        self.gaps.fetch_add(gap as u64, Relaxed);
        self.waited.fetch_add(now - start, Relaxed);
    }

    fn charges(&self, generation: u32) {
        let now = self.now();
        self.last.fetch_max(now, Relaxed);
        if let Some(due) = self.account.charge(now, generation) {
            self.charged.fetch_add(due, Relaxed);
            self.account.serve(1);
        }
    }

    fn charged(&self) -> u64 {
        self.charged.load(Relaxed).wrapping_add(self.gaps.load(Relaxed))
    }

    /// Each moment that was waited was charged to somebody, or nobody's, and nothing else was.
    fn comes_out(&self, gave_up: bool) {
        assert!(gave_up || self.account.is_idle(), "who leaves last takes what is left");
        self.charges(0);
        assert_eq!(self.waited.load(Relaxed), self.charged(), "what was waited is charged");
        assert!(self.account.is_idle(), "nobody waits and nothing is due");
        assert_eq!(self.account.waiters(0), 0);
    }
}

/// Two wait while a third one holds the lock and lets go, as readers and writers do: in any order.
pub fn a_holder_is_charged() {
    model(2, || {
        let ledger = ledger();
        let other = thread::spawn(move || ledger.waits(0, false));
        let holder = thread::spawn(move || ledger.charges(0));
        ledger.waits(0, false);
        other.join().unwrap();
        holder.join().unwrap();
        ledger.comes_out(false);
    });
}

/// Two who share a lock let go at once.
pub fn two_holders_are_charged() {
    model(2, || {
        let ledger = ledger();
        let holders = [(); 2].map(|()| thread::spawn(move || ledger.charges(0)));
        ledger.waits(0, false);
        holders.into_iter().for_each(|holder| holder.join().unwrap());
        ledger.comes_out(false);
    });
}

/// One of two gives up.
pub fn a_wait_is_cancelled() {
    model(2, || {
        let ledger = ledger();
        let other = thread::spawn(move || ledger.waits(0, true));
        let holder = thread::spawn(move || ledger.charges(0));
        ledger.waits(0, false);
        other.join().unwrap();
        holder.join().unwrap();
        ledger.comes_out(true);
    });
}

/// The words are those of another process when two threads of this one meet them at once. What one of them waits while
/// the other one clears them may go unaccounted; never is there more than was waited.
pub fn a_child_begins_anew() {
    model(2, || {
        let ledger = ledger();
        _ = ledger.account.arrive(3, 0);
        let other = thread::spawn(move || ledger.waits(1, false));
        let holder = thread::spawn(move || ledger.charges(1));
        ledger.waits(1, false);
        other.join().unwrap();
        holder.join().unwrap();
        ledger.charges(1);
        assert!(ledger.charged() <= ledger.waited.load(Relaxed), "more than was waited");
        assert!(ledger.account.is_idle(), "nobody waits and nothing is due");
    });
}

/// Asks who holds the lock at `time`. Whoever does answers with eight times that.
fn asks(account: &Account, time: u64) {
    if account.put(time, 0) {
        let marked = account.asked(time).is_some();
        let answer = account.settle();
        assert!(answer.is_none_or(|answer| answer == 8 * time), "{answer:?} is no answer to {time}");
        assert!(marked || answer.is_some(), "a question of {time} that no holder sees");
    }
}

/// Two ask while a third one lets go.
pub fn holders_are_asked() {
    model(3, || {
        let account = &ledger().account;
        let other = thread::spawn(move || asks(account, 10));
        let holder = thread::spawn(move || {
            if let Some(question) = account.asked(50) {
                account.answer(question, 8 * (question >> 1));
            }
        });
        asks(account, 20);
        other.join().unwrap();
        holder.join().unwrap();
        assert!(account.is_idle(), "nobody asks any more");
        assert!(account.put(30, 0), "nobody asks any more");
        assert!(account.asked(29).is_none() && account.asked(30).is_some(), "not before its time");
    });
}

/// The same with those who wait alone, which are fewer orders.
pub fn two_begin_anew() {
    model(2, || {
        let ledger = ledger();
        _ = ledger.account.arrive(3, 0);
        let other = thread::spawn(move || ledger.waits(1, false));
        ledger.waits(1, false);
        other.join().unwrap();
        ledger.charges(1);
        assert!(ledger.charged() <= ledger.waited.load(Relaxed), "more than was waited");
        assert!(ledger.account.is_idle(), "nobody waits and nothing is due");
    });
}
