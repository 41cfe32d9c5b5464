#[profiled::profiled(skip)]
trait Store {
    fn get(&self) -> u32 {
        1
    }
}

impl Store for u32 {}

fn main() {
    let _ = 1.get();
}
