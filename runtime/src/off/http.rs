//! A server that never listens.
use std::fmt;
use std::net::SocketAddr;

use crate::error::Result;

/// Serves nothing, and binds nothing.
///
/// # Errors
/// None.
#[inline(always)]
pub fn serve(addr: impl ToAddr) -> Result<Server> {
    Handler::new().serve(addr)
}

/// The server that is not there.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Server {
    addr: Addr,
}

impl Server {
    /// An address on which nobody listens.
    pub fn local_addr(&self) -> &Addr {
        &self.addr
    }

    /// Lets it go on, which it does not.
    pub fn detach(self) {}
}

impl Drop for Server {
    #[inline(always)]
    fn drop(&mut self) {}
}

/// Where a server listens: switched off, `127.0.0.1:0`, so that what parses it succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Addr(());

impl Addr {
    /// The address, if it is not a Unix socket's.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("127.0.0.1:0")
    }
}

/// What [`serve`] takes: `"127.0.0.1:6060"`, `"unix:/run/p.sock"`, a socket address, a path, a bound listener.
pub trait ToAddr: sealed::Resolve {}

impl<T: sealed::Resolve + ?Sized> ToAddr for T {}

mod sealed {
    use std::net::{IpAddr, SocketAddr, TcpListener};
    use std::path::Path;

    pub trait Resolve {}
    impl Resolve for str {}
    impl Resolve for String {}
    impl Resolve for SocketAddr {}
    impl Resolve for (IpAddr, u16) {}
    impl Resolve for Path {}
    impl Resolve for TcpListener {}
    impl<T: Resolve + ?Sized> Resolve for &T {}
}

/// What would answer requests.
#[derive(Clone, Debug, Default)]
pub struct Handler(());

impl Handler {
    /// The default.
    pub fn new() -> Self {
        Handler(())
    }

    /// The path that the pages would lie under.
    #[must_use]
    pub fn prefix(self, _p: impl Into<String>) -> Self {
        self
    }

    /// The token that would be asked for.
    #[must_use]
    pub fn token(self, _t: impl Into<String>) -> Self {
        self
    }

    /// Whether other machines would be answered.
    #[must_use]
    pub fn allow_remote(self, _on: bool) -> Self {
        self
    }

    /// A host name that would be answered to.
    #[must_use]
    pub fn allow_host(self, _name: impl Into<String>) -> Self {
        self
    }

    /// Whether the command line would be told.
    #[must_use]
    pub fn cmdline(self, _on: bool) -> Self {
        self
    }

    /// Serves nothing, and binds nothing.
    ///
    /// # Errors
    /// None.
    #[inline(always)]
    pub fn serve(self, _addr: impl ToAddr) -> Result<Server> {
        Ok(Server { addr: Addr(()) })
    }
}

#[cfg(feature = "axum")]
#[path = "../surface/http/axum.rs"]
pub mod axum;
#[cfg(feature = "tower")]
#[path = "../surface/http/tower.rs"]
pub mod tower;

/// As in the other half, which looks at it.
#[cfg(feature = "axum")]
#[derive(Clone, Debug)]
struct Original(#[expect(dead_code, reason = "here nobody does")] ::http::Uri);

#[cfg(feature = "axum")]
impl Handler {
    /// Where the pages would lie.
    fn path(&self) -> &str {
        "/debug/pprof"
    }
}

#[cfg(feature = "http")]
pub use answer::Body;

#[cfg(feature = "http")]
mod answer {
    use std::convert::Infallible;
    use std::error::Error;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use hyper::body::{Frame, SizeHint};

    use super::Handler;

    /// The body of a response: empty.
    #[derive(Debug, Default)]
    pub struct Body(());

    impl hyper::body::Body for Body {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(None)
        }

        fn is_end_stream(&self) -> bool {
            true
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(0)
        }
    }

    impl Handler {
        /// Answers 404.
        pub fn handle<B>(
            &self,
            _request: ::http::Request<B>,
        ) -> impl Future<Output = ::http::Response<Body>> + Send + 'static + use<B>
        where
            B: hyper::body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
        {
            let mut response = ::http::Response::new(Body::default());
            *response.status_mut() = ::http::StatusCode::NOT_FOUND;
            std::future::ready(response)
        }
    }
}
