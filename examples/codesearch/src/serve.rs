//! `GET /search?q=TEXT` and a few commands over HTTP. This is the program's own server, on a runtime of its own;
//! the profiler's is another one, on another port.
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use profiled::profiled;
use tokio::net::TcpListener;
use tokio::runtime;

use crate::commands::Commands;
use crate::query;

type Reply = Response<Full<Bytes>>;

/// Answers at `address` until the program ends; returns the address it got.
pub(crate) fn start(address: &str, commands: Arc<Commands>) -> io::Result<SocketAddr> {
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("codesearch-http")
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind(address))?;
    let address = listener.local_addr()?;
    thread::Builder::new()
        .name("codesearch-accept".into())
        .spawn(move || runtime.block_on(accept(listener, commands)))?;
    Ok(address)
}

async fn accept(listener: TcpListener, commands: Arc<Commands>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others have to be closed first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let commands = Arc::clone(&commands);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let commands = Arc::clone(&commands);
                async move { Ok::<_, Infallible>(respond(request, &commands).await) }
            });
            // A connection that breaks is the client's business.
            _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

#[profiled]
async fn respond(request: Request<Incoming>, commands: &Arc<Commands>) -> Reply {
    let asked = request.uri().query().unwrap_or("");
    match request.uri().path() {
        "/search" => search(asked).await,
        "/stats" => obey(commands, Commands::stats).await,
        "/drop" => obey(commands, Commands::drop_index).await,
        "/index" => obey(commands, Commands::index_again).await,
        "/" => reply(StatusCode::OK, "/search?q=TEXT&n=LINES  /stats  /drop  /index".into()),
        _ => reply(StatusCode::NOT_FOUND, "there is only /search?q=TEXT, /stats, /drop and /index".into()),
    }
}

#[profiled]
async fn search(asked: &str) -> Reply {
    let Some(text) = parameter(asked, "q") else {
        return reply(StatusCode::BAD_REQUEST, "what shall I search? /search?q=TEXT".into());
    };
    let limit = match parameter(asked, "n").map(|n| String::from_utf8_lossy(&n).parse::<usize>()) {
        None => 20,
        Some(Ok(n @ 1..=1_000)) => n,
        Some(_) => return reply(StatusCode::BAD_REQUEST, "n is a number from 1 to 1000".into()),
    };
    // A search reads files: not for a thread that others wait on.
    match tokio::task::spawn_blocking(move || query::search(&text, limit)).await {
        Ok(Ok(answer)) => reply(StatusCode::OK, answer.to_string()),
        Ok(Err(query::Refused::NoIndex)) => {
            reply(StatusCode::SERVICE_UNAVAILABLE, query::Refused::NoIndex.to_string())
        }
        Ok(Err(refused)) => reply(StatusCode::BAD_REQUEST, refused.to_string()),
        Err(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, "the search failed".into()),
    }
}

#[profiled]
async fn obey(commands: &Arc<Commands>, command: fn(&Commands) -> String) -> Reply {
    let commands = Arc::clone(commands);
    match tokio::task::spawn_blocking(move || command(&commands)).await {
        Ok(text) => reply(StatusCode::OK, text),
        Err(_) => reply(StatusCode::INTERNAL_SERVER_ERROR, "the command failed".into()),
    }
}

fn reply(status: StatusCode, mut text: String) -> Reply {
    text.push('\n');
    let mut reply = Response::new(Full::new(Bytes::from(text)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    reply
}

/// The first value of `name` in a query string. Bytes: what was searched for need not be UTF-8 either.
fn parameter(query: &str, name: &str) -> Option<Vec<u8>> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| decoded(value.as_bytes()))
}

/// Percent signs undone; one that is not followed by two digits stays as it is.
fn decoded(mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    while let Some((&first, rest)) = text.split_first() {
        let byte = match (first, rest) {
            (b'+', _) => b' ',
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                text = after;
                out.push(digit(*high) << 4 | digit(*low));
                continue;
            }
            (byte, _) => byte,
        };
        out.push(byte);
        text = rest;
    }
    out
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_browsers_send() {
        assert_eq!(parameter("q=fn+main%28%29&n=3", "q").unwrap(), b"fn main()");
        assert_eq!(parameter("n=3&q=%ff%C3%a9%", "q").unwrap(), b"\xff\xc3\xa9%");
        assert_eq!(parameter("q", "q").unwrap(), b"");
        assert_eq!(parameter("qq=1", "q"), None);
    }
}
