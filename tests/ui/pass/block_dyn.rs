//! Methods of a trait object.
use profiled::profiled;

trait Object {
    fn n(&self) -> u32;
}

#[profiled]
impl dyn Object + '_ {
    fn shape(&self) -> u32 {
        self.n() + 1
    }
}

impl Object for u32 {
    fn n(&self) -> u32 {
        *self
    }
}

pub(crate) fn run() {
    let object: &dyn Object = &1;
    is!(object.shape(), 2);
}
