profiled::profile! { static NUMBER = 1; }

fn main() {
    let _ = NUMBER.track();
}
