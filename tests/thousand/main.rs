//! Runs every function of the crate and prints what happened.
#![deny(warnings)]
#![allow(clippy::all)] // odd shapes are the point

/// The edition.
const EDITION: u32 = @EDITION@;

#[macro_use]
mod support;
mod drive;
@MODULES@

fn main() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(|l| (l.file().to_owned(), l.line(), l.column()));
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        support::say(("panic", text, location));
    }));
    let mut failed = false;
    for (name, run) in [@SHAPES@].concat() {
        let result = std::panic::catch_unwind(run);
        println!("{name}");
        for line in support::trace() {
            println!("    {line}");
        }
        failed |= result.is_err();
        if result.is_err() {
            println!("FAILED {name}");
        }
    }
    std::process::exit(i32::from(failed));
}
