//! What a query says. A value that does not parse is refused by name; nothing falls back to a default in silence.
use std::time::Duration;

use ::http::StatusCode;

use super::reply::Refusal;
use crate::alive::{Tags, Wanted};
use crate::encode::{Format, supported};
use crate::profile::{How, View};
use crate::symbol::Level;

/// The longest window.
pub(super) const MAX_SECONDS: u64 = 300;
/// Rows of a profile unless `rows` asks for more: what Pyroscope takes.
pub(super) const DEFAULT_ROWS: usize = 16_000;

/// The parameters of a query, decoded.
#[derive(Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    pub(super) fn parse(query: &str) -> Result<Params, Refusal> {
        let decoded = |text: &str| {
            decode(text, true).ok_or_else(|| {
                let text = format!("the query is not percent-encoded UTF-8: {text:?}");
                Refusal::new(StatusCode::BAD_REQUEST, text)
            })
        };
        let pairs = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decoded(name)?, decoded(value)?))
            })
            .collect::<Result<_, Refusal>>()?;
        Ok(Params { pairs })
    }

    /// All of them, in order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value: Parca repeats `seconds`.
    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether it says anything of it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// `of`: whether what is opened is the flight recorder's.
    pub(super) fn of(&self) -> Result<bool, Refusal> {
        match self.get("of") {
            None | Some("trace") => Ok(false),
            Some("flightrecorder") => Ok(true),
            Some(value) => Err(invalid("of", value, "must be trace or flightrecorder")),
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Refusal> {
        self.get(name).map(|value| value.parse().map_err(|_| invalid(name, value, expected))).transpose()
    }

    /// `seconds`: how long a window lasts.
    pub(super) fn seconds(&self) -> Result<Option<Duration>, Refusal> {
        let Some(value) = self.get("seconds") else { return Ok(None) };
        let expected = format!("must be a positive number of at most {MAX_SECONDS}");
        let seconds: f64 = value.parse().map_err(|_| invalid("seconds", value, &expected))?;
        // Also false for NaN.
        if seconds > 0.0 && seconds <= MAX_SECONDS as f64 {
            Ok(Some(Duration::from_secs_f64(seconds)))
        } else {
            Err(invalid("seconds", value, &expected))
        }
    }

    /// `debug`: Go's level of text.
    pub(super) fn debug(&self) -> Result<Option<u32>, Refusal> {
        self.number("debug", "must be 0, 1 or 2")
    }

    /// `format`: by name.
    pub(super) fn format(&self) -> Result<Option<Format>, Refusal> {
        let Some(value) = self.get("format") else { return Ok(None) };
        let format = match value {
            "pprof" => Format::Pprof,
            "text" => Format::Text,
            "folded" => Format::Folded,
            "svg" => Format::Svg,
            _ => return Err(invalid("format", value, "must be pprof, text, folded or svg")),
        };
        // Now, not after a window was waited for.
        supported(format)?;
        Ok(Some(format))
    }

    /// `format` of `/status`: whether Prometheus asks, who says so himself in `Accept`.
    pub(super) fn prometheus(&self, accept: &str) -> Result<bool, Refusal> {
        match self.get("format") {
            None => Ok(accept.contains("application/openmetrics-text") || accept.contains("version=0.0.4")),
            Some("text") => Ok(false),
            Some("prometheus") => Ok(true),
            Some(value) => Err(invalid("format", value, "must be text or prometheus")),
        }
    }

    /// `format` of a trace: Go's, unless it says otherwise.
    pub(super) fn trace_format(&self) -> Result<crate::trace::Format, Refusal> {
        match self.get("format") {
            None | Some("go") => Ok(crate::trace::Format::Go),
            Some("perfetto") => Ok(crate::trace::Format::Perfetto),
            Some(value) => Err(invalid("format", value, "must be go or perfetto")),
        }
    }

    /// `symbols`: how much is looked up.
    pub(super) fn symbols(&self) -> Result<Level, Refusal> {
        Ok(match self.get("symbols") {
            None | Some("lines") => Level::Lines,
            Some("names") => Level::Names,
            Some("raw") => Level::Raw,
            Some(value) => return Err(invalid("symbols", value, "must be lines, names or raw")),
        })
    }

    /// `rows`: the most rows to send; 0 sends all.
    pub(super) fn rows(&self) -> Result<usize, Refusal> {
        Ok(self.number("rows", "must be a number of rows, or 0 for all")?.unwrap_or(DEFAULT_ROWS))
    }

    /// `hz`, `mode`, `tags` and `stacks`: how a window is sampled.
    pub(super) fn how(&self) -> Result<How, Refusal> {
        let wall = match self.get("mode") {
            None | Some("cpu") => false,
            Some("wall") => true,
            Some(value) => return Err(invalid("mode", value, "must be cpu or wall")),
        };
        let thread_names = match self.get("tags") {
            None | Some("") => false,
            Some("thread") => true,
            Some("waiting" | "id") => false,
            Some(value) => return Err(invalid("tags", value, "must be thread, id or waiting")),
        };
        let task_stacks = match self.get("stacks") {
            None | Some("threads") => false,
            Some("async") => true,
            Some(value) => return Err(invalid("stacks", value, "must be threads or async")),
        };
        Ok(How { hz: self.hz()?, wall, thread_names, task_stacks })
    }

    /// Whether `hz`, `mode` or `stacks` is there.
    pub(super) fn says_how(&self) -> bool {
        ["hz", "mode", "stacks"].iter().any(|name| self.get(name).is_some())
    }

    /// `hz`: samples a second.
    fn hz(&self) -> Result<u32, Refusal> {
        match self.number("hz", "must be a number of samples a second")? {
            Some(0) => Err(invalid("hz", "0", "must be a number of samples a second")),
            hz => Ok(hz.unwrap_or(100)),
        }
    }

    /// `age`, `peak` and `tags=waiting`: another view of a profile.
    pub(super) fn view(&self) -> Result<Option<View>, Refusal> {
        if self.get("tags") == Some("waiting") {
            return Ok(Some(View::Waiting));
        }
        let peak = self.switch("peak")?.unwrap_or(false);
        match self.seconds_of("age")? {
            None => Ok(peak.then_some(View::Peak)),
            Some(_) if peak => Err(Refusal::new(StatusCode::BAD_REQUEST, "age and peak are incompatible")),
            Some(age) => Ok(Some(View::OlderThan(age))),
        }
    }

    fn seconds_of(&self, name: &str) -> Result<Option<Duration>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        seconds.map(Some).ok_or_else(|| invalid(name, value, "must be a number of seconds"))
    }

    /// `threads`, `tags`, `all` and `stuck`: how what is alive is shown. Who asks in text is a person; a scrape disturbs nobody.
    pub(super) fn alive(&self, format: Format) -> Result<View, Refusal> {
        let stacks = match self.get("threads") {
            None => format != Format::Pprof,
            Some("stacks") => true,
            Some("names") => false,
            Some(value) => return Err(invalid("threads", value, "must be stacks or names")),
        };
        let tags = match self.get("tags") {
            None | Some("") => Tags::Kind,
            Some("thread") => Tags::Name,
            Some("id") => Tags::Id,
            Some(value) => return Err(invalid("tags", value, "must be thread or id")),
        };
        let stuck = self.seconds_of("stuck")?;
        let times = format == Format::Verbose || tags == Tags::Id || stuck.is_some();
        Ok(View::Alive(Wanted { stacks, times, tags, all: self.switch("all")?.unwrap_or(false), stuck }))
    }

    /// `noise`: whether the standard library's containers are shown where they allocate.
    pub(super) fn noise(&self) -> Result<bool, Refusal> {
        Ok(self.switch("noise")?.unwrap_or(true))
    }

    /// `idle`: whether pools' threads that wait for work are shown. By default the protobuf has them, labelled, and the
    /// text does not.
    pub(super) fn idle(&self) -> Result<Option<bool>, Refusal> {
        self.switch("idle")
    }

    fn switch(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some("0") => Ok(Some(false)),
            Some("1") => Ok(Some(true)),
            Some(value) => Err(invalid(name, value, "must be 0 or 1")),
        }
    }

    /// `gc`: Go collects garbage first. There is none here, but what asks for it is right to.
    pub(super) fn gc(&self) -> Result<(), Refusal> {
        self.number::<i64>("gc", "must be a number").map(|_| ())
    }
}

