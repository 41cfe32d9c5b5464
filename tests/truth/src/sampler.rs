//! A timer, and a handler that takes the interrupted stack both ways.
use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::Once;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};

use profiled_test_stack::{MAX_FRAMES, Reference, ours};

/// Between two samples, in nanoseconds. Not a round number: work that repeats itself is not met at the same place.
const PERIOD: i64 = 503_777;

/// One spot, seen twice. Plain memory, written by the handler.
pub struct Sample {
    ours: [u64; MAX_FRAMES],
    len: usize,
    truncated: bool,
    theirs: [u64; 2 * MAX_FRAMES],
    their_len: usize,
}

impl Sample {
    const EMPTY: Sample =
        Sample { ours: [0; MAX_FRAMES], len: 0, truncated: false, theirs: [0; 2 * MAX_FRAMES], their_len: 0 };

    fn ours(&self) -> &[u64] {
        &self.ours[..self.len]
    }

    pub fn theirs(&self) -> &[u64] {
        &self.theirs[..self.their_len]
    }

    /// Frame by frame the same. A stack that is empty or cut is not: no work here is as deep as that.
    pub fn is_true(&self) -> bool {
        self.len > 0 && !self.truncated && self.ours() == self.theirs()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |address: Option<&u64>| match address {
            None => "nothing".to_owned(),
            Some(&address) => match ours::module_at(address, ours::epoch()) {
                Some((path, _)) => format!("{path}+{:#x}", address - ours::bias(address).unwrap_or(0)),
                None => format!("{address:#x}"),
            },
        };
        let apart = self.ours().iter().zip(self.theirs()).take_while(|(a, b)| a == b).count();
        write!(
            f,
            "{} and {} frames, cut: {}, apart from {apart} on: after {} comes {}, not {}",
            self.len,
            self.their_len,
            self.truncated,
            place(apart.checked_sub(1).and_then(|before| self.ours().get(before))),
            place(self.ours().get(apart)),
            place(self.theirs().get(apart)),
        )
    }
}

/// Where samples go: null while nobody samples. One thread at a time does.
static ROOM: AtomicPtr<Sample> = AtomicPtr::new(std::ptr::null_mut());
static WANTED: AtomicUsize = AtomicUsize::new(0);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static mut REFERENCE: Reference = Reference::new();

#[expect(
    static_mut_refs,
    reason = "the one thread that is sampled, in a handler that does not interrupt itself"
)]
extern "C" fn on_signal(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let (room, at) = (ROOM.load(Acquire), TAKEN.load(Relaxed));
    if room.is_null() || at >= WANTED.load(Relaxed) {
        return;
    }
    // SAFETY: there is room for as many as are wanted, nobody looks before we are done, and the context is ours.
    unsafe {
        let errno = *libc::__errno_location();
        let sample = &mut *room.add(at);
        (sample.len, sample.truncated) = ours::capture_context(context, &mut sample.ours);
        REFERENCE.take();
        // It goes through this handler and the frame of the signal; what was interrupted lies behind.
        let theirs = REFERENCE.addresses().get(REFERENCE.interrupted..).unwrap_or_default();
        for (slot, &address) in sample.theirs.iter_mut().zip(theirs) {
            *slot = address;
        }
        sample.their_len = theirs.len().min(sample.theirs.len());
        *libc::__errno_location() = errno;
    }
    TAKEN.store(at + 1, Release);
}

pub fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Whatever libgcc does the first time, it does here and not in a handler.
        Reference::new().take();
        // SAFETY: installs the handler above. On the thread's own stack, for libgcc wants more than a signal stack has.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
            assert_eq!(libc::sigaction(libc::SIGPROF, &raw const action, std::ptr::null_mut()), 0);
        }
    });
}

/// Samples the thread that made it.
pub struct Sampler {
    timer: libc::timer_t,
    samples: Box<[Sample]>,
}

impl Sampler {
    pub fn start(wanted: usize) -> Sampler {
        let mut samples: Box<[Sample]> = (0..wanted).map(|_| Sample::EMPTY).collect();
        TAKEN.store(0, Relaxed);
        WANTED.store(wanted, Relaxed);
        ROOM.store(samples.as_mut_ptr(), Release);
        // SAFETY: a timer whose signals come to this thread.
        unsafe {
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = libc::SIGPROF;
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer = std::ptr::null_mut();
            // Of real time: the kernel keeps CPU time no finer than its tick, and the work never sleeps.
            assert_eq!(libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer), 0);
            let every = libc::timespec { tv_sec: 0, tv_nsec: PERIOD };
            let setting = libc::itimerspec { it_interval: every, it_value: every };
            assert_eq!(libc::timer_settime(timer, 0, &raw const setting, std::ptr::null_mut()), 0);
            Sampler { timer, samples }
        }
    }

    pub fn is_full(&self) -> bool {
        TAKEN.load(Acquire) >= self.samples.len()
    }

    /// What was taken.
    pub fn stop(&mut self) -> &[Sample] {
        // SAFETY: made in `start`. A signal that is still to come finds no room.
        unsafe { libc::timer_delete(self.timer) };
        ROOM.store(std::ptr::null_mut(), Release);
        &self.samples[..TAKEN.load(Acquire).min(self.samples.len())]
    }
}
