use std::sync::Mutex as M;

profiled::profile_mutex! { static UNTYPED = M::new(1); }

profiled::profile_mutex! { pub static EMPTY: M<u32>; }

profiled::profile_mutex! { const CONSTANT: M<u32> = M::new(1); }

fn main() {
    let _: M<u32> = M::new(1);
    let _ = profiled::profile_mutex!();
    let _ = profiled::profile_mutex!("a", M::new(1), "b");
    let _ = profiled::profile_mutex!("a" => M::new(1));
}