fn invalid(name: &str, value: &str, expected: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, format!("invalid value for {name:?}: {value:?} - {expected}"))
}

/// Undoes percent-encoding, strictly: `None` if a `%` is not followed by two digits or the result is not UTF-8.
/// In a query a `+` is a space.
pub(super) fn decode(text: &str, plus: bool) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8,
            b'+' if plus => b' ',
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Percent-encodes all but letters, digits, `-._~` and what `keep` says.
pub(super) fn encode(text: &str, keep: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            byte if keep.as_bytes().contains(&byte) => encoded.push(byte.into()),
            byte => _ = write!(encoded, "%{byte:02X}"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::parse(query).unwrap()
    }

    #[test]
    fn the_first_value_counts() {
        let p = params("debug=1&seconds=2&seconds=abc&seconds=3");
        assert_eq!(p.seconds().unwrap(), Some(Duration::from_secs(2)));
        assert_eq!(p.debug().unwrap(), Some(1));
        assert_eq!(params("").seconds().unwrap(), None);
    }

    #[test]
    fn seconds_may_be_a_fraction_and_nothing_silly() {
        assert_eq!(params("seconds=0.5").seconds().unwrap(), Some(Duration::from_millis(500)));
        assert_eq!(params("seconds=300").seconds().unwrap(), Some(Duration::from_secs(300)));
        for bad in ["0", "-1", "abc", "", "NaN", "inf", "-inf", "1e308", "1e999", "300.1", " 5", "5s", "0x5"]
        {
            let refusal = params(&format!("seconds={}", encode(bad, ""))).seconds().unwrap_err();
            assert_eq!(refusal.status(), 400, "{bad}");
        }
    }

    #[test]
    fn a_bad_value_is_named() {
        for (query, name) in [("debug=x", "debug"), ("debug=-1", "debug"), ("debug=", "debug")] {
            let refusal = params(query).debug().unwrap_err();
            assert!(format!("{refusal:?}").contains(name), "{refusal:?}");
        }
        assert!(params("rows=-1").rows().is_err());
        assert_eq!(params("").symbols().unwrap(), Level::Lines);
        assert_eq!(params("symbols=raw").symbols().unwrap(), Level::Raw);
        assert!(params("symbols=all").symbols().is_err());
        assert!(params("hz=0").hz().is_err());
        assert!(params("mode=both").how().is_err());
        assert!(params("tags=colour").how().is_err());
        let how = params("mode=wall&tags=thread&hz=7").how().unwrap();
        assert_eq!(how, How { hz: 7, wall: true, thread_names: true, task_stacks: false });
        assert!(params("gc=x").gc().is_err());
        assert!(params("format=gif").format().is_err());
    }

    #[test]
    fn decoding_is_strict_and_encoding_its_inverse() {
        assert_eq!(decode("a%2Fb+c", false).as_deref(), Some("a/b+c"));
        assert_eq!(decode("a%2fb+c", true).as_deref(), Some("a/b c"));
        for bad in ["%", "%2", "%zz", "%+1", "%ff", "%c3%28", "%2ü"] {
            assert_eq!(decode(bad, false), None, "{bad}");
        }
        for name in ["app::orders", "<b>\"x\" & y", "münze/%41", "\0\n"] {
            assert_eq!(decode(&encode(name, ""), true).as_deref(), Some(name));
        }
    }

    /// Whatever a query is made of, it is understood or refused.
    #[test]
    fn no_query_is_too_strange() {
        let pieces = [
            "seconds", "debug", "rows", "hz", "gc", "format", "=", "&", "%", "%4", "%41", "+", "-", "9", "e",
            ".", "\0", "ü", "nan", "inf", "=1", "pprof",
        ];
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut understood = 0;
        for _ in 0..50_000 {
            let mut query = String::new();
            for _ in 0..random % 12 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                query.push_str(pieces[(random >> 32) as usize % pieces.len()]);
            }
            random = random.wrapping_add(1);
            let Ok(p) = Params::parse(&query) else { continue };
            let ok = p.seconds().is_ok() & p.debug().is_ok() & p.rows().is_ok() & p.hz().is_ok();
            understood += usize::from(ok & p.gc().is_ok() & p.format().is_ok());
            if let Ok(Some(length)) = p.seconds() {
                assert!(length <= Duration::from_secs(MAX_SECONDS), "{query}");
            }
        }
        assert!(understood > 1_000, "{understood}");
    }
}
