//! A shop whose requests take a millisecond, but for some, now and then. `README.md` finds out why.
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use profiled::sync::Mutex;
use profiled::trace::{self, FlightRecorder, Format};
use profiled::{profile_mutex, profiled};

const THRESHOLD: Duration = Duration::from_millis(50);

struct Shop {
    stock: Mutex<Vec<u64>>,
    slowest: AtomicU64,
}

#[profiled]
fn request(shop: &Shop, number: u64) {
    let _task = trace::task("request");
    trace::log!("request", "number {number}");
    let begin = Instant::now();
    reserve(shop, number);
    {
        let _region = trace::region("pay");
        thread::sleep(Duration::from_millis(1));
    }
    shop.slowest.fetch_max(begin.elapsed().as_micros() as u64, Relaxed);
}

#[profiled]
fn reserve(shop: &Shop, number: u64) {
    let mut stock = shop.stock.lock().unwrap();
    let at = number as usize % stock.len();
    stock[at] = stock[at].saturating_sub(1);
}

/// Adds everything up, with the lock held all the time.
fn report(shop: &Shop) -> u64 {
    let mut stock = shop.stock.lock().unwrap();
    stock.fill(1000);
    // What a slow disk would do.
    thread::sleep(Duration::from_millis(120));
    stock.iter().sum()
}

fn main() -> profiled::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder: PathBuf = arguments.next().map_or_else(|| ".".into(), Into::into);
    let recorder = |format, name: &str| {
        FlightRecorder::builder().format(format).on_slow(THRESHOLD, folder.join(name)).start()
    };
    let recorders = [recorder(Format::Go, "slow.trace")?, recorder(Format::Perfetto, "slow.pftrace")?];

    let stock = profile_mutex!("shop/stock", Mutex::new(vec![1000; 100]));
    let shop = Shop { stock, slowest: AtomicU64::new(0) };
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (shop, stop) = (&shop, &stop);
        for n in 0..3 {
            let serve = move || {
                for number in (n..).step_by(3).take_while(|_| !stop.load(Relaxed)) {
                    request(shop, number);
                    thread::sleep(Duration::from_millis(3));
                }
            };
            let named = thread::Builder::new().name(format!("shop-{n}"));
            named.spawn_scoped(scope, serve).expect("a thread");
        }
        let reports = move || {
            for _ in 0..2 {
                thread::sleep(Duration::from_millis(1500));
                report(shop);
            }
            stop.store(true, Relaxed);
        };
        thread::Builder::new().name("reports".to_owned()).spawn_scoped(scope, reports).expect("a thread");
    });
    println!("the slowest request took {} ms", shop.slowest.into_inner() / 1000);
    for recorder in recorders {
        println!("{:?}", recorder.status());
        recorder.stop()?;
    }
    Ok(())
}
