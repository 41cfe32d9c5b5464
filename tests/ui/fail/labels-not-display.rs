struct User;

#[profiled::profiled(labels(user = User))]
fn attribute() {}

fn main() {
    profiled::labels! { "user" => User }
    attribute();
}
