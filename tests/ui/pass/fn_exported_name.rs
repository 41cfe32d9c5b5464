//! A name for the linker.
use profiled::profiled;

#[profiled]
#[unsafe(export_name = concat!("profiled_shape_", module_path!()))]
pub extern "C" fn shape(a: u32) -> u32 {
    a + 4
}

pub(crate) fn run() {
    is!(shape(1), 5);
}
