//! Doing what was planned. Whatever may take long (collecting, looking up names, encoding) happens on a thread of
//! the runtime's blocking pool, so that one slow answer does not hold up the others.
//!
//! Everything begun is owned by the future of the answer: to drop that is to end it.
use std::time::Duration;

use ::http::header::{HeaderValue, LOCATION};
use ::http::{Response, StatusCode};
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::engine::off_thread;
use super::plan::{Page, Plan, Request, Window};
use super::reply::{Body, Content, Refusal, response};
use super::{index, perfetto, rates, shown, status};
use crate::encode::Format;
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use crate::symbol::Level;

/// Collections at a time, in the whole process.
const MAX_COLLECTIONS: usize = 64;
static COLLECTIONS: Semaphore = Semaphore::const_new(MAX_COLLECTIONS);

/// Bytes of protobuf, before compression, that are too many: Pyroscope takes fewer.
const MAX_BYTES: usize = 4 << 20;
/// Those of them that are left for modules, comments, and the row that is one too many.
const BESIDE_ROWS: usize = 256 << 10;

/// The answer. `gone` is ready once nobody waits for it any more, with what to say then; it is asked during windows.
pub(super) async fn answer(
    plan: Plan,
    body: Bytes,
    gone: impl Future<Output = Refusal> + Send,
) -> Result<Response<Body>, Refusal> {
    let content = plan.content();
    if let Page::Redirect(to) = &plan.page {
        let text = format!("See {to}\n");
        let mut response = response(StatusCode::TEMPORARY_REDIRECT, &Content::Text, text);
        if let Ok(to) = HeaderValue::try_from(to) {
            response.headers_mut().insert(LOCATION, to);
        }
        return Ok(response);
    }
    if plan.head {
        return Ok(response(StatusCode::OK, &content, Bytes::new()));
    }
    let bytes = match plan.page {
        Page::Redirect(_) => Vec::new(),
        Page::Index { host, prefix, cmdline } => {
            off_thread(move || index::page(&host, &prefix, cmdline).into_bytes()).await?
        }
        Page::Cmdline => cmdline(),
        Page::Symbol(query) => {
            let permit = permit()?;
            off_thread(move || {
                let _permit = permit;
                match query {
                    Some(query) => symbols(query.as_bytes(), crate::symbol::name_of),
                    None => symbols(&body, crate::symbol::name_of),
                }
            })
            .await?
        }
        Page::Profile(request) => profile(request, permit()?, gone).await?,
        Page::Since(which, told, request) => {
            let permit = permit()?;
            off_thread(move || {
                let _permit = permit;
                let Request { profile, format, rows, symbols, noise, idle, .. } = request;
                told.tell(
                    which,
                    || profile.snapshot(),
                    |delta| shown(delta.dated_at_its_end(), noise, idle, format, rows, symbols),
                )
            })
            .await??
        }
        Page::Status(prometheus) => off_thread(move || status::page(prometheus).into_bytes()).await?,
        Page::Rates(wanted) => {
            let set = move || match wanted {
                Some(wanted) => rates::set(&wanted, &body),
                None => Ok(()),
            };
            off_thread(move || set().map(|()| rates::page().into_bytes())).await??
        }
        Page::Perfetto(what) => perfetto::page(what).into_bytes(),
        Page::Flight(request) => {
            let permit = permit()?;
            return off_thread(move || {
                let _permit = permit;
                request.answer()
            })
            .await?;
        }
        Page::Trace(request) => {
            let chunks = request.start(permit()?).await?;
            return Ok(response(StatusCode::OK, &content, Bytes::new()).map(|_| Body::of(chunks)));
        }
    };
    Ok(response(StatusCode::OK, &content, bytes))
}

fn permit() -> Result<SemaphorePermit<'static>, Refusal> {
    COLLECTIONS.try_acquire().map_err(|_| {
        let text = format!("{MAX_COLLECTIONS} collections are running already; try again later");
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text)
    })
}

async fn profile(
    request: Request,
    permit: SemaphorePermit<'static>,
    gone: impl Future<Output = Refusal>,
) -> Result<Vec<u8>, Refusal> {
    let Request { profile, window, format, rows, symbols, view, noise, idle, .. } = request;
    // The permit goes along: an answer nobody waits for counts until its work is really over.
    let finish = |collect: Box<dyn FnOnce() -> Result<Snapshot> + Send>| {
        off_thread(move || {
            let _permit = permit;
            shown(collect()?, noise, idle, format, rows, symbols)
        })
    };
    let bytes = match window {
        None => {
            finish(Box::new(move || Ok(view.map_or_else(|| profile.snapshot(), |view| profile.view(view)))))
                .await?
        }
        Some((length, Window::Started(how))) => {
            let source = profile.source();
            let start = move || match source {
                Some(source) => source.start(how),
                None => Err(Error::Unsupported("this profile is not sampled")),
            };
            let begun = off_thread(start).await?;
            let recording = begun.map_err(|error| match profile.name() {
                "cpu" => Refusal::from(error).during("Could not enable CPU profiling"),
                _ => Refusal::from(error),
            })?;
            wait(length, gone).await?;
            finish(Box::new(|| Ok(recording.finish()))).await?
        }
        Some((length, Window::Difference)) => {
            let before = off_thread(|| profile.snapshot()).await?;
            wait(length, gone).await?;
            finish(Box::new(move || Ok(profile.snapshot().delta(&before)?.dated_at_its_end()))).await?
        }
        Some((length, Window::End)) => {
            wait(length, gone).await?;
            finish(Box::new(move || Ok(view.map_or_else(|| profile.snapshot(), |view| profile.view(view)))))
                .await?
        }
    };
    Ok(bytes?)
}

