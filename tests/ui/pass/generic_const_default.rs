//! A constant parameter with a default, and with `bool`.
use profiled::profiled;

struct Flag<const ON: bool = true>;
impl<const ON: bool> Flag<ON> {
    #[profiled]
    fn shape(&self) -> bool {
        ON
    }
}

pub(crate) fn run() {
    is!((Flag::<true>.shape(), Flag::<false>.shape()), (true, false));
}
