//! From a request to what is to be done: pure, quick, and the whole of the table of pages.
use std::sync::Arc;
use std::time::Duration;

use ::http::request::Parts;
use ::http::{Method, StatusCode, header};

use super::handler::Rules;
use super::params::{Params, decode};
use super::reply::{Content, Refusal};
use super::since::{self, Told};
use super::{Original, access, flight, perfetto, trace};
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
        cmdline: bool,
    },
    Cmdline,
    /// The addresses, unless they are in the body.
    Symbol(Option<String>),
    Profile(Request),
    /// What came since the last time, of one of `since::PROFILES`.
    Since(usize, Arc<Told>, Request),
    /// For Prometheus, or for people.
    Status(bool),
    /// With what to set, unless they are only to be shown.
    Rates(Option<Params>),
    Trace(trace::Request),
    Flight(flight::Request),
    /// A page that opens a trace in a viewer.
    Perfetto(perfetto::What),
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
        !self.head && matches!(self.page, Page::Symbol(None) | Page::Rates(Some(_)))
    }

    pub(super) fn takes_time(&self) -> bool {
        !self.head && !matches!(self.page, Page::Redirect(_))
    }

    pub(super) fn content(&self) -> Content {
        match &self.page {
            Page::Index { .. } => Content::Html,
            Page::Redirect(_) | Page::Cmdline | Page::Symbol(_) | Page::Rates(_) | Page::Status(false) => {
                Content::Text
            }
            Page::Trace(request) => Content::File(request.file()),
            Page::Flight(request) => request.content(),
            Page::Perfetto(_) => Content::Scripted,
            Page::Status(true) => Content::Metrics,
            Page::Profile(request) | Page::Since(_, _, request) => match request.format {
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
    // Where pprof asks about a profile with a slash in its name.
    let name = match name.ends_with("/symbol") && lookup(&name).is_none() {
        true => "symbol".to_owned(),
        false => name,
    };
    let head = request.method == Method::HEAD;
    let takes_posts = matches!(name.as_str(), "symbol" | "rates" | "flightrecorder");
    let posts = takes_posts && request.method == Method::POST;
    if !posts && !head && request.method != Method::GET {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
        let allowed = if takes_posts { "GET, HEAD, POST" } else { "GET, HEAD" };
        return Err(refusal.with(header::ALLOW, allowed));
    }
    let query = request.uri.query().unwrap_or_default();
    let (base, slash) = outer(request, rest);
    let page = match name.as_str() {
        // Never to `//host/`, which is somewhere else.
        "" if !slash => Page::Redirect(format!("/{}/", base.trim_start_matches('/'))),
        "" => {
            let header = request.headers.get(header::HOST).and_then(|host| host.to_str().ok());
            let host = request.uri.authority().map(|authority| authority.as_str()).or(header);
            Page::Index {
                host: host.unwrap_or("localhost").to_owned(),
                prefix: base.to_owned(),
                cmdline: rules.cmdline,
            }
        }
        "cmdline" if rules.cmdline => Page::Cmdline,
        "cmdline" => return Err(Refusal::new(StatusCode::NOT_FOUND, "the command line is not shown here")),
        "status" => {
            let accept = request.headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
            Page::Status(Params::parse(query)?.prometheus(accept.unwrap_or_default())?)
        }
        "rates" => {
            let wanted = Params::parse(query)?;
            Page::Rates(posts.then_some(wanted))
        }
        "symbol" => Page::Symbol((!posts).then(|| query.to_owned())),
        "trace" => Page::Trace(trace::Request::parse(&Params::parse(query)?)?),
        "flightrecorder" => Page::Flight(flight::Request::parse(&Params::parse(query)?, posts)?),
        "perfetto" => Page::Perfetto(perfetto::What::parse(&Params::parse(query)?)?),
        "profile" => Page::Profile(cpu(&Params::parse(query)?)?),
        name => {
            let params = Params::parse(query)?;
            let whose =
                name.strip_prefix("delta_").and_then(|of| since::PROFILES.iter().position(|p| *p == of));
            match whose {
                None => Page::Profile(named(name, &params)?),
                // Who says how long is told of that time, and nobody else's is taken from it.
                Some(which) if params.seconds()?.is_some() => Page::Profile(Request {
                    file: name.to_owned(),
                    ..named(since::PROFILES[which], &params)?
                }),
                Some(which) => {
                    let request =
                        Request { file: name.to_owned(), ..named(since::PROFILES[which], &params)? };
                    if request.view.is_some() {
                        let text = "age, peak and tags=waiting have no difference";
                        return Err(Refusal::new(StatusCode::BAD_REQUEST, text));
                    }
                    Page::Since(which, rules.told.clone(), request)
                }
            }
        }
    };
    Ok(Plan { head, page })
}

/// The pages' own path as the client knows it, which may have more in front than was left for us; and whether there is a
/// slash behind it, for links are relative. `rest` is what was asked for below it.
fn outer<'a>(request: &'a Parts, rest: &str) -> (&'a str, bool) {
    let path = match request.extensions.get::<Original>() {
        Some(Original(uri)) => uri.path(),
        None => request.uri.path(),
    };
    match path.strip_suffix(rest) {
        Some(base) => (base, !rest.is_empty()),
        // What is nested somewhere is told of a slash in either case.
        None => (path.trim_end_matches('/'), path.ends_with('/')),
    }
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
