//! Each rule refuses a good file with one thing changed.
use super::*;
use std::io::Write;

/// A message, built field by field.
#[derive(Clone, Default)]
pub(crate) struct Builder(Vec<u8>);

impl Builder {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(mut self, field: u64, value: u64) -> Builder {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Builder {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn part(self, field: u64, value: Builder) -> Builder {
        self.bytes(field, &value.0)
    }
}

fn numbers(fields: &[(u64, u64)]) -> Builder {
    fields.iter().fold(Builder::default(), |message, &(field, value)| message.number(field, value))
}

pub(crate) fn zip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

const TEXTS: [&str; 17] = [
    "",
    "samples",
    "count",
    "cpu",
    "nanoseconds",
    "m::hot",
    "_ZN1m3hotE",
    "src/m.rs",
    "/bin/m",
    "abcd",
    "m::inner",
    "phase",
    "index",
    "_ZN5innerE",
    "bytes",
    "a comment",
    "m::main",
];

/// What Go writes, with a function inlined into another.
pub(crate) fn good() -> Vec<u8> {
    let mut profile = head().number(9, 5);
    for text in TEXTS {
        profile = profile.bytes(6, text.as_bytes());
    }
    profile.part(2, sample()).part(2, numbers(&[(1, 2), (2, 0), (2, u64::MAX)])).0
}

fn sample() -> Builder {
    let labels = [numbers(&[(1, 11), (2, 12)]), numbers(&[(1, 14), (3, 64)])];
    let sample = numbers(&[(1, 1), (1, 2), (2, 1), (2, 10_000_000)]);
    labels.into_iter().fold(sample, |sample, label| sample.part(3, label))
}

fn mapping() -> Builder {
    numbers(&[(1, 1), (2, 0x1000), (3, 0x2000), (5, 8), (6, 9), (7, 1), (8, 1), (9, 1), (10, 1)])
}

fn location() -> Builder {
    let inlined = numbers(&[(1, 2), (2, 10)]);
    numbers(&[(1, 1), (2, 1), (3, 0x1100)]).part(4, inlined).part(4, numbers(&[(1, 1), (2, 4)]))
}

fn head() -> Builder {
    Builder::default()
        .part(1, numbers(&[(1, 1), (2, 2)]))
        .part(1, numbers(&[(1, 3), (2, 4)]))
        .part(3, mapping())
        .part(4, location())
        .part(4, numbers(&[(1, 2), (2, 1), (3, 0x1200)]).part(4, numbers(&[(1, 3), (2, 300)])))
        .part(5, numbers(&[(1, 1), (2, 5), (3, 6), (4, 7), (5, 3)]))
        .part(5, numbers(&[(1, 2), (2, 10), (3, 13), (4, 7), (5, 9)]))
        .part(5, numbers(&[(1, 3), (2, 16), (4, 7)]))
        .part(11, numbers(&[(1, 3), (2, 4)]))
        .number(12, 10_000_000)
        .bytes(13, &[15])
        .number(14, 3)
}

/// The good profile with more fields at its end.
fn with(more: Builder) -> Vec<u8> {
    [good(), more.0].concat()
}

fn add(field: u64, part: Builder) -> Vec<u8> {
    with(Builder::default().part(field, part))
}

#[test]
fn a_good_profile_passes() {
    assert_eq!(strict(&zip(&good()), false), [""; 0]);
    assert_eq!(strict(&zip(&with(numbers(&[(10, 7)]))), true), [""; 0]);
}

#[test]
fn each_rule_refuses_one_change() {
    let text = |text: &[u8]| with(Builder::default().bytes(6, text));
    let new_key = |key: &str, rest: &[(u64, u64)]| {
        let label = numbers(rest).number(1, TEXTS.len() as u64);
        let sample = numbers(&[(2, 1), (2, 1)]).part(3, label.clone());
        Builder::default().bytes(6, key.as_bytes()).part(2, sample.part(3, label))
    };
    let sample = |labels: usize, depth: usize| {
        let sample = numbers(&[(2, 1), (2, 1)]).bytes(1, &vec![1; depth]);
        (0..labels).fold(sample, |sample, _| sample.part(3, numbers(&[(1, 14), (3, 1)])))
    };
    let many = (0..16_001).fold(Builder::default(), |all, _| all.part(2, numbers(&[(2, 1), (2, 1)])));
    let large = (0..80).fold(Builder::default(), |all, n| all.bytes(6, format!("{n:060000}").as_bytes()));
    let trials: Vec<(&str, Vec<u8>)> = vec![
        ("protobuf", good()[..good().len() - 1].to_vec()),
        ("first text", [Builder::default().bytes(6, b"x").0, good()].concat()),
        ("unique texts", text(b"cpu")),
        ("utf-8", text(b"\xff")),
        ("text length", text(&[b'y'; 65_536])),
        ("text index", add(3, mapping().number(1, 2).number(5, 99))),
        ("text index", with(Builder::default().bytes(13, &[99]))),
        ("unknown field", with(numbers(&[(15, 1)]))),
        ("unknown field", add(2, sample(0, 1).number(4, 1))),
        ("ids", add(5, numbers(&[(1, 9), (2, 5), (3, 6)]))),
        ("ids", add(4, numbers(&[(1, 9)]))),
        ("ids", add(3, mapping())),
        ("sample types", Builder::default().number(9, 5).bytes(6, b"").0),
        ("type name", [add(1, numbers(&[(1, 17)])), Builder::default().bytes(6, b"alloc-space").0].concat()),
        ("default type", with(numbers(&[(14, 5)]))),
        ("values", add(2, numbers(&[(2, 1)]))),
        ("location id", add(2, numbers(&[(1, 9), (2, 1), (2, 1)]))),
        ("depth", add(2, sample(0, 1_001))),
        ("label count", add(2, sample(101, 1))),
        ("label twice", add(2, sample(2, 1))),
        ("label key", with(new_key("not.allowed", &[(3, 1)]))),
        ("label key", with(new_key("1st", &[(3, 1)]))),
        ("label value", with(new_key("both", &[(2, 1), (3, 1)]))),
        ("mapping id", add(4, numbers(&[(1, 3), (2, 9)]))),
        ("address", add(4, numbers(&[(1, 3), (2, 1), (3, 0x2000)]))),
        ("function id", add(4, numbers(&[(1, 3)]).part(4, numbers(&[(1, 9)])))),
        ("line", add(4, numbers(&[(1, 3)]).part(4, numbers(&[(1, 1), (2, u64::MAX)])))),
        ("function name", add(5, numbers(&[(1, 4)]))),
        ("system name", add(5, numbers(&[(1, 4), (2, 5), (3, 5)]))),
        ("time", with(numbers(&[(9, 0)]))),
        ("cumulative", with(numbers(&[(10, 7)]))),
        ("samples", with(many)),
        ("size", with(large)),
    ];
    for (rule, body) in trials {
        let found = strict(&zip(&body), false);
        assert!(found.iter().any(|wrong| wrong.starts_with(rule)), "{rule}: {found:?}");
    }
    let unused = add(3, mapping().number(1, 2).number(10, 0));
    assert_eq!(strict(&zip(&unused), false), [""; 0], "an unused mapping needs no flags");
    let nameless = numbers(&[(1, 3), (2, 2), (3, 0x1100)]);
    let named = nameless.clone().part(4, numbers(&[(1, 1), (2, 4)]));
    let [nameless, named] = [nameless, named].map(|location| {
        let used = numbers(&[(1, 3), (2, 1), (2, 1)]);
        strict(&zip(&[&unused[..], &Builder::default().part(4, location).part(2, used).0].concat()), false)
    });
    assert_eq!(nameless, [""; 0], "nor one that nothing is known of");
    assert!(named[0].starts_with("flags"));
    assert!(strict(&zip(&good()), true)[0].starts_with("window"));
    let mut zipped = zip(&good());
    zipped.push(0);
    for broken in [&good()[..], &[], &zipped, &zip(&good())[..20]] {
        assert!(strict(broken, false)[0].starts_with("gzip"));
    }
}
