use profiled::trace::{self, Format};
use std::time::Instant;
fn main() {
    for _ in 0..3 {
        let session = trace::start(std::io::sink(), Format::Go).unwrap();
        let begin = Instant::now();
        for _ in 0..1_200_000u64 {
            let _r = trace::region("span");
        }
        let made = begin.elapsed();
        let s = session.stop().unwrap();
        let all = begin.elapsed();
        println!(
            "{made:?} made, {all:?} all: {:.0} ns an event, {s:?}",
            all.as_nanos() as f64 / s.events as f64
        );
    }
}
