//! Folded stacks and flame graphs of real profiles, against the same snapshot's pprof file.
use std::collections::BTreeMap;
use std::hint::black_box;

use profiled::{Format, Snapshot, profiled};
use profiled_test_profiles::{FlameGraph, Profile, Stacks, alone, cumulative, folded};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

profiled::profile! { static GAUGE = "gauge; <b> & 100%\0" }

fn written(snapshot: &Snapshot, format: Format) -> String {
    let mut bytes = Vec::new();
    snapshot.write(&mut bytes, format).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn stacks(snapshot: &Snapshot) -> Stacks {
    folded(&written(snapshot, Format::Folded)).unwrap()
}

fn graph(snapshot: &Snapshot) -> FlameGraph {
    FlameGraph::read(&written(snapshot, Format::Svg)).unwrap()
}

fn pprof(snapshot: &Snapshot) -> Profile {
    let mut bytes = Vec::new();
    snapshot.write(&mut bytes, Format::Pprof).unwrap();
    Profile::read(&bytes)
}

fn total(stacks: &Stacks) -> u64 {
    stacks.values().sum()
}

/// The value of all stacks whose frames have these parts, in order from the root.
fn total_of(stacks: &Stacks, parts: &[&str]) -> u64 {
    let has = |stack: &[String]| {
        let mut frames = stack.iter();
        parts.iter().all(|part| frames.any(|frame| frame.contains(part)))
    };
    stacks.iter().filter(|(stack, _)| has(stack)).map(|(_, value)| value).sum()
}

/// Everything that is folded is drawn, once and at its width, except what is too thin to be seen.
#[track_caller]
fn assert_drawn(graph: &FlameGraph, stacks: &Stacks) {
    let sum = total(stacks);
    assert_eq!(graph.total, sum);
    let thin = |value: u64| (value as f64) < sum as f64 * 1e-4 * 1.001;
    let expected = cumulative(stacks);
    for (path, value) in &graph.bars {
        assert_eq!(expected.get(path), Some(value), "{path:?}");
    }
    for (path, value) in expected {
        assert!(graph.bars.contains_key(&path) || thin(value), "{path:?}: {value} of {sum} is not drawn");
    }
}

#[inline(never)]
fn keeps(n: usize) -> Vec<Vec<u8>> {
    profiled::labels! { "round" => n % 3 }
    (0..n).map(|_| in_line(1000)).collect()
}

#[inline(always)]
fn in_line(n: usize) -> Vec<u8> {
    black_box(Vec::with_capacity(n))
}

#[inline(never)]
fn drops(n: usize) {
    for _ in 0..n {
        drop(black_box(in_line(black_box(500))));
    }
}

#[test]
fn the_heap_by_what_is_shown_first() {
    alone("the_heap_by_what_is_shown_first", || {
        profiled::heap::set_rate(1);
        let kept: Vec<_> = (1..=9).map(keeps).collect();
        drops(100);
        profiled::heap::set_rate(0);
        for (name, kind) in [("heap", "inuse_space"), ("allocs", "alloc_space")] {
            let snapshot = profiled::lookup(name).unwrap().snapshot();
            let (file, stacks) = (pprof(&snapshot), stacks(&snapshot));
            assert_eq!(total(&stacks) as i64, file.total(kind), "{name}");
            // 45 blocks of 1000 bytes, with three labels: one row each in the file, and folded a single line.
            let keeps = total_of(&stacks, &["flamegraph::keeps", "flamegraph::in_line"]);
            assert_eq!(keeps, 45_000, "{name}: {stacks:#?}");
            assert_eq!(keeps as i64, file.total_of(kind, &["flamegraph::in_line", "flamegraph::keeps"]));
            let drops = total_of(&stacks, &["flamegraph::drops", "flamegraph::in_line"]);
            assert_eq!(drops, if name == "allocs" { 50_000 } else { 0 }, "{name}");
            let graph = graph(&snapshot);
            assert_eq!(graph.title, format!("{name}: {kind} in bytes"));
            assert_eq!(graph.unit, "bytes");
            assert_eq!(
                graph.subtitle.split(" ..").next(),
                Some(&*shortened(&snapshot.comments().join(", ")))
            );
            assert_drawn(&graph, &stacks);
        }
        drop(kept);
    });
}

fn shortened(text: &str) -> String {
    text.chars().take(160).collect()
}

#[profiled(name = "cart")]
#[inline(never)]
fn cart(n: u32) -> u32 {
    let first = step_two(n) + aside(n);
    first + again(n)
}

#[profiled(name = "step 2")]
#[inline(never)]
fn step_two(n: u32) -> u32 {
    std::thread::sleep(std::time::Duration::from_millis(2));
    black_box(n)
}

// Sorted as text, lines put this between those of `cart` alone and of what it calls.
#[profiled(name = "cart::{closure}")]
#[inline(never)]
fn aside(n: u32) -> u32 {
    step_two(n)
}

#[profiled(name = "[u8; 8] <&>\"'\n# 7")]
#[inline(never)]
fn again(n: u32) -> u32 {
    step_two(n)
}

#[profiled(name = "# 1")]
#[inline(never)]
fn comment(n: u32) -> u32 {
    cart(n) + aside(n) + step_two(n)
}

#[test]
fn names_that_flame_graph_tools_would_misread() {
    alone("names_that_flame_graph_tools_would_misread", || {
        black_box(comment(1));
        black_box(cart(1));
        let snapshot = profiled::lookup("functions").unwrap().snapshot();
        let stacks = stacks(&snapshot);
        assert_eq!(total(&stacks) as i64, pprof(&snapshot).total("wall"));
        let stack = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        for expected in [
            stack(&["cart", "step_2"]),
            stack(&["#_1", "cart", "cart::{closure}", "step_2"]),
            stack(&["#_1", "step_2"]),
            stack(&["cart", "[u8: 8] <&>\"' #_7", "step_2"]),
        ] {
            let value = stacks.get(&expected);
            assert!(value.is_some_and(|&value| value >= 2_000_000), "{expected:?}: {value:?} in {stacks:#?}");
        }
        let graph = graph(&snapshot);
        assert_eq!(graph.title, "functions: wall in nanoseconds");
        assert_drawn(&graph, &stacks);
    });
}

/// What we fold, inferno reads: nothing is ignored, and everything adds up.
#[test]
fn inferno_reads_every_line() {
    alone("inferno_reads_every_line", || {
        profiled::heap::set_rate(1);
        let kept = keeps(50);
        black_box(comment(1));
        profiled::heap::set_rate(0);
        for name in ["heap", "allocs", "functions"] {
            let snapshot = profiled::lookup(name).unwrap().snapshot();
            let text = written(&snapshot, Format::Folded);
            let mut options = inferno::flamegraph::Options::default();
            let mut image = Vec::new();
            inferno::flamegraph::from_lines(&mut options, text.lines(), &mut image).unwrap();
            let sum = format!("total_samples=\"{}\"", total(&stacks(&snapshot)));
            assert!(String::from_utf8(image).unwrap().contains(&sum), "{name}: {sum}");
        }
        drop(kept);
    });
}

#[inline(never)]
fn member() -> profiled::Tracked {
    let tracked = GAUGE.track();
    // Or the call would be a jump, and this function no caller.
    black_box("member");
    tracked
}

#[inline(never)]
fn another() -> profiled::Tracked {
    let tracked = GAUGE.track();
    black_box("another");
    tracked
}

#[test]
fn what_fell_below_zero_is_said_to_be_missing() {
    let (stays, goes) = (member(), [another(), another()]);
    let before = GAUGE.snapshot();
    assert_eq!(total(&stacks(&before)), 3);
    drop(goes);
    let more = member();
    let difference = GAUGE.snapshot().delta(&before).unwrap();
    let text = written(&difference, Format::Folded);
    let values: BTreeMap<i64, &str> = text
        .lines()
        .map(|line| line.rsplit_once(' ').map(|(s, v)| (v.parse().unwrap(), s)).unwrap())
        .collect();
    assert_eq!(values.keys().copied().collect::<Vec<_>>(), [-2, 1]);
    assert!(
        values[&-2].ends_with("flamegraph::another") && values[&1].ends_with("flamegraph::member"),
        "{text}"
    );
    let graph = graph(&difference);
    assert_eq!(graph.total, 1);
    assert!(graph.subtitle.starts_with("not shown: 1 stacks below zero"), "{}", graph.subtitle);
    assert!(graph.shows("flamegraph::member") && !graph.shows("flamegraph::another"));
    drop((stays, more));
}

#[test]
fn a_profile_without_samples_is_an_image_that_says_so() {
    for snapshot in [GAUGE.snapshot().delta(&GAUGE.snapshot()).unwrap(), Snapshot::default()] {
        assert_eq!(written(&snapshot, Format::Folded), "");
        let image = written(&snapshot, Format::Svg);
        let graph = FlameGraph::read(&image).unwrap();
        assert!(graph.bars.is_empty() && image.contains("There is nothing in it."), "{image}");
    }
    let empty = written(&GAUGE.snapshot().delta(&GAUGE.snapshot()).unwrap(), Format::Svg);
    let title = FlameGraph::read(&empty).unwrap().title;
    assert_eq!(title, "gauge; <b> & 100% : gauge; <b> & 100%  in count");
}
