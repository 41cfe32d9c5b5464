#[profiled::profiled]
static ORDERS: u32 = 1;

#[profiled::profiled]
const LIMIT: u32 = 1;

#[profiled::profiled]
use std::fmt::Debug;

#[profiled::profiled]
type Orders = u32;

fn print<T: Debug>(_: T) {}

fn main() {
    print::<Orders>(ORDERS + LIMIT);
}
