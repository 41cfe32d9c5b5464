use profiled::profiled;

fn main() {
    let f = #[profiled]
    |n: u32| n + 1;
    f(1);
}
