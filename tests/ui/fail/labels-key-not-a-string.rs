fn main() {
    profiled::labels! { 1 => "one" }
}