/// Lets the time pass, as long as somebody waits for what comes after.
async fn wait(length: Duration, gone: impl Future<Output = Refusal>) -> Result<(), Refusal> {
    match tokio::time::timeout(length, gone).await {
        Ok(refusal) => Err(refusal),
        Err(_) => Ok(()),
    }
}

/// As it was asked for.
fn shown(
    mut snapshot: Snapshot,
    noise: bool,
    idle: Option<bool>,
    format: Format,
    rows: usize,
    symbols: Level,
) -> Result<Vec<u8>> {
    if !noise {
        snapshot.hide_noise();
    }
    snapshot.show_idle(idle);
    encode(snapshot, format, rows, symbols)
}

/// How many collections are running.
pub(super) fn running() -> usize {
    MAX_COLLECTIONS - COLLECTIONS.available_permits()
}

/// Writes `snapshot` with at most `rows` rows (0: all of them, however many bytes that makes).
fn encode(mut snapshot: Snapshot, format: Format, rows: usize, symbols: Level) -> Result<Vec<u8>> {
    shown::limit(&mut snapshot, format, rows);
    let mut most = if rows == 0 { usize::MAX } else { MAX_BYTES - BESIDE_ROWS };
    loop {
        let mut bytes = Vec::new();
        snapshot.write_within(&mut bytes, format, symbols, most)?;
        let size = if format == Format::Pprof { uncompressed_size(&bytes) } else { 0 };
        if rows == 0 || size < MAX_BYTES || most == 0 {
            return Ok(bytes);
        }
        // More beside the rows than is left for it.
        most = most.saturating_sub(size - MAX_BYTES + BESIDE_ROWS);
    }
}

/// What gzip notes at its end, modulo 4 GiB; 0 if it is not gzip.
fn uncompressed_size(gzip: &[u8]) -> usize {
    match (gzip, gzip.last_chunk()) {
        ([0x1f, 0x8b, ..], Some(&size)) => u32::from_le_bytes(size) as usize,
        _ => 0,
    }
}

/// The arguments, each but the last ended by NUL.
fn cmdline() -> Vec<u8> {
    let arguments: Vec<_> = std::env::args_os().map(|argument| argument.into_encoded_bytes()).collect();
    arguments.join(&0)
}

/// What Go's reader takes for an address, and what it says of more.
const MAX_WORD: usize = 4096;

/// Answers in gperftools' form: a first line that says there are symbols, then a line for each address that has a
/// name. Addresses are joined by `+`, in hex or decimal, and looked up as they are given.
fn symbols(addresses: &[u8], name_of: impl Fn(u64) -> Option<String>) -> Vec<u8> {
    let mut text = String::from("num_symbols: 1\n");
    for word in addresses.split(|&byte| byte == b'+') {
        if word.len() >= MAX_WORD {
            text.push_str("reading request: bufio: buffer full\n");
            break;
        }
        let address = std::str::from_utf8(word.trim_ascii()).ok().and_then(|word| {
            match word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => word.parse().ok(),
            }
        });
        if let Some(address) = address.filter(|&address| address != 0)
            && let Some(name) = name_of(address)
        {
            text.push_str(&format!("{address:#x} {}\n", name.replace(char::is_control, " ")));
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_lines() {
        let name_of = |address| (address != 0x40).then(|| format!("f{address:x}\n"));
        let answer = |query: &str| String::from_utf8(symbols(query.as_bytes(), name_of)).unwrap();
        assert_eq!(answer(""), "num_symbols: 1\n");
        assert_eq!(
            answer("0x1f+0+0X2A+16+0x40+junk+-1+0x+%2B+99999999999999999999+0x1f\n"),
            "num_symbols: 1\n0x1f f1f \n0x2a f2a \n0x10 f10 \n0x1f f1f \n"
        );
    }

    #[test]
    fn the_size_is_at_the_end_of_a_gzip() {
        use std::io::Write as _;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&[7; 70_000]).unwrap();
        assert_eq!(uncompressed_size(&gzip.finish().unwrap()), 70_000);
        assert_eq!(uncompressed_size(b"text"), 0);
        assert_eq!(uncompressed_size(b""), 0);
    }

    #[test]
    fn a_profile_has_its_bounds_unless_told_otherwise() {
        use crate::snapshot::{Key, Meta, Row};
        let value = crate::ValueType::new("fakes", "count");
        let row = |i: u64| {
            // Deep, and with a leaf of its own: much to write.
            let stack: Vec<u64> = (0..100).map(|depth| 0x1000 + (i * 31 + depth * i) % 30_000).collect();
            let key = Key::of(crate::store::Stack::intern(&stack, 0));
            Row { key, values: [1 + i as i64, 0, 0, 0] }
        };
        let meta = Meta { profile: "fakes", value_types: vec![value], ..Meta::default() };
        let snapshot = Snapshot::new(meta, (0..20_000).map(row).collect(), Default::default());
        let size =
            |rows| uncompressed_size(&encode(snapshot.clone(), Format::Pprof, rows, Level::Lines).unwrap());
        let (all, bounded, few) = (size(0), size(16_000), size(10));
        assert!(all > MAX_BYTES, "{all}");
        assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&bounded), "{bounded}");
        assert!(few < 100_000, "{few}");
    }
}
