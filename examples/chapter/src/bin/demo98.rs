//! Who waited, in a file: nearly every wait, of the profile that is found by its name.
use chapter::{Outcome, create_file, execute, op, rounds};

fn main() -> Outcome {
    profiled::block::set_rate(2);
    let file = create_file(".", "blockprofile.out")?;
    execute(op::block_profile, rounds()?)?;
    let block = profiled::lookup("block").ok_or("no profile `block`")?;
    block.write_to(file, 0)?;
    Ok(())
}
