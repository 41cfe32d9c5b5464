//! Nobody calls it, and the compiler says so.
use profiled::profiled;

#[expect(dead_code)]
#[profiled]
fn nobody_calls() {}
#[profiled]
#[expect(dead_code)]
pub(self) fn nor_this() {}
#[expect(dead_code)]
#[profiled]
async fn nobody_waits() {}
struct Cart;
#[profiled]
impl Cart {
    #[expect(dead_code)]
    fn nobody_calls(&self) {}
}

pub(crate) fn run() {
    let Cart = Cart;
    is!(1, 1);
}
