//! `/debug/pprof/flightrecorder`: what a flight recorder keeps, and its trigger.
use ::http::header::{self, HeaderValue};
use ::http::{Response, StatusCode};

use super::params::Params;
use super::reply::{Body, Content, Refusal, response};
use crate::trace::Format;
use crate::trace::flight::{Answer, Nobody, find};

/// What is asked for.
#[derive(Debug)]
pub(super) struct Request {
    format: Option<Format>,
    /// Whether it fires the trigger, if there is one.
    fires: bool,
}

impl Request {
    /// `format`: that of the recorder which was started last, if it says nothing.
    pub(super) fn parse(params: &Params, fires: bool) -> Result<Request, Refusal> {
        params.debug()?;
        let format = if params.has("format") { Some(params.trace_format()?) } else { None };
        Ok(Request { format, fires })
    }

    pub(super) fn content(&self) -> Content {
        file(self.format.unwrap_or(Format::Go))
    }

    /// The answer. Takes a moment.
    pub(super) fn answer(&self) -> Result<Response<Body>, Refusal> {
        let recorder = find(self.format).map_err(|nobody| self.nobody(nobody))?;
        let answer = if self.fires { recorder.post() } else { Answer::Snapshot(recorder.get()) };
        match answer {
            Answer::Snapshot(snapshot) => {
                let mut bytes = Vec::new();
                snapshot.write_to(&mut bytes)?;
                Ok(response(StatusCode::OK, &file(recorder.format()), bytes))
            }
            Answer::Delivered(snapshot, Ok(path)) => {
                let summary = snapshot.summary();
                let to = path.map_or_else(|| "the program".to_owned(), |path| path.display().to_string());
                let text = format!(
                    "snapshot to {to}: {} events, {} dropped, {} bytes; {} triggers suppressed\n",
                    summary.events, summary.dropped, summary.bytes, summary.suppressed
                );
                Ok(response(StatusCode::OK, &Content::Text, text))
            }
            Answer::Delivered(_, Err(error)) => {
                Err(Refusal::from(crate::error::Error::from(error)).during("failed to deliver the snapshot"))
            }
            Answer::TooSoon(interval) => {
                let text = format!("a snapshot was taken less than {interval:?} ago; this is counted");
                let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, text);
                let seconds = HeaderValue::from(interval.as_secs().max(1));
                Err(refusal.with_value(header::RETRY_AFTER, seconds))
            }
        }
    }

    fn nobody(&self, nobody: Nobody) -> Refusal {
        match nobody {
            Nobody::Runs => Refusal::new(
                StatusCode::NOT_FOUND,
                "no flight recorder is running; a program starts one with \
                 profiled::trace::FlightRecorder::builder().start()",
            ),
            Nobody::But(format) => {
                let (has, other) = match format {
                    Format::Go => ("format=go", "Perfetto"),
                    Format::Perfetto => ("format=perfetto", "Go"),
                };
                let text = format!(
                    "the flight recorder that is running has {has}; another one is started with \
                     profiled::trace::FlightRecorder::builder().format(profiled::trace::Format::{other}).start()"
                );
                Refusal::new(StatusCode::CONFLICT, text)
            }
        }
    }
}

fn file(format: Format) -> Content {
    Content::File(match format {
        Format::Go => "flight.trace".to_owned(),
        Format::Perfetto => "flight.pftrace".to_owned(),
    })
}
