//! Perfetto's messages, with the fields that we write. A trace is any number of [`Packet`]s, each as field 1.
//!
//! An id of a text, a frame or a stack ("iid") is of its sequence, and never 0.

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Packet {
    #[prost(message, optional, boxed, tag = "6")]
    pub(super) clock_snapshot: Option<Box<ClockSnapshot>>,
    #[prost(uint64, optional, tag = "8")]
    pub(super) timestamp: Option<u64>,
    #[prost(uint32, tag = "10")]
    pub(super) sequence: u32,
    #[prost(message, optional, tag = "11")]
    pub(super) track_event: Option<TrackEvent>,
    #[prost(message, optional, boxed, tag = "12")]
    pub(super) interned: Option<Box<Interned>>,
    #[prost(uint32, tag = "13")]
    pub(super) sequence_flags: u32,
    #[prost(message, optional, boxed, tag = "35")]
    pub(super) stats: Option<Box<TraceStats>>,
    #[prost(bool, tag = "42")]
    pub(super) previous_packet_dropped: bool,
    #[prost(message, optional, boxed, tag = "59")]
    pub(super) defaults: Option<Box<Defaults>>,
    #[prost(message, optional, boxed, tag = "60")]
    pub(super) track: Option<Box<TrackDescriptor>>,
    #[prost(message, optional, tag = "66")]
    pub(super) sample: Option<PerfSample>,
    #[prost(bool, tag = "87")]
    pub(super) first_packet_on_sequence: bool,
}

/// Of [`Packet::sequence_flags`]: what was interned before does not count any more.
pub(super) const CLEARED: u32 = 1;
/// Of [`Packet::sequence_flags`]: nothing without what was interned before.
pub(super) const NEEDS: u32 = 2;

/// What one moment is by several clocks.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ClockSnapshot {
    #[prost(message, repeated, tag = "1")]
    pub(super) clocks: Vec<Clock>,
    #[prost(uint32, tag = "2")]
    pub(super) primary: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Clock {
    #[prost(uint32, tag = "1")]
    pub(super) id: u32,
    #[prost(uint64, tag = "2")]
    pub(super) timestamp: u64,
    /// Timestamps of this clock are nanoseconds since the one before in their sequence.
    #[prost(bool, tag = "3")]
    pub(super) is_incremental: bool,
}

pub(super) const REALTIME: u32 = 1;
pub(super) const MONOTONIC: u32 = 3;
/// The first of those that are a sequence's own.
pub(super) const INCREMENTAL: u32 = 64;

/// What packets of a sequence have unless they say otherwise.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Defaults {
    #[prost(message, optional, tag = "11")]
    pub(super) track_event: Option<TrackEventDefaults>,
    #[prost(uint32, tag = "58")]
    pub(super) clock: u32,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct TrackEventDefaults {
    #[prost(uint64, tag = "11")]
    pub(super) track: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TrackDescriptor {
    #[prost(uint64, tag = "1")]
    pub(super) uuid: u64,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(message, optional, tag = "3")]
    pub(super) process: Option<Process>,
    #[prost(message, optional, tag = "4")]
    pub(super) thread: Option<Thread>,
    #[prost(uint64, tag = "5")]
    pub(super) parent: u64,
    #[prost(message, optional, tag = "8")]
    pub(super) counter: Option<Counter>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Process {
    #[prost(int32, tag = "1")]
    pub(super) pid: i32,
    #[prost(string, tag = "6")]
    pub(super) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Thread {
    #[prost(int32, tag = "1")]
    pub(super) pid: i32,
    #[prost(int32, tag = "2")]
    pub(super) tid: i32,
    #[prost(string, tag = "5")]
    pub(super) name: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Counter {
    #[prost(uint32, tag = "3")]
    pub(super) unit: u32,
}

/// Of [`Counter::unit`].
pub(super) const COUNT: u32 = 2;
pub(super) const BYTES: u32 = 3;

/// Something on a track.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TrackEvent {
    #[prost(message, repeated, tag = "4")]
    pub(super) annotations: Vec<Annotation>,
    #[prost(uint32, tag = "9")]
    pub(super) kind: u32,
    #[prost(uint64, tag = "10")]
    pub(super) name: u64,
    /// 0: that of the sequence.
    #[prost(uint64, tag = "11")]
    pub(super) track: u64,
    #[prost(int64, optional, tag = "30")]
    pub(super) counter: Option<i64>,
    /// Not repeated as we write it.
    #[prost(fixed64, tag = "47")]
    pub(super) flow: u64,
    #[prost(fixed64, tag = "48")]
    pub(super) last_of_flow: u64,
    #[prost(uint64, tag = "56")]
    pub(super) stack: u64,
}

/// Of [`TrackEvent::kind`].
pub(super) const BEGIN: u32 = 1;
pub(super) const END: u32 = 2;
pub(super) const INSTANT: u32 = 3;
pub(super) const COUNTER: u32 = 4;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Annotation {
    #[prost(uint64, tag = "1")]
    pub(super) name: u64,
    #[prost(uint64, optional, tag = "3")]
    pub(super) number: Option<u64>,
    #[prost(string, optional, tag = "6")]
    pub(super) text: Option<String>,
}

/// What ids stand for from this packet on.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Interned {
    #[prost(message, repeated, tag = "2")]
    pub(super) event_names: Vec<Text>,
    #[prost(message, repeated, tag = "3")]
    pub(super) annotation_names: Vec<Text>,
    #[prost(message, repeated, tag = "5")]
    pub(super) functions: Vec<Text>,
    #[prost(message, repeated, tag = "6")]
    pub(super) frames: Vec<Frame>,
    #[prost(message, repeated, tag = "7")]
    pub(super) stacks: Vec<Stack>,
    #[prost(message, repeated, tag = "18")]
    pub(super) files: Vec<Text>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Text {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(string, tag = "2")]
    pub(super) text: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Frame {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(uint64, tag = "2")]
    pub(super) function: u64,
    #[prost(uint64, tag = "5")]
    pub(super) file: u64,
    #[prost(uint32, tag = "6")]
    pub(super) line: u32,
}

/// Frames, the outermost first.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Stack {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(uint64, repeated, packed = "false", tag = "2")]
    pub(super) frames: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct PerfSample {
    #[prost(uint32, tag = "2")]
    pub(super) pid: u32,
    #[prost(uint32, tag = "3")]
    pub(super) tid: u32,
    #[prost(uint64, tag = "4")]
    pub(super) stack: u64,
    #[prost(uint32, tag = "5")]
    pub(super) mode: u32,
    #[prost(uint64, tag = "6")]
    pub(super) count: u64,
}

/// Of [`PerfSample::mode`]: in the program.
pub(super) const USER: u32 = 2;

/// What the recorder says of itself.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TraceStats {
    #[prost(message, repeated, tag = "1")]
    pub(super) buffers: Vec<BufferStats>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct BufferStats {
    /// Events that were never written, up to now.
    #[prost(uint64, tag = "19")]
    pub(super) lost: u64,
}
