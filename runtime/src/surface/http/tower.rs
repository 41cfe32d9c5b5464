//! The pages in any stack of `tower`'s: feature `tower`.
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Body, Handler};

/// A [`Handler`] as `tower` calls it.
///
/// It is always ready, holds nothing of one request for the next, needs no runtime around it, and never blocks the
/// thread that polls it: what waits or takes time does so on threads of this crate's. Its error does not exist: whatever
/// goes wrong is a response.
///
/// ```no_run
/// # async fn example(request: http::Request<http_body_util::Empty<bytes::Bytes>>) {
/// use tower_service::Service as _;
///
/// let mut profiles = profiled::http::tower::Service::new(profiled::http::Handler::new());
/// let response = profiles.call(request).await.unwrap();
/// # drop(response);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Service {
    handler: Handler,
}

impl Service {
    /// The pages that `h` answers.
    pub fn new(h: Handler) -> Self {
        Service { handler: h }
    }
}

impl<B> tower_service::Service<::http::Request<B>> for Service
where
    B: hyper::body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = ::http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<B>) -> Answer {
        Answer(Box::pin(self.handler.handle(request)))
    }
}

/// A response that is being made. Dropping it ends the collection.
pub struct Answer(Pin<Box<dyn Future<Output = ::http::Response<Body>> + Send>>);

impl Future for Answer {
    type Output = Result<::http::Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}
