//! From a request to what is to be done: pure, quick, and the whole of the table of pages.
use std::time::Duration;

use ::http::request::Parts;
use ::http::{Method, StatusCode, header};

use super::handler::Rules;
use super::params::{Params, decode};
use super::reply::{Content, Refusal};
use super::{access, trace};
use crate::alive::Wanted;
use crate::encode::Format;
use crate::error::Error;
use crate::profile::{How, Profile, View, lookup};
use crate::symbol::Level;

/// What to answer.
#[derive(Debug)]
pub(super) struct Plan {
    /// HEAD: the headers are all there is to it.
    pub(super) head: bool,
    pub(super) page: Page,
}

#[derive(Debug)]
pub(super) enum Page {
    /// To the path with a slash at its end.
    Redirect(String),
    /// `host` is what the page calls this server by.
    Index {
        host: String,
        prefix: String,
    },
    Cmdline,
    /// The addresses, unless they are in the body.
    Symbol(Option<String>),
    Profile(Request),
    Trace(trace::Request),
}

/// A profile, and how it is wanted.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) profile: &'static Profile,
    pub(super) window: Option<(Duration, Window)>,
    pub(super) format: Format,
    pub(super) symbols: Level,
    /// Another view than all of it as of now.
    pub(super) view: Option<View>,
    /// Whether stacks that begin in an allocator show the standard library's containers at their leaves.
    pub(super) noise: bool,
    pub(super) idle: Option<bool>,
    /// 0 for all.
    pub(super) rows: usize,
    file: String,
}

/// What a profile has to say about a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    /// Sampled for that time.
    Started(How),
    /// What it has more of at the end.
    Difference,
    /// It is a state, and has no more to say than what that is at the end.
    End,
}

impl Plan {
    pub(super) fn wants_body(&self) -> bool {
        !self.head && matches!(self.page, Page::Symbol(None))
    }

    pub(super) fn takes_time(&self) -> bool {
        !self.head && !matches!(self.page, Page::Redirect(_))
    }

    pub(super) fn content(&self) -> Content {
        match &self.page {
            Page::Index { .. } => Content::Html,
            Page::Redirect(_) | Page::Cmdline | Page::Symbol(_) => Content::Text,
            Page::Trace(request) => Content::File(request.file()),
            Page::Profile(request) => match request.format {
                Format::Pprof => Content::File(request.file.clone()),
                Format::Text | Format::Verbose | Format::Folded => Content::Text,
                Format::Svg => Content::Svg,
            },
        }
    }
}

/// What `request` asks for, if it may.
pub(super) fn plan(rules: &Rules, request: &Parts) -> Result<Plan, Refusal> {
    access::check(rules, request)?;
    let Some(rest) = request.uri.path().strip_prefix(&rules.prefix) else { return Err(outside(rules)) };
    let name = match rest.strip_prefix('/') {
        Some(name) => decode(name, false)
            .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "the path is not percent-encoded UTF-8"))?,
        None if rest.is_empty() => String::new(),
        None => return Err(outside(rules)),
    };
    let head = request.method == Method::HEAD;
    let posts = name == "symbol" && request.method == Method::POST;
    if !posts && !head && request.method != Method::GET {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        let allowed = if name == "symbol" { "GET, HEAD, POST" } else { "GET, HEAD" };
        return Err(refusal.with(header::ALLOW, allowed));
    }
    let query = request.uri.query().unwrap_or_default();
    let page = match name.as_str() {
        "" if rest.is_empty() => Page::Redirect(format!("{}/", rules.prefix)),
        "" => {
            let header = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let host = request.uri.authority().map(|authority| authority.as_str()).or(header);
            Page::Index { host: host.unwrap_or("localhost").to_owned(), prefix: rules.prefix.clone() }
        }
        "cmdline" => Page::Cmdline,
        "symbol" => Page::Symbol((!posts).then(|| query.to_owned())),
        "trace" => Page::Trace(trace::Request::parse(&Params::parse(query)?)?),
        "profile" => Page::Profile(cpu(&Params::parse(query)?)?),
        name => Page::Profile(named(name, &Params::parse(query)?)?),
    };
    Ok(Plan { head, page })
}

fn outside(rules: &Rules) -> Refusal {
    let text = format!("404 page not found; profiles are under {}/", rules.prefix);
    Refusal::new(StatusCode::NOT_FOUND, text)
}

/// `/profile`: 30 seconds of CPU, in protobuf whatever `debug` says.
fn cpu(params: &Params) -> Result<Request, Refusal> {
    let length = params.seconds()?.unwrap_or(Duration::from_secs(30));
    let how = params.how()?;
    params.debug()?;
    params.gc()?;
    let Some(profile) = lookup("cpu") else {
        let missing = Error::Unsupported("this build has no CPU profile");
        return Err(Refusal::from(missing).during("Could not enable CPU profiling"));
    };
    Ok(Request {
        profile,
        window: Some((length, Window::Started(how))),
        format: params.format()?.unwrap_or(Format::Pprof),
        symbols: params.symbols()?,
        view: None,
        noise: true,
        idle: None,
        rows: params.rows()?,
        file: "profile".to_owned(),
    })
}

fn named(name: &str, params: &Params) -> Result<Request, Refusal> {
    let Some(profile) = lookup(name) else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "Unknown profile"));
    };
    let (seconds, debug, format) = (params.seconds()?, params.debug()?, params.format()?);
    params.gc()?;
    let bad = |text| Refusal::new(StatusCode::BAD_REQUEST, text);
    let format = match (debug, format) {
        (Some(_), Some(_)) => return Err(bad("format and debug params are incompatible")),
        (Some(1..), None) if seconds.is_some() => {
            return Err(bad("seconds and debug params are incompatible"));
        }
        (debug, None) => Format::of_debug(debug.unwrap_or(0)),
        (None, Some(format)) => format,
    };
    let window = match (seconds, profile.source()) {
        (None, _) => None,
        (Some(length), Some(source)) if source.is_started() => Some((length, Window::Started(params.how()?))),
        (Some(length), Some(source)) if source.is_cumulative() => Some((length, Window::Difference)),
        (Some(length), _) => Some((length, Window::End)),
    };
    if !matches!(window, Some((_, Window::Started(_)))) && params.says_how() {
        return Err(bad("hz and mode are for windows that are sampled on request, as /profile is"));
    }
    let shows_alive = profile.source().is_some_and(|source| source.has_view(View::Alive(Wanted::ROWS)));
    let view = match shows_alive {
        true => Some(params.alive(format)?),
        false => params.view()?,
    };
    if let Some(view) = view {
        let waiting = view == View::Waiting;
        if !profile.source().is_some_and(|source| source.has_view(view)) {
            let whose =
                if waiting { "tags=waiting is for block" } else { "age and peak are for heap and allocs" };
            return Err(bad(whose));
        }
        if seconds.is_some() && !shows_alive {
            let what = if waiting { "tags=waiting is" } else { "age and peak are" };
            return Err(bad(&format!("{what} incompatible with seconds")));
        }
    }
    let delta = if matches!(window, Some((_, Window::Difference))) { "-delta" } else { "" };
    Ok(Request {
        profile,
        window,
        format,
        rows: params.rows()?,
        symbols: params.symbols()?,
        view,
        noise: params.noise()?,
        idle: params.idle()?,
        file: format!("{name}{delta}"),
    })
}
