//! What does it cost to write 100 000 distinct stacks of 30 frames, streamed, against building a tree of messages
//! first? Both from the same snapshot, without gzip and without names, alternating in one process.
//!
//! `cargo bench --bench encode`
use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use profiled::__private::bench;
use profiled::Snapshot;
use prost::Message;

#[allow(dead_code)]
#[path = "../src/encode/proto.rs"]
mod proto;

use proto::{Location, Profile, Sample, ValueType};

const STACKS: usize = 100_000;
const DEPTH: usize = 30;
/// Distinct addresses, as many as a large program shows.
const ADDRESSES: u64 = 10_000;
const ROUNDS: usize = 30;

fn stacks() -> Vec<Vec<u64>> {
    let mut seed = 0x9e37_79b9_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    // Few functions near the root, more towards the leaf, as programs have them.
    let mut frame = |depth: usize| {
        let spread = ADDRESSES >> (depth * 8 / DEPTH);
        0x5555_0000_0000 + (next() % spread.max(1)) * 48 + (depth as u64 * 8 / DEPTH as u64)
    };
    (0..STACKS).map(|_| (0..DEPTH).map(&mut frame).collect()).collect()
}

fn tree(snapshot: &Snapshot) -> Vec<u8> {
    let mut profile = Profile { string_table: vec![String::new()], ..Profile::default() };
    let mut ids: HashMap<u64, u64> = HashMap::new();
    for kind in snapshot.value_types() {
        let at = profile.string_table.len() as i64;
        profile.string_table.extend([kind.name.to_owned(), kind.unit.to_owned()]);
        profile.sample_type.push(ValueType { r#type: at, unit: at + 1 });
    }
    for sample in snapshot.samples() {
        let location_id = sample.addresses().iter().map(|&address| {
            *ids.entry(address).or_insert_with(|| {
                let id = profile.location.len() as u64 + 1;
                profile.location.push(Location { id, address, ..Location::default() });
                id
            })
        });
        profile.sample.push(Sample {
            location_id: location_id.collect(),
            value: sample.values().to_vec(),
            label: Vec::new(),
        });
    }
    profile.encode_to_vec()
}

fn streamed(snapshot: &Snapshot, out: &mut Vec<u8>) {
    out.clear();
    bench::write_uncompressed(snapshot, out).expect("memory takes everything");
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    let stacks = stacks();
    let snapshot = bench::snapshot(stacks.iter().map(Vec::as_slice));
    assert_eq!(snapshot.samples().len(), STACKS);
    let mut out = Vec::with_capacity(64 << 20);
    streamed(&snapshot, &mut out);
    let (ours, theirs) = (Profile::decode(&*out), Profile::decode(&*tree(&snapshot)));
    let (ours, theirs) = (ours.expect("ours reads back"), theirs.expect("the tree reads back"));
    assert!(ours.sample == theirs.sample && ours.location == theirs.location, "the two say the same");
    println!("{STACKS} stacks of {DEPTH} frames, {} addresses, {} bytes", ours.location.len(), out.len());

    let (mut copy, mut stream, mut build) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        black_box(snapshot.clone());
        copy.push(start.elapsed());
        let start = Instant::now();
        streamed(&snapshot, &mut out);
        stream.push(start.elapsed());
        let start = Instant::now();
        black_box(tree(&snapshot));
        build.push(start.elapsed());
    }
    let least = |times: &[Duration]| times.iter().min().map_or(0.0, |time| time.as_secs_f64() * 1e3);
    println!("copy of the rows: min {:.2} ms, median {:.2} ms", least(&copy), median(copy.clone()));
    println!("streamed:         min {:.2} ms, median {:.2} ms", least(&stream), median(stream.clone()));
    println!("tree first:       min {:.2} ms, median {:.2} ms", least(&build), median(build.clone()));
    println!(
        "ratio:            min {:.2}, median {:.2}",
        least(&build) / least(&stream),
        median(build) / median(stream)
    );
}
