use profiled::profiled;

#[profiled]
#[derive(Debug)]
pub struct Cart {
    pub n: u32,
}

fn main() {
    println!("{:?}", Cart { n: 1 });
}
