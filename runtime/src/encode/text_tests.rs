use std::sync::Arc;

use super::*;
use crate::encode::Format;
use crate::record::{ValueType, pseudo};
use crate::snapshot::{Column, Key, Meta, Row};
use crate::store::{Labels, Stack};
use crate::symbol::Frame;
use crate::symbol::tests::fix;

fn text(shape: Shape, profile: &'static str, rows: Vec<Row>, comments: &[&str]) -> String {
    let types = match shape {
        Shape::Heap => 4,
        Shape::Contention { .. } => 2,
        _ => 1,
    };
    let meta = Meta {
        profile,
        shape,
        value_types: vec![ValueType::default(); types],
        comments: comments.iter().map(|&comment| comment.to_owned()).collect(),
        ..Meta::default()
    };
    write(&Snapshot::new(meta, rows, Arc::default()))
}

fn write(snapshot: &Snapshot) -> String {
    let (mut text, mut verbose) = (Vec::new(), Vec::new());
    snapshot.write(&mut text, Format::Text).unwrap();
    snapshot.write(&mut verbose, Format::Verbose).unwrap();
    assert_eq!(text, verbose);
    String::from_utf8(text).unwrap()
}

fn row(stack: &[u64], values: [i64; 4]) -> Row {
    Row { key: Key::of(Stack::intern(stack, 0)), values }
}

/// Two addresses with code, one of them with an inlined function.
fn names() {
    fix(
        0x47_0010,
        &[
            Frame::test("alloc::vec::Vec<T>::push", "/rust/vec.rs", (300, 0), 0x47_0010, 0x47_0000),
            Frame::test("shop::keep", "/app/shop.rs", (20, 17), 0x47_0010, 0x47_0000),
        ],
    );
    fix(0x48_0020, &[Frame::test("shop::main", "/app/main.rs", (96, 90), 0x48_0020, 0x48_0000)]);
}

#[test]
fn heap() {
    names();
    let rows = vec![
        row(&[0x47_0010, 0x48_0020], [21, 86016, 21, 86016]),
        row(&[0x48_0020, 0x49_0000, pseudo::TRUNCATED], [60, 491_520, 0, 0]),
    ];
    let expected = "\
heap profile: 21: 86016 [81: 577536] @ heap/2
# 1 sample in 524288 bytes
21: 86016 [21: 86016] @ 0x470011 0x480021
#\t0x470010\talloc::vec::Vec<T>::push+0x10\t/rust/vec.rs:300
#\t0x470010\tshop::keep+0x10\t\t\t/app/shop.rs:20
#\t0x480020\tshop::main+0x20\t\t\t/app/main.rs:96

0: 0 [60: 491520] @ 0x480021 0x490001 0x2
#\t0x480020\tshop::main+0x20\t/app/main.rs:96
#\t0x490000
#\t0x1\t[truncated]

";
    assert_eq!(text(Shape::Heap, "heap", rows, &["1 sample in 524288 bytes"]), expected);
}

#[test]
fn a_heap_where_nothing_was_freed_reads_as_one_with_allocations() {
    let equal = text(Shape::Heap, "heap", vec![row(&[0x49_0000], [2, 64, 2, 64])], &[]);
    assert!(equal.starts_with("heap profile: 2: 64 [2: 65] @ heap/2\n2: 64 [2: 64] @ 0x490001\n"), "{equal}");
}

#[test]
fn block() {
    names();
    let rows = vec![row(&[0x47_0010], [79, 662_668_214, 0, 0])];
    let expected = "\
--- contention:
cycles/second=1000000000
662668214 79 @ 0x470011
#\t0x470010\talloc::vec::Vec<T>::push+0x10\t/rust/vec.rs:300
#\t0x470010\tshop::keep+0x10\t\t\t/app/shop.rs:20

";
    assert_eq!(text(Shape::Contention { mutex: false }, "block", rows, &[]), expected);
}

#[test]
fn mutex() {
    names();
    let key = Key { lock: Some("or\"ders"), scope: Some("shop::pay"), ..row(&[0x48_0020], [0; 4]).key };
    let rows = vec![Row { key, values: [79, 664_012_609, 0, 0] }];
    let expected = "\
--- mutex:
cycles/second=1000000000
sampling period=1
# recording is off
# since a while
664012609 79 @ 0x480021
# labels: {\"lock\":\"or\\\"ders\", \"profiled\":\"shop::pay\"}
#\t0x480020\tshop::main+0x20\t/app/main.rs:96

";
    let found = text(Shape::Contention { mutex: true }, "mutex", rows, &["recording is off\nsince a while"]);
    assert_eq!(found, expected);
}

#[test]
fn count() {
    names();
    let labels = Labels::intern(b"\x08endpoint\x06/hello\x06tenant\x03a b");
    let rows = vec![
        row(&[0x48_0020], [3, 0, 0, 0]),
        Row { key: Key { labels, bytes: Some(7), ..row(&[0x48_0020], [0; 4]).key }, values: [2, 0, 0, 0] },
    ];
    let expected = "\
open_conns profile: total 5
3 @ 0x480021
#\t0x480020\tshop::main+0x20\t/app/main.rs:96

2 @ 0x480021
# labels: {\"endpoint\":\"/hello\", \"tenant\":\"a b\"}
#\t0x480020\tshop::main+0x20\t/app/main.rs:96

";
    assert_eq!(text(Shape::Count, "open conns", rows, &[]), expected);
}

#[test]
fn table() {
    let columns = &[
        Column { title: "calls", unit: Unit::Count },
        Column { title: "mean", unit: Unit::Nanoseconds },
        Column { title: "allocated", unit: Unit::Bytes },
        Column { title: "contended", unit: Unit::Percent },
    ];
    let rows = vec![
        ("shop::checkout".to_owned(), vec![Some(12_345.0), Some(1_236_000.0), Some(524_288.0), Some(12.345)]),
        ("größe".to_owned(), vec![Some(0.0), None, Some(0.0)]),
    ];
    let table = Some(Table { columns, rows });
    let meta = Meta {
        profile: "functions",
        shape: Shape::Table,
        table,
        comments: vec!["since the start".into()],
        ..Meta::default()
    };
    let expected = "\
# since the start
functions       calls    mean  allocated  contended
shop::checkout  12345  1.24ms     512KiB      12.3%
größe               0       -         0B          -
";
    assert_eq!(write(&Snapshot::new(meta, Vec::new(), Arc::default())), expected);
}

#[test]
fn figures_have_three_digits() {
    for (value, unit, expected) in [
        (0.0, Unit::Nanoseconds, "0ns"),
        (0.25, Unit::Nanoseconds, "0.25ns"),
        (999.4, Unit::Nanoseconds, "999ns"),
        (999.6, Unit::Nanoseconds, "1us"),
        (1_500.0, Unit::Nanoseconds, "1.5us"),
        (12_345_678.0, Unit::Nanoseconds, "12.3ms"),
        (90e9, Unit::Nanoseconds, "1.5min"),
        (7200e9, Unit::Nanoseconds, "2h"),
        (-2_000.0, Unit::Nanoseconds, "-2us"),
        (1023.0, Unit::Bytes, "1023B"),
        (1024.0, Unit::Bytes, "1KiB"),
        (1_073_741_824.0 * 2.5, Unit::Bytes, "2.5GiB"),
        (100.0, Unit::Percent, "100%"),
        (7.0, Unit::Count, "7"),
    ] {
        assert_eq!(human(value, unit), expected, "{value}");
    }
}
