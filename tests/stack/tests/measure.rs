//! What it costs. Nothing is asserted: figures belong to a machine. Alone in its process, as the first stack builds.
#![cfg(not(profiled_portable))]
use profiled_test_stack::maze::recursion;
use profiled_test_stack::ours;
use std::time::Instant;

#[test]
fn what_it_costs() {
    let begun = Instant::now();
    ours::prepare();
    let built = begun.elapsed();
    let (rows, bytes) = ours::size();
    println!("built in {built:.1?}: {rows} rows, {bytes} bytes");
    let begun = Instant::now();
    for _ in 0..100 {
        ours::prepare();
    }
    println!("nothing changed: {:.1?}", begun.elapsed() / 100);
    for depth in [0, 30, 90] {
        recursion(depth, &[], &mut || {
            let mut best = f64::MAX;
            let frames = ours::capture_addresses(0).0.len();
            for _ in 0..50 {
                const TIMES: u32 = 200;
                let begun = Instant::now();
                for _ in 0..TIMES {
                    std::hint::black_box(ours::capture_len());
                }
                best = best.min(begun.elapsed().as_nanos() as f64 / f64::from(TIMES));
            }
            println!("{frames} frames: {best:.0} ns, {:.1} ns a frame", best / frames as f64);
        });
    }
}
