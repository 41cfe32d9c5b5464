//! `/rates`: how often profiles take a sample, shown and set.
use std::fmt::Write as _;

use ::http::StatusCode;

use super::params::Params;
use super::reply::Refusal;
use crate::profile::{Source, lookup, profiles};

/// The page: `PROFILE=RATE # what it counts in`, a line each.
pub(super) fn page() -> String {
    let mut page = String::new();
    for profile in profiles() {
        let Some(source) = profile.source() else { continue };
        if let Some(rate) = source.rate_now() {
            let now = source.rate().unwrap_or_default();
            // Writing to a string cannot fail.
            _ = writeln!(page, "{}={} # {}; 0 is off. Now: {now}", profile.name(), rate.value, rate.unit);
        }
    }
    page
}

/// Sets what `wanted` and a form in the body say: all of it or nothing.
pub(super) fn set(wanted: &Params, body: &[u8]) -> Result<(), Refusal> {
    let bad = |text: String| Refusal::new(StatusCode::BAD_REQUEST, text);
    let form = std::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8".to_owned()))?;
    let form = Params::parse(form.trim_ascii())?;
    let mut changes: Vec<(&'static dyn Source, u64, u64)> = Vec::new();
    for (name, value) in wanted.pairs().chain(form.pairs()) {
        let source = lookup(name).and_then(|profile| profile.source());
        let Some((source, now)) = source.and_then(|source| Some((source, source.rate_now()?))) else {
            return Err(bad(format!("there is no rate of {name:?}")));
        };
        let rate = value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten();
        let Some(rate) = rate else {
            return Err(bad(format!(
                "invalid value for {name:?}: {value:?} - must be a whole number: {}",
                now.unit
            )));
        };
        changes.push((source, rate, now.value));
    }
    if changes.is_empty() {
        return Err(bad("no rate: send PROFILE=NUMBER, as a form or in the query".to_owned()));
    }
    for (i, (source, rate, _)) in changes.iter().enumerate() {
        if let Err(error) = source.set_rate(*rate) {
            for (source, _, before) in changes[..i].iter().rev() {
                // It was in force a moment ago.
                _ = source.set_rate(*before);
            }
            return Err(error.into());
        }
    }
    Ok(())
}
