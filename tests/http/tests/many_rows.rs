//! More rows than clients take, scraped again and again while what is large changes: who subtracts one scrape from the
//! next must never find that something went down.
#![allow(missing_docs)]
use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::ops::Range;

use profiled_test_http::get;
use profiled_test_reader::{Profile, strict};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

/// Each of its numbers is a stack of its own: at every level one of two calls.
const LEVELS: u32 = 15;

#[inline(never)]
fn even(number: u32, level: u32, size: usize) {
    down(number, level, size);
    black_box("even");
}

#[inline(never)]
fn odd(number: u32, level: u32, size: usize) {
    down(number, level, size);
    black_box("odd");
}

#[inline(always)]
fn down(number: u32, level: u32, size: usize) {
    if level == LEVELS {
        drop(black_box(Vec::<u8>::with_capacity(size)));
    } else if number >> level & 1 == 0 {
        even(number, level + 1, size);
    } else {
        odd(number, level + 1, size);
    }
}

/// Numbers, how often, bytes each.
type Load = (Range<u32>, u32, usize);

/// Allocates in the stacks of these numbers. They are the same ones whoever calls.
fn stacks(number: u32, size: usize) {
    even(number, 0, size);
}

/// The same at one place, with labels that take a lot of room.
fn labelled(number: u32, size: usize) {
    let long = format!("{number:0>120}");
    let labels = [("first", &*format!("a{long}")), ("second", &*format!("b{long}")), ("third", &*long)];
    profiled::labels::with(&labels, || drop(black_box(Vec::<u8>::with_capacity(size))));
}

type Key = (Vec<(u64, String)>, Vec<String>);
type Rows = BTreeMap<Key, [i64; 2]>;

/// What only grows of the profile, row by row as clients tell them apart.
fn scrape(server: SocketAddr, page: &str) -> (Rows, Vec<String>) {
    let answer = get(server, page);
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !page.contains("rows=0") {
        assert_eq!(strict(&answer.body, false), [""; 0], "{page}");
    }
    let profile = Profile::read(&answer.body);
    let mut rows = Rows::new();
    for sample in profile.samples() {
        let stack = sample.frames.iter().map(|frame| (frame.address, frame.name.clone())).collect();
        let labels = sample.labels.iter().map(|label| format!("{label:?}")).collect();
        let values = [sample.value("alloc_objects"), sample.value("alloc_space")];
        assert_eq!(rows.insert((stack, labels), values), None, "one row twice");
    }
    (rows, profile.comments)
}

/// What Alloy sends on of two scrapes, and what nobody may ever see.
fn differences(before: &Rows, now: &Rows) -> [i64; 2] {
    let mut sums = [0; 2];
    for key in before.keys().chain(now.keys().filter(|key| !before.contains_key(*key))) {
        let [old, new] = [before, now].map(|rows| rows.get(key).copied().unwrap_or_default());
        for index in 0..2 {
            let difference = new[index] - old[index];
            assert!(difference >= 0, "{difference} from {old:?} to {new:?}: {key:?}");
            sums[index] += difference;
        }
    }
    sums
}

fn totals(rows: &Rows) -> [i64; 2] {
    [0, 1].map(|index| rows.values().map(|values| values[index]).sum())
}

fn other(rows: &Rows) -> [i64; 2] {
    let all: Vec<_> =
        rows.iter().filter(|((stack, _), _)| stack.iter().any(|(_, name)| name == "[other]")).collect();
    assert_eq!(all.len(), 1, "one row for the others");
    *all[0].1
}

/// One test, as rates are the process's.
#[test]
fn what_was_shown_never_goes_down() {
    let server = profiled::http::serve("127.0.0.1:0").unwrap();
    let addr = server.local_addr().socket_addr().unwrap();
    // On a thread of its own, whose stack begins there: a number is the same row each time.
    let load = |work: fn(u32, usize), loads: &'static [Load]| {
        profiled::heap::set_rate(1);
        let run = move || {
            for (numbers, times, size) in loads {
                (0..*times).for_each(|_| numbers.clone().for_each(|number| work(number, *size)));
            }
        };
        std::thread::spawn(run).join().unwrap();
        profiled::heap::set_rate(0);
    };
    // Everything fits.
    load(stacks, &[(0..8_000, 1, 1_000)]);
    let (first, _) = scrape(addr, "allocs");
    assert!(first.len() >= 8_000, "{}", first.len());
    // A thousand or more do not, the smaller ones by a byte.
    load(stacks, &[(8_000..16_000, 1, 3_000), (16_000..17_000, 1, 2_999)]);
    let (second, comments) = scrape(addr, "allocs");
    assert_eq!(second.len(), 16_000, "{comments:?}");
    assert!(comments.iter().any(|comment| comment.contains("folded into [other]")), "{comments:?}");
    assert_eq!(differences(&first, &second)[1], totals(&second)[1] - totals(&first)[1]);
    // The smallest become the largest, and some come that are larger still.
    load(stacks, &[(16_000..17_000, 9, 2_999), (17_000..18_000, 9, 4_000), (0..4_000, 1, 1_000)]);
    let (third, _) = scrape(addr, "allocs");
    assert_eq!(third.len(), 16_000);
    let sent = differences(&second, &third);
    assert_eq!(sent, [0, 1].map(|index| totals(&third)[index] - totals(&second)[index]));
    let hidden = other(&third)[1] - other(&second)[1];
    assert!(hidden >= 1_000 * 9 * 4_000, "newcomers have no rows of their own: {hidden}");
    let (all, _) = scrape(addr, "allocs?rows=0");
    assert!(all.len() >= 18_000, "{}", all.len());
    assert_eq!(totals(&all), totals(&third), "nothing is lost");
    // Fewer of them are some of the same, and people see what is large.
    let (few, _) = scrape(addr, "allocs?rows=100");
    assert_eq!(few.len(), 100);
    let others = other(&few);
    for (key, values) in &few {
        assert!(third.get(key) == Some(values) || *values == others, "{key:?}");
    }
    let text = get(addr, "allocs?rows=100&debug=1").text();
    assert!(text.matches("[10: 29990]").count() >= 90, "{}", &text[..2_000]);

    // Too many bytes, before there are too many rows.
    load(labelled, &[(0..10_000, 1, 5_000)]);
    let (first, comments) = scrape(addr, "heap");
    assert!((5_000..15_000).contains(&first.len()), "{}", first.len());
    assert!(comments.iter().any(|comment| comment.contains("too many bytes")), "{comments:?}");
    load(labelled, &[(2_000..12_000, 3, 5_000)]);
    load(stacks, &[(16_000..18_000, 9, 100_000)]);
    let grown =
        |rows: &Rows| rows.iter().filter(|((_, labels), row)| labels.len() > 1 && row[0] == 4).count();
    let (second, _) = scrape(addr, "heap");
    let grown = grown(&second);
    assert!((1_000..9_000).contains(&grown), "some of those that grew are shown, some are not: {grown}");
    let sent = differences(&first, &second);
    assert_eq!(sent, [0, 1].map(|index| totals(&second)[index] - totals(&first)[index]));
    assert_eq!(totals(&second), totals(&scrape(addr, "heap?rows=0").0), "nothing is lost");
}
