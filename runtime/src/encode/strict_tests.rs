//! Ten thousand profiles made by chance, of what a program may have in it and of what nobody would expect: each is written
//! as one that the strictest reader takes.
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use profiled_test_reader::{Profile, strict};

use crate::encode::Format;
use crate::module::{Module, ModuleMap, Segment};
use crate::rate::Random;
use crate::record::{ValueType, pseudo};
use crate::snapshot::{Key, MAX_VALUES, Meta, Places, Row, Shape, Snapshot};
use crate::store::{Labels, Stack};
use crate::symbol::tests::fix;
use crate::symbol::{Frame, Level};

const SNAPSHOTS: u64 = 10_000;

const TYPES: &[(&str, &str)] = &[
    ("samples", "count"),
    ("cpu", "nanoseconds"),
    ("inuse_space", "bytes"),
    ("open-conns", "count"),
    ("example.com/conns", "count"),
    ("a b", "count"),
    ("<script>", ""),
    ("\u{fc}mlaut", "bytes"),
    ("--", "count"),
];
const TEXTS: &[&str] = &[
    "",
    "checkout",
    "<alloc::vec::Vec<T> as core::ops::Drop>::drop",
    "{{closure}}",
    "a;b",
    "\0",
    "line\nbreak",
    "\u{1f980}",
    "_ZN4core3fmt5write17h0123456789abcdefE",
    "%s%n",
    "\"quoted\"",
    "\u{202e}",
    " ",
    "0x10",
];
const KEYS: &[&str] = &[
    "user",
    "user-agent",
    "user_agent",
    "user.agent",
    "1st",
    "",
    "bytes",
    "lock",
    "profiled",
    "thread",
    "wait",
    "\u{fc}",
    "_",
    "__",
    "a b",
    "id",
    "wait_ns",
    "created_by",
    "state",
];

struct Chance(Random);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }

    fn text(&mut self) -> String {
        match self.below(3000) {
            0 => "\u{e4}".repeat(40_000),
            _ => format!("{}{}", self.of(TEXTS), self.of(TEXTS)),
        }
    }

    /// Mostly small, at times as much as there can be.
    fn value(&mut self) -> i64 {
        match self.below(20) {
            0 => 0,
            1 => i64::MAX,
            2 => -(self.below(1000) as i64),
            _ => self.below(1_000_000) as i64,
        }
    }

    /// A label set as it is stored: length and text of key and value, in turns.
    fn labels(&mut self) -> Labels {
        let mut encoded = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for _ in 0..self.below(5) {
            let key = *self.of(KEYS);
            // A set has a key once.
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            for text in [key, *self.of(TEXTS)] {
                encoded.push(text.len() as u8);
                encoded.extend(text.as_bytes());
            }
        }
        Labels::intern(&encoded)
    }

    /// Addresses with code behind them and without, named and nameless, and those that are none.
    fn stack(&mut self) -> Stack {
        let deep = if self.one_in(1000) { 1200 } else { self.below(12) };
        let addresses: Vec<u64> = (0..deep)
            .map(|_| match self.below(16) {
                0 => *self.of(&[
                    pseudo::TRUNCATED,
                    pseudo::LOST,
                    pseudo::OTHER,
                    pseudo::WAKE_UP,
                    pseudo::UNKNOWN,
                ]),
                1 => *self.of(&[1, 0xfff, 0x1_0000_0000, u64::MAX / 2]),
                2 => 0x5000 + self.below(0x2000),
                _ => 0x1000 + self.below(0x400),
            })
            .collect();
        Stack::intern(&addresses, self.below(2) as u32)
    }

    fn snapshot(&mut self) -> Snapshot {
        let mut kinds: Vec<ValueType> = Vec::new();
        for _ in 0..1 + self.below(MAX_VALUES as u64) {
            let (name, unit) = *self.of(TYPES);
            if kinds.iter().all(|kind| kind.name != name) {
                kinds.push(ValueType::new(name, unit));
            }
        }
        let (name, unit) = *self.of(TYPES);
        let meta = Meta {
            profile: "chance",
            default_type: self.one_in(2).then(|| self.below(kinds.len() as u64) as usize),
            value_types: kinds,
            period: (ValueType::new(name, unit), self.value()),
            time: SystemTime::UNIX_EPOCH + Duration::from_nanos(1 + self.below(1 << 61)),
            duration: self.one_in(2).then(|| Duration::from_nanos(self.below(3) * self.below(1 << 40))),
            comments: (0..self.below(4)).map(|_| self.text()).collect(),
            places: *self.of(&[Places::Code, Places::Hooked, Places::HookedQuietly]),
            shape: Shape::Count,
            ..Meta::default()
        };
        let rows = (0..self.below(12)).map(|_| {
            let mut key = Key::of(self.stack());
            key.labels = self.labels();
            key.bytes = self.one_in(3).then(|| self.value());
            key.lock = self.one_in(3).then(|| *self.of(TEXTS));
            key.scope = self.one_in(3).then(|| *self.of(TEXTS));
            key.tags = if self.one_in(3) { self.labels() } else { Labels::none() };
            key.id = self.one_in(4).then(|| self.value());
            key.wait = self.one_in(4).then(|| self.value());
            Row { key, values: [(); MAX_VALUES].map(|()| self.value()) }
        });
        let rows = rows.collect();
        Snapshot::new(meta, rows, self.modules())
    }

    fn modules(&mut self) -> Arc<ModuleMap> {
        let module = |path: &str, start: u64, end: u64, build_id: Vec<u8>, epochs: (u32, u32)| {
            let text = vec![Segment { start, end, offset: start & 0xfff }];
            let (first_epoch, last_epoch) = epochs;
            Arc::new(Module { path: path.to_owned(), build_id, bias: 0, text, first_epoch, last_epoch })
        };
        let mut modules = vec![module("/bin/shop", 0x1000, 0x3000, vec![0xab, 1], (0, u32::MAX))];
        if self.one_in(2) {
            modules.push(module("/lib/gone \"x\".so", 0x5000, 0x6000, Vec::new(), (0, 0)));
        }
        if self.one_in(2) {
            modules.push(module("", 0x5800, 0x7000, vec![7; 20], (1, u32::MAX)));
        }
        Arc::new(ModuleMap { modules, elsewhere: false })
    }
}

