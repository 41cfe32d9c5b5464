use std::sync::{LazyLock, Mutex};

static LAZY: LazyLock<Mutex<u32>> = profiled::profile_mutex!("lazy", LazyLock::new(|| Mutex::new(1)));

fn main() {
    let _ = LAZY.lock();
}
