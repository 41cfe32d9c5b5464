//! A profile of the heap in a file, with one sample in 8 bytes: nearly every allocation.
use chapter::{Outcome, create_file, execute, op, rounds};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

fn main() -> Outcome {
    profiled::heap::set_rate(8);
    let file = create_file(".", "memprofile.out")?;
    execute(op::mem_profile, rounds()?)?;
    profiled::heap::write(file)?;
    Ok(())
}
