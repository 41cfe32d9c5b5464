use profiled::profiled;

trait Store {
    #[profiled]
    fn get(&self, key: &str) -> Option<u32>
    where
        Self: Sized;
}

impl Store for u32 {
    fn get(&self, _: &str) -> Option<u32> {
        Some(*self)
    }
}

fn main() {
    let _ = 1.get("");
}
