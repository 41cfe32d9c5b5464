//! What happened, as encoders are told of it.
//!
//! The [hub](super::hub) takes what the threads recorded, puts it in the order of time and gives it to the encoder of each
//! session, event by event. So an encoder is an ordinary state machine over one stream: it may keep whatever it likes between
//! two events, and never sees a thread's buffer. What it must not do is to trust: events may be missing, at the begin
//! (the session started in the middle of everything), at the end, and in the middle ([`What::Lost`]). An end may come without
//! its begin, a poll begin while the future is being polled elsewhere as far as one knows.
//!
//! Strings, stacks and names are numbers, the same ones for as long as the session lasts. [`Tables`] tells what they stand
//! for; frames are looked up there when somebody asks for the first time, which may take a while.
use std::time::SystemTime;

/// A thread: a number that no other thread of this process has or had. The hub's own events, such as [`What::Heap`], have
/// [`HUB`].
pub(crate) type ThreadId = u32;

/// The thread that nobody's events are on.
pub(crate) const HUB: ThreadId = 0;

/// A future that is profiled, or a user's task: no two of one kind have one number in a process.
pub(crate) type TaskId = u64;

/// A text; 0 is the empty one.
pub(crate) type StringId = u32;

/// A stack, leaf first; 0 is none. Two with one number are the same.
pub(crate) type StackId = u32;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// On which thread.
    pub(crate) thread: ThreadId,
    /// Nanoseconds since [`Beginning::monotonic`]. Never less than that of the event given before.
    pub(crate) time: u64,
    pub(crate) what: What,
}

/// When a session began, by three clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beginning {
    /// Nanoseconds of `CLOCK_MONOTONIC`: time 0 of events.
    pub(crate) monotonic: u64,
    pub(crate) wall: SystemTime,
    pub(crate) process: u32,
}

/// What it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The thread is there: always the first of its events in a session, whenever the thread began. `tid` is what the system
    /// calls it, and may have been another thread's. `started` if the thread begins now; otherwise it was there before
    /// it was seen.
    Thread {
        tid: i32,
        name: StringId,
        started: bool,
        creator: StackId,
    },
    /// It has another name from now on.
    #[allow(dead_code, reason = "nobody watches names yet")]
    ThreadName {
        name: StringId,
    },
    /// The thread is about to end: the last of its events.
    ThreadEnd,
    /// So many of this thread's events before this one are missing. A new generation begins.
    Lost {
        count: u64,
    },

    /// The thread begins to wait. `name` is the lock's or the region's, or 0; `object` tells what is waited for from all else
    /// that is waited for at that time (the address of a lock), or is 0.
    WaitBegin {
        class: Class,
        name: StringId,
        object: u64,
        stack: StackId,
    },
    /// It waits no longer.
    WaitEnd {
        class: Class,
    },
    /// The wait of `thread` that began last ends because of this: an unlock, a message, a notification. Comes before its
    /// `WaitEnd`. The event is on the thread that does it.
    Wake {
        thread: ThreadId,
        class: Class,
        name: StringId,
        stack: StackId,
    },

    /// A profiled future is known from now on. `spawned` if that is before its first poll; otherwise this comes right before its
    /// first `PollBegin`. `parent` is the future that is being polled around it, or 0.
    TaskCreate {
        task: TaskId,
        parent: TaskId,
        name: StringId,
        spawned: bool,
        stack: StackId,
    },
    /// Somebody woke it.
    TaskWake {
        task: TaskId,
        stack: StackId,
    },
    /// It is polled. Polls on one thread are nested: this one may be inside of another future's, or inside of another one of a
    /// runtime that runs in there.
    PollBegin {
        task: TaskId,
    },
    /// It is about to wait: said within the poll that then ends, at the stack down to the leaf. Not of every wait, and perhaps
    /// of several in one poll.
    Await {
        task: TaskId,
        class: Class,
        stack: StackId,
    },
    /// Its poll ends: it waits, or it was ready.
    PollEnd {
        task: TaskId,
        ready: bool,
    },
    /// It is gone: dropped after its end, or `cancelled` before that.
    TaskEnd {
        task: TaskId,
        cancelled: bool,
    },

    /// A function marked `#[profiled]` begins on the thread, or in the future that is polled on it.
    ScopeBegin {
        name: StringId,
        stack: StackId,
    },
    /// It ends. Scopes and regions of a thread are nested.
    ScopeEnd {
        name: StringId,
    },

    /// A user's task, and the one around it or 0.
    UserTaskBegin {
        task: TaskId,
        parent: TaskId,
        name: StringId,
        stack: StackId,
    },
    UserTaskEnd {
        task: TaskId,
        name: StringId,
        stack: StackId,
    },
    /// A user's region on this thread, in the user's task `task` or in none.
    RegionBegin {
        task: TaskId,
        name: StringId,
        stack: StackId,
    },
    RegionEnd {
        task: TaskId,
        name: StringId,
    },
    /// A user's message. Its text is nobody else's: `message` stands for it only until this event has been handled.
    Log {
        task: TaskId,
        category: StringId,
        message: StringId,
        stack: StackId,
    },

    /// The labels in force from now on, `key=value` with commas between.
    Labels {
        labels: StringId,
    },
    /// Bytes of the heap that are alive, estimated.
    Heap {
        bytes: u64,
    },
    /// The CPU was found running on this thread, for as many samples as `weight` says.
    Sample {
        weight: u32,
        stack: StackId,
    },
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Class {
    Other,
    Mutex,
    RwLockRead,
    RwLockWrite,
    Condvar,
    ChannelReceive,
    ChannelSend,
    Once,
    Barrier,
    Semaphore,
    Notify,
    Sleep,
    Park,
    Join,
    Futex,
    /// A `block::region`.
    Region,
    /// A future that waits for something that is none of these.
    Await,
}

