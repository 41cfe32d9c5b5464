//! A method of an `impl Trait for Type`.
use profiled::profiled;

trait Store {
    fn get(&self) -> u32;
}

struct Memory(u32);
impl Store for Memory {
    #[profiled]
    fn get(&self) -> u32 {
        self.0
    }
}

pub(crate) fn run() {
    is!(Memory(3).get(), 3);
}
