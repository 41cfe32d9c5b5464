//! What programs do all day. Each piece takes some milliseconds and gives a number that depends on all of it.
use std::collections::{BTreeMap, HashMap};
use std::ffi::{c_int, c_void};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::sync::LazyLock;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use regex::Regex;
use serde_json::Value;

type Work = fn(u64) -> u64;

pub const KINDS: [(&str, Work); 7] = [
    ("sort", sort),
    ("maps", maps),
    ("serde_json", json),
    ("regex", regex),
    ("compression", compression),
    ("qsort", qsort),
    ("libc", libc_calls),
];

/// xorshift64*.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15)), |&x| {
        let x = x ^ (x >> 12);
        let x = x ^ (x << 25);
        Some(x ^ (x >> 27))
    })
    .map(|x| x.wrapping_mul(0x2545_f491_4f6c_dd1d))
}

fn text(seed: u64, words: usize) -> String {
    const WORDS: [&str; 8] = ["stack", "frame", "unwind", "alloc", "lock", "sample", "profile", "17:42"];
    let mut text = String::new();
    for number in numbers(seed).take(words) {
        let word = WORDS[(number >> 61) as usize];
        _ = write!(text, "{word}{}{}", number % 1000, if number.is_multiple_of(11) { ".\n" } else { " " });
    }
    text
}

fn sort(seed: u64) -> u64 {
    let mut plain: Vec<u64> = numbers(seed).take(5_000).collect();
    plain.sort_unstable();
    let mut words: Vec<String> = text(seed, 1_000).split(' ').map(str::to_owned).collect();
    words.sort();
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    plain[17].wrapping_add(words[0].len() as u64)
}

fn maps(seed: u64) -> u64 {
    let mut hashed: HashMap<String, Vec<u64>> = HashMap::new();
    let mut sorted: BTreeMap<u64, Box<dyn Fn(u64) -> u64>> = BTreeMap::new();
    for (place, word) in text(seed, 2_000).split_whitespace().enumerate() {
        hashed.entry(word.to_owned()).or_default().push(place as u64);
        let length = word.len() as u64;
        sorted.insert(place as u64 ^ seed, Box::new(move |x| x.rotate_left(7) ^ length));
    }
    let sum = hashed.values().flatten().fold(0, |sum: u64, place| sum.wrapping_mul(31).wrapping_add(*place));
    sorted.values().fold(sum, |x, f| f(x))
}

fn json(seed: u64) -> u64 {
    fn value(numbers: &mut impl Iterator<Item = u64>, depth: usize) -> Value {
        let number = numbers.next().unwrap_or(0);
        match number % 6 {
            _ if depth == 0 => Value::from(number),
            0 => Value::from(number as f64 / 7.0),
            1 => Value::from(format!("line \"{number}\"\n\u{e9}")),
            2 | 3 => (0..4).map(|_| value(numbers, depth - 1)).collect(),
            _ => (0..4).map(|key| (format!("key{key}"), value(numbers, depth - 1))).collect(),
        }
    }
    let value: Value = {
        let numbers = &mut numbers(seed);
        (0..4).map(|_| value(numbers, 5)).collect()
    };
    let written = serde_json::to_string_pretty(&value).unwrap_or_default();
    let read: Value = serde_json::from_str(&written).unwrap_or_default();
    written.len() as u64 + u64::from(read == value)
}

fn regex(seed: u64) -> u64 {
    static PATTERNS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
        [r"(?m)^([a-z]+?)([0-9]+) .*\.$", r"[a-f]+[^ ]*(sample|lock)[0-9]{2,3}", r"([0-9]+):([0-9]+)"]
            .map(|pattern| Regex::new(pattern).expect("a pattern"))
    });
    let text = text(seed, 1_000);
    let mut sum = Regex::new(&format!("frame{}", seed % 1000)).expect("a pattern").is_match(&text).into();
    for pattern in &*PATTERNS {
        for found in pattern.captures_iter(&text) {
            sum += found.get(1).map_or(1, |group| group.as_str().len() as u64);
        }
    }
    sum
}

fn compression(seed: u64) -> u64 {
    let text = text(seed, 2_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1 + (seed % 9) as u32));
    encoder.write_all(text.as_bytes()).expect("memory takes everything");
    let packed = encoder.finish().expect("memory takes everything");
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut unpacked).expect("what was packed");
    packed.len() as u64 + u64::from(unpacked == text.as_bytes())
}

/// Rust calls C calls Rust.
fn qsort(seed: u64) -> u64 {
    extern "C" fn order(a: *const c_void, b: *const c_void) -> c_int {
        // SAFETY: C gives pointers to two of the elements.
        let (a, b) = unsafe { (&*a.cast::<u64>(), &*b.cast::<u64>()) };
        a.count_ones().cmp(&b.count_ones()).then(a.cmp(b)) as c_int
    }
    let mut elements: Vec<u64> = numbers(seed).take(5_000).collect();
    // SAFETY: as many elements of that size; the function compares them.
    unsafe {
        libc::qsort(elements.as_mut_ptr().cast(), elements.len(), size_of::<u64>(), Some(order));
        let key = elements[seed as usize % elements.len()];
        let found = libc::bsearch(
            (&raw const key).cast(),
            elements.as_ptr().cast(),
            elements.len(),
            size_of::<u64>(),
            Some(order),
        );
        found.addr() as u64 - elements.as_ptr().addr() as u64
    }
}

/// C's own code: the allocator, formatting, parsing, copying, system calls.
fn libc_calls(seed: u64) -> u64 {
    let mut sum = 0_u64;
    let mut buffer = vec![0_u8; 64 << 10];
    let mut copy = vec![0_u8; 64 << 10];
    for number in numbers(seed).take(300) {
        // SAFETY: calls with proper arguments; every block is freed.
        unsafe {
            let room = buffer.as_mut_ptr().cast();
            let float = number as f64 / 1e7;
            libc::snprintf(room, 300, c"%s %lld %.9g %g".as_ptr(), c"x".as_ptr(), number, float, 1.5);
            sum = sum.wrapping_add(libc::strtod(room.add(2), std::ptr::null_mut()).to_bits());
            let block = libc::realloc(libc::malloc(number as usize % 4000), 1 + number as usize % 90_000);
            libc::memset(block, 7, 1);
            libc::free(block);
            copy[..32 << 10].copy_from_slice(&buffer[number as usize % 1000..][..32 << 10]);
            sum = sum.wrapping_add(libc::strlen(room) as u64).wrapping_add(libc::getppid() as u64);
        }
    }
    sum.wrapping_add(copy[seed as usize % 1000].into())
}
