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
//! # Pages
//! Below `/debug/pprof/`, or what [`Handler::prefix`] says. GET and HEAD, where not said otherwise; other methods get 405
//! with `Allow`.
//!
//! | path | parameters (default) | answers with | errors | Go | here |
//! |---|---|---|---|---|---|
//! | `/debug/pprof` | | 307 to `/debug/pprof/` | | the same | the same |
//! | (index) | | `text/html` | | counts, texts | besides: rates, each form of each profile, what comes now |
//! | `NAME`, with slashes too | `debug` (0), `seconds`, `gc`, and those below | `debug=0`: a file `NAME`; else text | 404 `Unknown profile` | a bad `debug` is 0 | a bad value is a 400 that names it |
//! | `NAME?seconds=S` | `S` up to 300, also a fraction; of several the first | a file `NAME-delta` with its duration; `NAME` of what is a state: as it is at the end | 400; 400 with `debug=1` and up (`format=text` goes) | whole numbers; not of a program's own profiles; a state's difference has negative rows; the default type is lost | every profile takes it, and keeps its default type |
//! | `profile` | `seconds` (30), `hz` (100), `mode` (`cpu`, `wall`), `tags=thread`, `stacks=async` (who awaits a task instead of its executor) | a file `profile` | 501 where there is no CPU sampling | 500 if one is running; a bad `seconds` is 30, `0.5` too | any number at once; 400 |
//! | `trace` | `seconds` (1), `format` (`go`, `perfetto`) | a file `trace` or `trace.pftrace`, sent while it is recorded | 400 | 500 if one is running | any number at once |
//! | `flightrecorder`, GET and POST | `format` (that of the [flight recorder](crate::trace::FlightRecorder) that was started last) | a file `flight.trace` or `flight.pftrace`: what it keeps. POST fires its trigger, if it has one for that, and answers in text where the snapshot is | 404 if none runs, 409 if one with another format does; 429 if the trigger fired a moment ago | none | |
//! | `perfetto` | `of` (`trace`, `flightrecorder`), `seconds` (5) | `text/html`: a button that opens it in <https://ui.perfetto.dev>, without JavaScript a link to the file | 400 | none | |
//! | `cmdline` | | text, arguments joined by NUL | 404 if it is switched off | always on | [`Handler::cmdline`] |
//! | `symbol`, GET and POST; also beside a profile with slashes in its name | addresses joined by `+`, as the query or the body | text: `num_symbols: 1`, then `0xADDRESS NAME` of each that is known | 413 | POST is refused, which pprof sends | POST works |
//! | `delta_heap`, `delta_block`, `delta_mutex` | those of `heap`, .. | a file: what came since this page was last asked of this [`Handler`] and its clones, the first time all; with `seconds` as `heap?seconds=`, and then nobody else misses it | | none; godeltaprof's | |
//! | `rates`, GET and POST | POST: `PROFILE=NUMBER`, as a form or as the query | text: `PROFILE=NUMBER # unit`, a line each | 400, and nothing is set | none | `heap`, `block`, `mutex`, `cpu` (all the time; 0 is off) |
//! | `status` | `format` (`text`, `prometheus`) | text: allocator, `interpose`, debug information, limits, losses, what the profiler takes itself; to whom `Accept`s it, Prometheus' form | 400 | none | |
//!
//! A file is `application/octet-stream` with `Content-Disposition: attachment; filename="NAME"`; text is `text/plain;
//! charset=utf-8`; all have `X-Content-Type-Options: nosniff`, and none a `Content-Encoding`: gzip is what a profile is.
//! An error is a line of text with `X-Go-Pprof: 1`, which is what has pprof print it. HEAD gets the headers at once, and
//! nothing is done for it. `gc` is accepted: there is nothing to collect. A client that goes away ends what was begun for it.
//!
//! | parameter | of | |
//! |---|---|---|
//! | `format` | all profiles | `pprof`, `text`, `folded`, `svg` (feature `flamegraph`), in place of `debug` |
//! | `rows` (16 000) | all | the most rows; what is beyond that, and of protobuf beyond 4 MiB, is folded into `[other]`; 0 is all |
//! | `symbols` (`lines`) | all | `lines`, `names` or `raw`: how much is looked up |
//! | `noise` (1), `age`, `peak` | `heap`, `allocs` | 0 leaves containers out at leaves; blocks that are so many seconds old; the heap at its largest |
//! | `idle`, `tags=waiting` | `block` and others with waits | threads of pools without work; who waits right now apart |
//! | `threads`, `tags`, `all`, `stuck` | `goroutine`, `threads`, `tasks` | `stacks` or `names`; `thread` or `id`; the profiler's own, too; what has waited for so many seconds |
//!
//! Of what only grows, which scrapers subtract (protobuf of `heap`, `allocs`, `block`, `mutex` and their like without
//! `seconds`), those rows are shown that came first, and of those that came together the largest; a row once shown is
//! shown from then on, so that none goes down because another took its place. Of all else the largest are shown.
//!
//! # In a server of your own
//! `Handler::handle` takes a request and gives a response, on any runtime or none, and never blocks the thread that polls
//! it. With the feature `tower` it is a `tower::Service`, with `axum` an `axum::router`.
//!
//! # Who may ask
//! A profile tells much about a program, so from the first day on:
//!
//! - It listens on loopback; any other address needs [`Handler::allow_remote`].
//! - A request's `Host` has to be an IP address, `localhost` or a name given to [`Handler::allow_host`] (else 421):
//!   a web page whose name is made to point here (DNS rebinding) is refused.
//! - A request that another site's page makes (`Origin`, `Sec-Fetch-Site`) is refused with 403, unless it is a
//!   link that somebody followed.
//! - With [`Handler::token`], a request without `Authorization: Bearer ..` is refused with 401. The comparison takes as long
//!   whatever is wrong with it.
//! - What it tells of the process is what Go's does: names of functions and files, labels, and the command line, unless
//!   [`Handler::cmdline`] keeps that back. The environment is in no page.
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
mod flight;
#[cfg(all(feature = "enabled", feature = "http"))]
mod index;
#[cfg(all(feature = "enabled", feature = "http"))]
mod listener;
#[cfg(all(feature = "enabled", feature = "http"))]
mod params;
#[cfg(all(feature = "enabled", feature = "http"))]
mod perfetto;
#[cfg(all(feature = "enabled", feature = "http"))]
mod plan;
#[cfg(all(feature = "enabled", feature = "http"))]
mod rates;
#[cfg(all(feature = "enabled", feature = "http"))]
mod reply;
#[cfg(all(feature = "enabled", feature = "http"))]
mod server;
#[cfg(all(feature = "enabled", feature = "http"))]
mod shown;
#[cfg(all(feature = "enabled", feature = "http"))]
mod since;
#[cfg(all(feature = "enabled", feature = "http"))]
mod status;
#[cfg(all(feature = "enabled", feature = "http"))]
mod trace;

#[cfg(not(all(feature = "enabled", feature = "http")))]
#[path = "disabled.rs"]
mod server;

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "tower")]
pub mod tower;

/// The address that a request came in by, where a router has taken a part of it away since. An extension of it.
#[cfg(all(feature = "enabled", feature = "http"))]
#[derive(Clone, Debug)]
struct Original(::http::Uri);

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
