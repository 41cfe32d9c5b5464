#[profiled::profiled]
mod shop {
    pub fn open() {}
}

fn main() {
    shop::open();
}
