fn main() {
    let user = 1;
    profiled::labels! {}
    profiled::labels! { "user" }
    profiled::labels! { "user", user }
    profiled::labels! { "user" => }
    profiled::labels! { user = 1 }
}