impl Class {
    /// All, each at its own number.
    pub(crate) const ALL: [Class; 17] = [
        Class::Other,
        Class::Mutex,
        Class::RwLockRead,
        Class::RwLockWrite,
        Class::Condvar,
        Class::ChannelReceive,
        Class::ChannelSend,
        Class::Once,
        Class::Barrier,
        Class::Semaphore,
        Class::Notify,
        Class::Sleep,
        Class::Park,
        Class::Join,
        Class::Futex,
        Class::Region,
        Class::Await,
    ];

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Class::Other => "wait",
            Class::Mutex => "Mutex",
            Class::RwLockRead => "RwLock read",
            Class::RwLockWrite => "RwLock write",
            Class::Condvar => "Condvar",
            Class::ChannelReceive => "channel receive",
            Class::ChannelSend => "channel send",
            Class::Once => "Once",
            Class::Barrier => "Barrier",
            Class::Semaphore => "Semaphore",
            Class::Notify => "Notify",
            Class::Sleep => "sleep",
            Class::Park => "park",
            Class::Join => "join",
            Class::Futex => "futex",
            Class::Region => "region",
            Class::Await => "await",
        }
    }
}

/// A function at a place, one of those inlined into one another at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// From 1 on; two frames of a session with one number are the same.
    pub(crate) id: u32,
    /// Where the code is. Frames that were inlined there share it.
    pub(crate) address: u64,
    pub(crate) function: &'a str,
    /// Empty if it is not known.
    pub(crate) file: &'a str,
    /// From 1; 0 if it is not known.
    pub(crate) line: u32,
}

/// What the numbers in events stand for.
pub(crate) trait Tables {
    /// 1 024 bytes at the most: a longer one was cut, and ends in an ellipsis.
    fn string(&self, id: StringId) -> &str;

    /// Calls `f` with each frame of a stack, leaf first, 128 at the most. The first call for a stack looks names up.
    fn frames(&mut self, id: StackId, f: &mut dyn FnMut(Frame<'_>));
}

/// Makes a format's bytes of events. Whatever is appended to `out` is written to the session's writer, soon and in this
/// order.
///
/// Called on the hub's thread alone, in this order: `begin`, then for each generation any number of `event` and one
/// `end_generation`, with one `begin_generation` between two of them, in the end `finish`.
pub(crate) trait Encoder: Send {
    /// The session begins.
    fn begin(&mut self, beginning: Beginning, out: &mut Vec<u8>);

    /// Something happened. Does not fail, whatever was missing before it.
    fn event(&mut self, event: Event, tables: &mut dyn Tables, out: &mut Vec<u8>);

    /// At `time` a generation ends: what was written up to here has to be readable without what follows. About once a
    /// second, after about a megabyte, and where events were lost.
    fn end_generation(&mut self, time: u64, tables: &mut dyn Tables, out: &mut Vec<u8>);

    /// Another one begins, at the same time.
    fn begin_generation(&mut self, tables: &mut dyn Tables, out: &mut Vec<u8>) {
        _ = (tables, out);
    }

    /// The session is over, after the last generation's end.
    fn finish(&mut self, tables: &mut dyn Tables, out: &mut Vec<u8>);

    /// Bytes of this generation that are not in `out` yet, at the most.
    fn held(&self) -> usize {
        0
    }

    /// Bytes that the next generation has from its begin on if this one ends now, at the most.
    fn opening(&self) -> usize {
        0
    }
}
