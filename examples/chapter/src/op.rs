//! The loads: for the CPU, for the heap, and for whoever waits.
use std::fmt::Write as _;
use std::sync::PoisonError;
use std::thread;

use profiled::sync::{Mutex, mpsc};

use crate::{Outcome, part};

/// Ten million random numbers as decimal text, in one buffer that grows.
///
/// # Errors
/// None but of the environment.
#[inline(never)]
pub fn cpu_profile() -> Outcome {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut text = String::new();
    for _ in 0..part(10_000_000)? {
        writeln!(text, "{}", random.next())?;
    }
    std::hint::black_box(text);
    Ok(())
}

/// A body of a few hundred bytes.
struct Parcel {
    number: usize,
    body: Vec<u8>,
}

impl Parcel {
    /// Filled byte by byte, so that its vector grows.
    fn new(number: usize, random: &mut Random) -> Parcel {
        let mut body = Vec::new();
        for _ in 0..256 + random.next() % 753 {
            body.push(random.next() as u8);
        }
        Parcel { number, body }
    }

    fn to_json(&self) -> String {
        let body: String = self.body.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{{\"number\":{},\"body\":\"{body}\"}}", self.number)
    }
}

/// Fifty thousand boxes, written as JSON, with tabs between them.
///
/// # Errors
/// None but of the environment.
#[inline(never)]
pub fn mem_profile() -> Outcome {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut text = String::new();
    for number in 0..part(50_000)? {
        text.push_str(&Parcel::new(number, &mut random).to_json());
        text.push('\t');
    }
    std::hint::black_box(text);
    Ok(())
}

/// Fifty senders, fifty thousand numbers each, into a channel of 25; half as many receivers.
///
/// # Errors
/// None but of the environment.
#[inline(never)]
pub fn block_profile() -> Outcome {
    let numbers = part(50_000)?;
    let (sender, receiver) = mpsc::sync_channel::<usize>(25);
    let receiver = Mutex::new(receiver);
    let total: usize = thread::scope(|scope| {
        for _ in 0..50 {
            let sender = sender.clone();
            scope.spawn(move || sends(&sender, numbers));
        }
        // Whoever receives ends when all who send are done.
        drop(sender);
        let receiving: Vec<_> = (0..25).map(|_| scope.spawn(|| receives(&receiver))).collect();
        receiving.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    match total {
        sum if sum == 50 * numbers * (numbers - 1) / 2 => Ok(()),
        sum => Err(format!("{sum} is not what was sent").into()),
    }
}

#[inline(never)]
fn sends(sender: &mpsc::SyncSender<usize>, numbers: usize) {
    for number in 0..numbers {
        if sender.send(number).is_err() {
            return;
        }
    }
}

#[inline(never)]
fn receives(receiver: &Mutex<mpsc::Receiver<usize>>) -> usize {
    let next = || receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
    std::iter::from_fn(|| next().ok()).sum()
}

/// Numbers that look random.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
