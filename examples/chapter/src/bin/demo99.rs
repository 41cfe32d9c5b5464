//! Every profile that there is beforehand, at every level, after a load of its own: `profiles/NAME_DEBUG.out`.
use chapter::{Outcome, create_file, execute, op, rounds};

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

type Load = fn() -> Outcome;

fn main() -> Outcome {
    profiled::heap::set_rate(8);
    profiled::block::set_rate(2);
    // The book's program sets none, and its files of `mutex` stay empty.
    profiled::mutex::set_fraction(1);
    let loads: [(&str, Load); 6] = [
        ("goroutine", op::block_profile),
        ("threadcreate", op::block_profile),
        ("heap", op::mem_profile),
        ("allocs", op::mem_profile),
        ("block", op::block_profile),
        ("mutex", op::block_profile),
    ];
    for (name, load) in loads {
        for debug in 0..3 {
            println!("{name}, debug={debug}");
            execute(load, rounds()?)?;
            let file = create_file("profiles", &format!("{name}_{debug}.out"))?;
            let profile = profiled::lookup(name).ok_or("no such profile")?;
            profile.write_to(file, debug)?;
        }
    }
    Ok(())
}
