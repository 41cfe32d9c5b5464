use std::sync::Mutex;

fn main() {
    let name = String::from("orders");
    let _ = profiled::profile_mutex!(&name, Mutex::new(1));
    let _ = profiled::profile_mutex!(1, Mutex::new(1));
}
