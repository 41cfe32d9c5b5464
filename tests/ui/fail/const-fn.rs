use profiled::profiled;

#[profiled]
const fn checkout(n: u32) -> u32 {
    n + 1
}

const ONE: u32 = checkout(0);

fn main() {
    let _ = checkout(ONE);
}
