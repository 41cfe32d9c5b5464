//! Profiles over HTTP: Go's `/debug/pprof/`, on a thread and a runtime of its own.
//!
//! ```no_run
//! let server = profiled::http::serve("127.0.0.1:6060")?;
//! println!("profiles at http://{}/debug/pprof/", server.local_addr());
//! # Ok::<(), profiled::Error>(())
//! ```
//!
//! The server answers while the program's own runtime is stuck, and takes nothing from it. What reads Go's
//! endpoints reads these: `go tool pprof http://127.0.0.1:6060/debug/pprof/heap`, Parca, Alloy and Pyroscope.
//!
//! # Who may ask
//! A profile tells much about a program, so from the first day on:
//!
//! - It listens on loopback; any other address needs [`Handler::allow_remote`].
//! - A request's `Host` has to be an IP address, `localhost` or a name given to [`Handler::allow_host`] (else 421):
//!   a web page whose name is made to point here (DNS rebinding) is refused.
//! - A request that another site's page makes (`Origin`, `Sec-Fetch-Site`) is refused with 403, unless it is a
//!   link that somebody followed.
//! - With [`Handler::token`], a request without `Authorization: Bearer ..` is refused with 401.
//!
//! # Bounds
//! 256 connections, 16 KiB of headers, 64 KiB of body, 20 s for a request to arrive, 30 s without progress; 64
//! collections at a time in the whole process, each of at most 300 s. What goes over is refused with a text that
//! says so.
//!
//! With the feature `enabled` or `http` off, all of this exists, succeeds, and listens nowhere.

// The path of a request: `server` (or whoever mounts a `Handler`) -> `access` -> `plan` -> `collect` -> `reply`.
// `plan` is pure; what takes time happens in `collect`, and only there.
mod addr;
mod handler;

#[cfg(all(feature = "enabled", feature = "http"))]
mod access;
#[cfg(all(feature = "enabled", feature = "http"))]
mod collect;
#[cfg(all(feature = "enabled", feature = "http"))]
mod engine;
#[cfg(all(feature = "enabled", feature = "http"))]
mod index;
#[cfg(all(feature = "enabled", feature = "http"))]
mod listener;
#[cfg(all(feature = "enabled", feature = "http"))]
mod params;
#[cfg(all(feature = "enabled", feature = "http"))]
mod plan;
#[cfg(all(feature = "enabled", feature = "http"))]
mod reply;
#[cfg(all(feature = "enabled", feature = "http"))]
mod server;
#[cfg(all(feature = "enabled", feature = "http"))]
mod trace;

#[cfg(not(all(feature = "enabled", feature = "http")))]
#[path = "disabled.rs"]
mod server;

#[cfg(all(test, feature = "enabled", feature = "http"))]
mod tests;

pub use addr::{Addr, ToAddr};
pub use handler::Handler;
#[cfg(all(feature = "enabled", feature = "http"))]
pub use reply::Body;
pub use server::Server;

use crate::error::Result;

/// Serves `/debug/pprof/` at `addr` until the result is dropped: `Handler::new().serve(addr)`.
///
/// `addr` is `"127.0.0.1:6060"`, `"localhost:0"` (any free port, see [`Server::local_addr`]), `"unix:/path"`, or
/// any other [`ToAddr`].
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the address is in use or cannot be bound,
/// [`Error::Invalid`](crate::Error::Invalid) if it is none, or not loopback. Both name it.
pub fn serve(addr: impl ToAddr) -> Result<Server> {
    Handler::new().serve(addr)
}
