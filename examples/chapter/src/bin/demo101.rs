//! The same in a server of one's own, under a path of one's own: <http://127.0.0.1:8083/d/pprof/>.
use std::convert::Infallible;

use chapter::Outcome;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use profiled::http::Handler;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: profiled::Allocator = profiled::Allocator::system();

fn main() -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(serve())
}

async fn serve() -> Outcome {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8083".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("http://{}/d/pprof/", listener.local_addr()?);
    let profiles = Handler::new().prefix("/d/pprof/");
    loop {
        let (stream, _) = listener.accept().await?;
        let profiles = profiles.clone();
        tokio::spawn(async move {
            // Whatever waits or takes time does so on threads of the profiler's: this one is free.
            let answer = service_fn(move |request| {
                let answer = profiles.handle(request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            // A client that goes away ends what was begun for it; there is nobody to tell of the error.
            _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
