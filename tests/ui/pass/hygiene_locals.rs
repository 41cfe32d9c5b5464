//! Locals with our locals' names, and a function.
use profiled::profiled;

#[profiled]
fn locals() -> u32 {
    let _scope = 1;
    let site = _scope + 1;
    _scope + site
}

#[profiled]
fn shape() -> u32 {
    // The guard is no variable of the user's, so that this one is the function below.
    _scope()
}

fn _scope() -> u32 {
    5
}

pub(crate) fn run() {
    is!((locals(), shape()), (3, 5));
}
