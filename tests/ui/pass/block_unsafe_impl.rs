//! `unsafe impl`, with nothing in it.
use crate::support::send;
use profiled::profiled;

struct Marker(#[allow(dead_code)] *const u8);
#[profiled]
unsafe impl Send for Marker {}

pub(crate) fn run() {
    send(Marker(std::ptr::null()));
    is!(1, 1);
}
