#[profiled::profiled]
enum State {
    Open,
}

fn main() {
    let State::Open = State::Open;
}
