//! What goes back: a body, a refusal, and the one place that gives an error its status.
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::header::{self, HeaderName, HeaderValue};
use ::http::{Response, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::trace::Chunks;
use crate::error::Error;

/// The most that is read of a request's body.
pub(super) const MAX_BODY: usize = 64 << 10;

/// The body of a response. Dropping it ends what it was still to collect.
#[derive(Default)]
pub struct Body(Kind);

enum Kind {
    Whole(Full<Bytes>),
    /// What comes while it is sent.
    Chunks(Chunks),
}

impl Default for Kind {
    fn default() -> Self {
        Kind::Whole(Full::default())
    }
}

impl Body {
    pub(super) fn of(chunks: Chunks) -> Body {
        Body(Kind::Chunks(chunks))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(body) => Pin::new(body).poll_frame(cx),
            Kind::Chunks(chunks) => chunks.poll(cx).map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Chunks(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Chunks(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

/// The headers that tell what a body is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Html,
    /// With a script that asks for our own pages.
    Scripted,
    Text,
    /// Prometheus' text form.
    Metrics,
    /// To be looked at, and clicked.
    Svg,
    /// To be saved under this name.
    File(String),
}

/// An answer of `status`, with Go's headers.
pub(super) fn response(status: StatusCode, content: &Content, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body(Kind::Whole(Full::new(body.into()))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let kind = match content {
        Content::Html | Content::Scripted => "text/html; charset=utf-8",
        Content::Text => "text/plain; charset=utf-8",
        Content::Metrics => "text/plain; version=0.0.4; charset=utf-8",
        Content::Svg => "image/svg+xml",
        Content::File(_) => "application/octet-stream",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    match content {
        Content::File(name) => {
            headers.insert(header::CONTENT_DISPOSITION, disposition(name));
        }
        Content::Html => {
            // The page needs nothing from anywhere, and is nobody's frame.
            let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Content::Scripted => {
            let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                          connect-src 'self'; frame-ancestors 'none'";
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Content::Svg => {
            // Its script searches and zooms, and has nobody to talk to.
            let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                          frame-ancestors 'none'";
            headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Content::Text | Content::Metrics => {}
    }
    response
}

/// Go's `attachment; filename="NAME"`; a name that cannot stand there comes a second time, encoded.
fn disposition(name: &str) -> HeaderValue {
    let plain: String = name
        .chars()
        .map(|c| if matches!(c, ' '..='~') && !matches!(c, '"' | '\\') { c } else { '_' })
        .collect();
    let mut value = format!("attachment; filename=\"{plain}\"");
    if plain != name {
        value.push_str("; filename*=UTF-8''");
        value.push_str(&super::params::encode(name, ""));
    }
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Why a request gets no profile: a status and one line of text.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    text: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Refusal {
        Refusal { status, text: text.into(), header: None }
    }

    pub(super) fn with(self, name: HeaderName, value: &'static str) -> Refusal {
        self.with_value(name, HeaderValue::from_static(value))
    }

    pub(super) fn with_value(self, name: HeaderName, value: HeaderValue) -> Refusal {
        Refusal { header: Some((name, value)), ..self }
    }

    /// Puts `what` in front of the text.
    pub(super) fn during(self, what: &str) -> Refusal {
        Refusal { text: format!("{what}: {}", self.text), ..self }
    }

    #[cfg(test)]
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// pprof prints the text of an answer that has `X-Go-Pprof`.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = response(self.status, &Content::Text, self.text + "\n");
        response.headers_mut().insert("x-go-pprof", HeaderValue::from_static("1"));
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::new(status_of(&error), error.to_string())
    }
}

/// The status that says the same as `error`.
fn status_of(error: &Error) -> StatusCode {
    match error {
        Error::Invalid { .. } => StatusCode::BAD_REQUEST,
        Error::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
        Error::Io(_) | Error::NotCustom | Error::DuplicateKey | Error::Mismatch => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// The whole body of a request, if it is not too long.
pub(super) async fn read<B>(body: B) -> Result<Bytes, Refusal>
where
    B: HttpBody<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(all) => Ok(all.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("the body is longer than {MAX_BODY} bytes");
            Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text))
        }
        Err(error) => Err(Refusal::new(StatusCode::BAD_REQUEST, format!("reading the body: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_its_status() {
        let invalid = Error::Invalid { what: "hz", value: "0".into() };
        assert_eq!(status_of(&invalid), 400);
        assert_eq!(status_of(&Error::Unsupported("no timers")), 501);
        assert_eq!(status_of(&Error::Mismatch), 500);
        assert_eq!(status_of(&Error::Io(std::io::ErrorKind::WriteZero.into())), 500);
    }

    #[test]
    fn a_file_name_cannot_leave_its_quotes() {
        assert_eq!(disposition("heap-delta"), "attachment; filename=\"heap-delta\"");
        assert_eq!(disposition("example.com/conns"), "attachment; filename=\"example.com/conns\"");
        assert_eq!(
            disposition("a\"\r\nX: ü"),
            "attachment; filename=\"a___X: _\"; filename*=UTF-8''a%22%0D%0AX%3A%20%C3%BC"
        );
    }
}
