profiled::profile! {}

profiled::profile!("example.com/conns");

profiled::profile! { static TYPED: Profile = "example.com/conns"; }

profiled::profile! { const CONSTANT = "example.com/conns"; }

profiled::profile! { static UNNAMED; }

fn main() {}
