//! All profiles over HTTP, by one line: <http://127.0.0.1:8082/debug/pprof/>.
use chapter::Outcome;

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

fn main() -> Outcome {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8082".to_owned());
    let server = profiled::http::serve(address)?;
    println!("http://{}/debug/pprof/", server.local_addr());
    loop {
        chapter::execute(chapter::op::mem_profile, 1)?;
    }
}
