//! A CPU profile in a file: `go tool pprof cpuprofile.out`.
use chapter::{Outcome, create_file, execute, op, rounds};
use profiled::Format;

fn main() -> Outcome {
    let file = create_file(".", "cpuprofile.out")?;
    let session = profiled::cpu::start()?;
    execute(op::cpu_profile, rounds()?)?;
    session.stop().write(file, Format::Pprof)?;
    Ok(())
}
