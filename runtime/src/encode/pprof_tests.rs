use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prost::Message;

use super::super::proto::{Location, Profile};
use super::*;
use crate::module::{Module, ModuleMap, Segment};
use crate::record::pseudo;
use crate::snapshot::{Key, Meta, Places as Kind, Row};
use crate::store::{Labels, Stack};
use crate::symbol::tests::{fix, module_map, snapshot_of, take};
use crate::symbol::{Level, Names};

fn read(snapshot: &Snapshot, level: Level) -> Profile {
    let mut bytes = Vec::new();
    snapshot.write_uncompressed(&mut bytes, level).unwrap();
    let profile = Profile::decode(&*bytes).unwrap();
    validate(&profile);
    profile
}

/// What the readers demand, all of them together.
fn validate(profile: &Profile) {
    let strings = &profile.string_table;
    assert_eq!(strings[0], "");
    assert_eq!(strings.iter().collect::<HashSet<_>>().len(), strings.len(), "strings are unique");
    assert!(strings.iter().all(|text| text.len() < 1 << 16));
    let text = |index: i64| strings[usize::try_from(index).unwrap()].as_str();
    fn dense(ids: impl Iterator<Item = u64>, table: &str) -> u64 {
        ids.zip(1..).map(|(id, place)| assert_eq!(id, place, "{table}")).count() as u64
    }
    let mappings = dense(profile.mapping.iter().map(|mapping| mapping.id), "mapping");
    let locations = dense(profile.location.iter().map(|location| location.id), "location");
    let functions = dense(profile.function.iter().map(|function| function.id), "function");
    for sample in &profile.sample {
        assert_eq!(sample.value.len(), profile.sample_type.len());
        assert!(sample.location_id.len() <= 1000);
        assert!(sample.location_id.iter().all(|id| (1..=locations).contains(id)));
        for label in &sample.label {
            let key = text(label.key);
            assert!(!key.is_empty() && !key.starts_with(|c: char| c.is_ascii_digit()), "{key}");
            assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{key}");
            assert!(label.str == 0 || label.num == 0);
            _ = (text(label.str), text(label.num_unit));
        }
    }
    for location in &profile.location {
        assert!(location.mapping_id <= mappings);
        assert!(location.line.iter().all(|line| (1..=functions).contains(&line.function_id)));
    }
    let mut seen = HashSet::new();
    for function in &profile.function {
        assert_ne!(function.name, 0);
        assert_ne!(function.name, function.system_name);
        assert!(seen.insert((function.name, function.system_name, function.filename)));
        _ = (text(function.name), text(function.system_name), text(function.filename));
    }
    for kind in profile.sample_type.iter().chain(&profile.period_type) {
        assert!(!text(kind.r#type).contains(['-', ':', ' ']), "{}", text(kind.r#type));
        _ = text(kind.unit);
    }
    for mapping in &profile.mapping {
        assert!(mapping.memory_start < mapping.memory_limit);
        assert!(text(mapping.build_id).chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')));
    }
    profile.comment.iter().for_each(|&comment| _ = text(comment));
    assert!(profile.default_sample_type == 0 || !text(profile.default_sample_type).is_empty());
}

fn names(profile: &Profile, location: &Location) -> Vec<String> {
    let function = |id: u64| &profile.function[id as usize - 1];
    location
        .line
        .iter()
        .map(|line| profile.string_table[function(line.function_id).name as usize].clone())
        .collect()
}

fn stack_names(profile: &Profile, sample: usize) -> Vec<Vec<String>> {
    let ids = &profile.sample[sample].location_id;
    ids.iter().map(|&id| names(profile, &profile.location[id as usize - 1])).collect()
}

fn frame(name: &str, lines: (u32, u32)) -> Frame {
    Frame::test(name, "/src/shop.rs", lines, 0, 0)
}

#[test]
fn a_real_stack_reads_back() {
    let stack = take();
    let snapshot = snapshot_of(&[&stack], Kind::Code);
    let profile = read(&snapshot, Level::Lines);
    let expected: Vec<String> =
        snapshot.samples().next().unwrap().frames().map(|frame| frame.name().to_owned()).collect();
    let found: Vec<String> = stack_names(&profile, 0).into_iter().flatten().collect();
    assert_eq!(found.len(), expected.iter().filter(|name| !name.starts_with("0x")).count());
    assert!(found[0].contains("a_real_stack_reads_back"), "{found:?}");
    let addresses: Vec<u64> =
        profile.sample[0].location_id.iter().map(|&id| profile.location[id as usize - 1].address).collect();
    assert_eq!(addresses, stack, "lookup addresses as they are");
    let main = &profile.mapping[0];
    let module = &module_map().modules[0];
    assert_eq!(profile.string_table[main.filename as usize], module.path);
    assert_eq!((main.memory_start, main.file_offset), (module.text[0].start, module.text[0].offset));
    assert_eq!(profile.string_table[main.build_id as usize].len(), module.build_id.len() * 2);
    assert!(main.has_functions && main.has_filenames && main.has_line_numbers && main.has_inline_frames);
    let function = &profile.function[profile.location[0].line[0].function_id as usize - 1];
    let line = profile.location[0].line[0].line;
    // Looked up in process, a function has no beginning.
    let begins = if cfg!(profiled_portable) { 0..1 } else { 1..line };
    assert!(line > 0 && begins.contains(&function.start_line), "{line}, {}", function.start_line);

    let raw = read(&snapshot, Level::Raw);
    assert!(raw.location.iter().all(|location| location.line.is_empty() && location.mapping_id > 0));
    let main = &raw.mapping[0];
    assert!(!main.has_functions && !main.has_filenames && !main.has_line_numbers && !main.has_inline_frames);

    let named = read(&snapshot, Level::Names);
    let main = &named.mapping[0];
    assert!(main.has_functions && !main.has_filenames && !main.has_line_numbers && !main.has_inline_frames);
}

#[test]
fn everything_that_is_known_of_a_profile_is_there() {
    fix(0x1000, &[frame("shop::inner", (7, 5)), frame("shop::outer", (20, 0))]);
    fix(0x2000, &[frame("shop::outer", (21, 18))]);
    let modules = [
        ("/bin/shop", vec![Segment { start: 0x1000, end: 0x3000, offset: 0x200 }], vec![0xab, 0x01]),
        ("/lib/data.so", vec![], vec![]),
        ("/lib/used.so", vec![Segment { start: 0x5000, end: 0x6000, offset: 0 }], vec![]),
        ("/lib/idle.so", vec![Segment { start: 0x7000, end: 0x8000, offset: 0 }], vec![]),
    ];
    let modules = modules.into_iter().map(|(path, text, build_id)| {
        let path = path.to_owned();
        Arc::new(Module { path, build_id, bias: 0, text, first_epoch: 0, last_epoch: u32::MAX })
    });
    let meta = Meta {
        profile: "heap",
        value_types: vec![ValueType::new("alloc-objects", "count"), ValueType::new("inuse space", "bytes")],
        default_type: Some(0),
        period: (ValueType::new("space", "bytes"), 524_288),
        time: SystemTime::UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001),
        duration: Some(Duration::ZERO),
        comments: vec!["one sample in 524288 bytes".into(), "2 lost".into()],
        ..Meta::default()
    };
    let key = |stack: &[u64]| Key::of(Stack::intern(stack, 0));
    let labelled = Key {
        labels: Labels::intern(b"\x0auser-agent\x04curl\x031st\x011\x05empty\x00"),
        bytes: Some(4096),
        lock: Some("orders"),
        ..key(&[0x1000, 0x2000])
    };
    let rows = vec![
        Row { key: labelled, values: [3, 12288, 0, 0] },
        Row { key: key(&[0x5000, pseudo::TRUNCATED]), values: [-1, 0, 0, 0] },
        Row { key: key(&[]), values: [1, 1, 0, 0] },
    ];
    let snapshot =
        Snapshot::new(meta, rows, Arc::new(ModuleMap { modules: modules.collect(), elsewhere: false }));
    let profile = read(&snapshot, Level::Lines);
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let kinds: Vec<_> = profile.sample_type.iter().map(|kind| (text(kind.r#type), text(kind.unit))).collect();
    assert_eq!(kinds, [("alloc_objects", "count"), ("inuse_space", "bytes")]);
    assert_eq!(text(profile.default_sample_type), "alloc_objects");
    let period = profile.period_type.unwrap();
    assert_eq!((text(period.r#type), text(period.unit), profile.period), ("space", "bytes", 524_288));
    assert_eq!((profile.time_nanos, profile.duration_nanos), (1_700_000_000_000_000_001, 1));
    let comments: Vec<_> = profile.comment.iter().map(|&comment| text(comment)).collect();
    assert_eq!(comments, ["one sample in 524288 bytes", "2 lost"]);

    assert_eq!(profile.sample[0].value, [3, 12288]);
    assert_eq!(stack_names(&profile, 0), [vec!["shop::inner", "shop::outer"], vec!["shop::outer"]]);
    let lines: Vec<i64> = profile.location[0].line.iter().map(|line| line.line).collect();
    assert_eq!(lines, [7, 20]);
    let starts: Vec<_> =
        profile.function.iter().map(|function| (text(function.name), function.start_line)).collect();
    assert_eq!(starts, [("shop::inner", 5), ("shop::outer", 18), ("[truncated]", 0)]);
    let labels: Vec<_> = profile.sample[0]
        .label
        .iter()
        .map(|label| (text(label.key), text(label.str), label.num, text(label.num_unit)))
        .collect();
    let expected = [("user_agent", "curl", 0, ""), ("_1st", "1", 0, ""), ("bytes", "", 4096, "")];
    assert_eq!(labels[..3], expected);
    assert_eq!(labels[3], ("lock", "orders", 0, ""));
    assert_eq!(labels.len(), 4, "what has no text is left out");

    assert_eq!(profile.sample[1].location_id, [] as [u64; 0], "totals stay right without a stack");
    assert_eq!(profile.sample[2].value, [-1, 0]);
    assert_eq!(stack_names(&profile, 2), [vec![], vec!["[truncated]"]]);
    let used = &profile.location[2];
    assert_eq!((used.mapping_id, used.address), (2, 0x5000), "numbers skip what has no code");
    assert_eq!(profile.location[3].mapping_id, 0);

    let mappings: Vec<_> = profile
        .mapping
        .iter()
        .map(|mapping| {
            (text(mapping.filename), text(mapping.build_id), mapping.memory_limit, mapping.file_offset)
        })
        .collect();
    assert_eq!(
        mappings,
        [
            ("/bin/shop", "ab01", 0x3000, 0x200),
            ("/lib/used.so", "", 0x6000, 0),
            ("/lib/idle.so", "", 0x8000, 0)
        ]
    );
    let flags: Vec<_> = profile
        .mapping
        .iter()
        .map(|m| [m.has_functions, m.has_filenames, m.has_line_numbers, m.has_inline_frames])
        .collect();
    assert_eq!(flags, [[true; 4], [false; 4], [true; 4]]);
}

#[test]
fn a_state_has_no_duration_and_an_empty_profile_is_valid() {
    let profile = read(&snapshot_of(&[], Kind::Code), Level::Lines);
    assert_eq!((profile.duration_nanos, profile.sample.len(), profile.location.len()), (0, 0, 0));
    assert!(profile.period_type.is_none());
    assert!(!profile.mapping.is_empty());
}

#[test]
fn many_locations_keep_their_numbers() {
    let stacks: Vec<Vec<u64>> =
        (0..20_000).map(|n| vec![0x40_0000 + n, 0x50_0000 + n % 777, 0x60_0000]).collect();
    let snapshot = snapshot_of(&stacks.iter().map(Vec::as_slice).collect::<Vec<_>>(), Kind::Code);
    let profile = read(&snapshot, Level::Lines);
    assert_eq!(profile.location.len(), 20_000 + 777 + 1);
    let found: HashSet<Vec<u64>> = profile
        .sample
        .iter()
        .map(|sample| {
            sample.location_id.iter().map(|&id| profile.location[id as usize - 1].address).collect()
        })
        .collect();
    assert_eq!(found, stacks.into_iter().collect());
}

#[test]
fn epochs_do_not_share_locations() {
    let key = |epoch| Key::of(Stack::intern(&[0x1000], epoch));
    let mut snapshot = snapshot_of(&[], Kind::Code);
    snapshot.rows = (0..2).map(|epoch| Row { key: key(epoch), values: [1, 0, 0, 0] }).collect();
    assert_eq!(read(&snapshot, Level::Lines).location.len(), 2);
}

#[test]
fn deep_stacks_are_cut_at_the_root() {
    let stack: Vec<u64> = (0x10_0000..0x10_0000 + 1500).collect();
    for places in [Kind::Code, Kind::Hooked] {
        let profile = read(&snapshot_of(&[&stack], places), Level::Lines);
        assert_eq!(profile.sample[0].location_id.len(), 1000);
        assert_eq!(profile.location.last().unwrap().address, 0x10_0000 + 999);
    }
}

#[test]
fn strings_stay_below_the_limit() {
    let long = "ä".repeat(40_000);
    fix(0x9000, &[frame(&long, (1, 1)), frame(&format!("{long}x"), (1, 1))]);
    let profile = read(&snapshot_of(&[&[0x9000]], Kind::Code), Level::Lines);
    assert_eq!(profile.function.len(), 1, "what is cut to the same is the same");
    assert_eq!(profile.string_table.iter().map(String::len).max(), Some(65_534));
}

#[test]
fn plumbing_is_cut_where_it_is_the_leaf() {
    let hook = frame("profiled::hook::alloc::sample", (1, 1));
    let plumbing = frame("alloc::alloc::exchange_malloc", (1, 1));
    let user = frame("shop::cart", (9, 8));
    let vec = frame("alloc::vec::Vec<T>::push", (2, 2));
    fix(0xa000, &[hook.clone(), hook.clone()]);
    fix(0xa010, &[plumbing.clone(), vec.clone(), user.clone()]);
    fix(0xa020, &[user.clone(), hook.clone()]);
    let stacks: [&[u64]; 5] = [
        &[0xa000, 0xa010, 0xa020],
        &[0xa000, 0xa000, 0xa020, 0xa010],
        &[0xa010, 0xa000],
        &[0xa000],
        &[0xa000, 0xb000],
    ];
    let snapshot = snapshot_of(&stacks, Kind::Hooked);
    let profile = read(&snapshot, Level::Lines);
    let mut by_stack: Vec<(Vec<u64>, Vec<Vec<String>>)> = snapshot
        .samples()
        .enumerate()
        .map(|(index, sample)| (sample.addresses().to_vec(), stack_names(&profile, index)))
        .collect();
    by_stack.sort();
    let of = |stack: &[u64]| &by_stack.iter().find(|(addresses, _)| addresses == stack).unwrap().1;
    let (hook, plumbing, user, vec) = (hook.name(), plumbing.name(), user.name(), vec.name());
    assert_eq!(*of(stacks[0]), [vec![vec, user], vec![user, hook]]);
    assert_eq!(*of(stacks[1]), [vec![user, hook], vec![plumbing, vec, user]]);
    assert_eq!(*of(stacks[2]), [vec![vec, user], vec![hook, hook]]);
    assert_eq!(*of(stacks[3]), [vec![hook, hook]], "never everything");
    assert_eq!(*of(stacks[4]), [vec![] as Vec<&str>], "what has no name is nobody's");
    // With and without its inner lines, an address is two locations, and no more.
    assert_eq!(profile.location.len(), 5);
    // The two ways to a stack agree.
    for (index, sample) in snapshot.samples().enumerate() {
        let whole: Vec<Vec<String>> = Names::new(&snapshot, Level::Lines)
            .stack(sample.row.key.stack)
            .iter()
            .map(|place| place.shown().iter().map(|frame| frame.name().to_owned()).collect())
            .collect();
        assert_eq!(whole, stack_names(&profile, index));
    }
}

/// What the program calls as we do, or writes in two ways that are one, is beside it by another name.
#[test]
fn a_key_comes_once() {
    let labelled = Key {
        labels: Labels::intern(
            b"\x04lock\x04mine\x0auser-agent\x01a\x0auser_agent\x01b\x05lock_\x01c\x04kind\x01d",
        ),
        lock: Some("orders"),
        ..Key::of(Stack::intern(&[0x1000], 0))
    };
    let mut snapshot = snapshot_of(&[], Kind::Code);
    snapshot.rows = vec![Row { key: labelled, values: [1, 0, 0, 0] }];
    let profile = read(&snapshot, Level::Raw);
    let text = |index: i64| profile.string_table[index as usize].as_str();
    let labels: Vec<_> =
        profile.sample[0].label.iter().map(|label| (text(label.key), text(label.str))).collect();
    let expected = [
        ("lock__", "mine"),
        ("user_agent_", "a"),
        ("user_agent", "b"),
        ("lock_", "c"),
        ("kind", "d"),
        ("lock", "orders"),
    ];
    assert_eq!(labels, expected);
}

#[test]
fn keys_and_types_are_names() {
    assert_eq!(label_key("user-agent"), "user_agent");
    assert_eq!(label_key("größe"), "gr__e");
    assert_eq!(label_key("1st"), "_1st");
    assert_eq!(label_key(""), "_");
    assert_eq!(type_name("example.com/open-conns"), "example.com/open_conns");
}
