//! Packets of a thread: with a clock of their own that counts from packet to packet, a track that need not be named, and
//! texts and stacks that are said once in a generation.
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

use super::super::event::{Class, StackId, StringId, Tables};
use super::super::tables::{Map, Words};
use super::proto::{self, Clock, ClockSnapshot, Defaults, Frame, Interned, Packet, Text, TrackEventDefaults};

/// What something is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Name {
    #[default]
    None,
    Fixed(&'static str),
    String(StringId),
    Wait(Class, StringId),
    Await(Class),
}

/// The ids of what was ever said: the same ones in all sequences and generations.
#[derive(Default)]
pub(super) struct Dictionary {
    strings: Map<StringId, u32>,
    names: HashMap<Name, u32>,
    texts: HashMap<Box<str>, u32>,
    /// Stacks without a frame.
    empty: HashSet<StackId>,
    last: u32,
}

impl Dictionary {
    fn name(&mut self, name: Name) -> u32 {
        let entry = match name {
            Name::String(id) => self.strings.entry(id).or_default(),
            name => self.names.entry(name).or_default(),
        };
        if *entry == 0 {
            self.last += 1;
            *entry = self.last;
        }
        *entry
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(&id) = self.texts.get(text) {
            return id;
        }
        self.last += 1;
        self.texts.insert(text.into(), self.last);
        self.last
    }
}

/// What ids are of.
#[derive(Clone, Copy)]
enum Kind {
    Event,
    Annotation,
    Function,
    File,
    Frame,
    Stack,
}

/// What is said together with a packet.
pub(super) type News = Option<Box<Interned>>;

pub(super) struct Sequence {
    id: u32,
    track: u64,
    /// The generation in which it was begun last; 0 for none.
    generation: u32,
    /// Of its last packet.
    time: u64,
    said: HashSet<u64, BuildHasherDefault<Words>>,
    /// Something is missing right before its next packet.
    pub(super) has_lost: bool,
}

impl Sequence {
    /// Not 0, and no other has it.
    pub(super) fn new(id: u32, track: u64) -> Sequence {
        Sequence { id, track, generation: 0, time: 0, said: HashSet::default(), has_lost: false }
    }

    /// Sees to it that packets of this generation can be read without those before it. Whether it had to.
    pub(super) fn begin(&mut self, generation: u32, time: u64, wall: Option<u64>, out: &mut Vec<u8>) -> bool {
        if self.generation == generation && !self.has_lost {
            return false;
        }
        let clock = |id, timestamp| Clock { id, timestamp, is_incremental: id == proto::INCREMENTAL };
        let mut clocks = vec![clock(proto::INCREMENTAL, time), clock(proto::MONOTONIC, time)];
        clocks.extend(wall.map(|wall| clock(proto::REALTIME, wall)));
        let first = Packet {
            clock_snapshot: Some(Box::new(ClockSnapshot { clocks, primary: proto::MONOTONIC })),
            sequence: self.id,
            sequence_flags: proto::CLEARED,
            previous_packet_dropped: self.has_lost,
            first_packet_on_sequence: self.generation == 0,
            defaults: Some(Box::new(Defaults {
                track_event: Some(TrackEventDefaults { track: self.track }),
                clock: proto::INCREMENTAL,
            })),
            ..Packet::default()
        };
        write(&first, out);
        self.generation = generation;
        self.time = time;
        self.has_lost = false;
        self.said.clear();
        true
    }

    /// Writes a packet of something that happened at `time`.
    pub(super) fn packet(&mut self, mut packet: Packet, time: u64, out: &mut Vec<u8>) {
        packet.sequence = self.id;
        packet.sequence_flags = proto::NEEDS;
        packet.timestamp = Some(time.saturating_sub(self.time));
        self.time = self.time.max(time);
        write(&packet, out);
    }

    fn is_new(&mut self, kind: Kind, id: u32) -> bool {
        self.said.insert((kind as u64) << 32 | u64::from(id))
    }

    /// The id of an event's name.
    pub(super) fn name(
        &mut self,
        name: Name,
        words: &mut Dictionary,
        tables: &dyn Tables,
        news: &mut News,
    ) -> u64 {
        if name == Name::None {
            return 0;
        }
        let id = words.name(name);
        if self.is_new(Kind::Event, id) {
            let text = match name {
                Name::None => String::new(),
                Name::Fixed(text) => text.to_owned(),
                Name::String(id) => tables.string(id).to_owned(),
                Name::Wait(class, 0) => format!("wait: {}", class.name()),
                Name::Wait(class, id) => format!("wait: {} {}", class.name(), tables.string(id)),
                Name::Await(Class::Await) => "await".to_owned(),
                Name::Await(class) => format!("await: {}", class.name()),
            };
            news.get_or_insert_default().event_names.push(Text { id: id.into(), text });
        }
        id.into()
    }

    /// That of an annotation's.
    pub(super) fn annotation(&mut self, name: &'static str, words: &mut Dictionary, news: &mut News) -> u64 {
        let id = words.name(Name::Fixed(name));
        if self.is_new(Kind::Annotation, id) {
            let text = name.to_owned();
            news.get_or_insert_default().annotation_names.push(Text { id: id.into(), text });
        }
        id.into()
    }

    /// That of a stack; 0 for none.
    pub(super) fn stack(
        &mut self,
        stack: StackId,
        words: &mut Dictionary,
        tables: &mut dyn Tables,
        news: &mut News,
    ) -> u64 {
        if stack == 0 || words.empty.contains(&stack) {
            return 0;
        }
        if self.is_new(Kind::Stack, stack) {
            let mut frames = Vec::new();
            tables.frames(stack, &mut |frame| {
                frames.push(u64::from(frame.id));
                if !self.is_new(Kind::Frame, frame.id) {
                    return;
                }
                let news = news.get_or_insert_default();
                let function = words.text(frame.function);
                if self.is_new(Kind::Function, function) {
                    news.functions.push(Text { id: function.into(), text: frame.function.to_owned() });
                }
                let mut file = 0;
                if !frame.file.is_empty() {
                    file = words.text(frame.file);
                    if self.is_new(Kind::File, file) {
                        news.files.push(Text { id: file.into(), text: frame.file.to_owned() });
                    }
                }
                news.frames.push(Frame {
                    id: frame.id.into(),
                    function: function.into(),
                    file: file.into(),
                    line: frame.line,
                });
            });
            if frames.is_empty() {
                words.empty.insert(stack);
                return 0;
            }
            frames.reverse();
            news.get_or_insert_default().stacks.push(proto::Stack { id: stack.into(), frames });
        }
        stack.into()
    }
}

/// Writes a packet, whatever it is.
pub(super) fn write(packet: &Packet, out: &mut Vec<u8>) {
    prost::encoding::message::encode(1, packet, out);
}