#[test]
fn whatever_is_in_a_snapshot_the_strictest_reader_takes_it() {
    let mut chance = Chance(Random::new(20_260_901));
    // Names for half of the code: of one function or several, the same again, odd ones.
    for address in (0x1000..0x1400).filter(|address| address % 2 == 0) {
        let frames: Vec<Frame> = (0..1 + chance.below(3))
            .map(|_| {
                let (name, mut file) = (chance.text(), String::new());
                _ = write!(file, "/src/{}.rs", chance.of(TEXTS));
                Frame::test(&name, &file, (chance.below(9) as u32, chance.below(9) as u32), 0, 0)
            })
            .collect();
        fix(address, &frames);
    }
    let mut samples = 0;
    for number in 0..SNAPSHOTS {
        let snapshot = chance.snapshot();
        let mut file = Vec::new();
        let level = *chance.of(&[Level::Lines, Level::Names, Level::Raw]);
        snapshot.write_with(&mut file, Format::Pprof, level).unwrap();
        let mut wrong = strict(&file, snapshot.duration().is_some());
        // That what is named at all is named in full is not promised where names alone were asked for.
        wrong.retain(|wrong| level == Level::Lines || !wrong.starts_with("flags: "));
        assert!(wrong.is_empty(), "snapshot {number}, {level:?}: {wrong:#?}\n{snapshot:#?}");
        // Nothing is lost on the way: the sums are what they were.
        let read = Profile::read(&file);
        for (index, (name, _)) in read.types.iter().enumerate() {
            let written: i128 = read.samples().iter().map(|sample| i128::from(sample.values[index])).sum();
            let there: i128 = snapshot.rows.iter().map(|row| i128::from(row.values[index])).sum();
            assert_eq!(written, there, "snapshot {number}: {name}");
        }
        samples += read.samples().len();
    }
    assert!(samples > 3 * SNAPSHOTS as usize, "{samples}");
}
