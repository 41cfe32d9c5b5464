//! Who may ask. Every request passes here first, whatever it asks for.
use std::net::{Ipv4Addr, Ipv6Addr};

use ::http::header::{self, HeaderMap};
use ::http::request::Parts;
use ::http::{Method, StatusCode, Version};

use super::handler::Rules;
use super::reply::Refusal;

/// Refuses a request that the rules do not let in.
pub(super) fn check(rules: &Rules, request: &Parts) -> Result<(), Refusal> {
    let host = host_of(request)?;
    if let Some(host) = host
        && !is_known(rules, host)
    {
        let text = format!("host {host:?} is not served here; `Handler::allow_host` allows it");
        return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, text));
    }
    if let Some(token) = &rules.token
        && !bears(&request.headers, token)
    {
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "the bearer token is missing or wrong");
        return Err(refusal.with(header::WWW_AUTHENTICATE, "Bearer"));
    }
    if is_from_elsewhere(request, host) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "refused: another site's page asks"));
    }
    Ok(())
}

/// The host that the client believes to talk to. HTTP/1.0 and only that may leave it out.
fn host_of(request: &Parts) -> Result<Option<&str>, Refusal> {
    let bad = |text| Refusal::new(StatusCode::BAD_REQUEST, text);
    let mut headers = request.headers.get_all(header::HOST).iter();
    let header = match headers.next() {
        Some(value) => Some(value.to_str().map_err(|_| bad("the Host header is not text"))?),
        None => None,
    };
    if headers.next().is_some() {
        return Err(bad("more than one Host header"));
    }
    // `GET http://host/ HTTP/1.1`, and how HTTP/2 spells it. It goes before the header, which must not differ.
    let authority = request.uri.authority().map(|authority| authority.as_str());
    match (authority, header) {
        (Some(authority), Some(header)) if !authority.eq_ignore_ascii_case(header) => {
            Err(bad("the Host header and the request's address differ"))
        }
        (None, None) if request.version >= Version::HTTP_11 => Err(bad("missing Host header")),
        (authority, header) => Ok(authority.or(header)),
    }
}

/// An address, `localhost`, or a name that was allowed. A name that a stranger made to point to this machine is
/// none of them.
fn is_known(rules: &Rules, host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some((_, port)) if !port.ends_with(']') => return false,
        _ => host,
    };
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().is_ok();
    }
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name.parse::<Ipv4Addr>().is_ok() || name == "localhost" || rules.hosts.contains(&name)
}

/// Whether the request bears the token.
fn bears(headers: &HeaderMap, token: &str) -> bool {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return false };
    match value.as_bytes().split_at_checked("Bearer ".len()) {
        Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"Bearer ") => {
            !token.is_empty() && is_same(given.trim_ascii(), token.as_bytes())
        }
        _ => false,
    }
}

/// Compares in a time that depends on nothing but the length of what was given.
fn is_same(given: &[u8], secret: &[u8]) -> bool {
    let mut differences = given.len() ^ secret.len();
    for (i, &byte) in given.iter().enumerate() {
        differences |= usize::from(byte ^ secret[i % secret.len()]);
        // Kept from being turned into an early exit.
        differences = std::hint::black_box(differences);
    }
    differences == 0
}

/// Whether a browser sends this on behalf of another site's page. Programs send neither header and pass.
///
/// To follow a link is fine. To change something, or to make this process work for an image that is none, is not.
fn is_from_elsewhere(request: &Parts, host: Option<&str>) -> bool {
    let text = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let followed =
        reads && text("sec-fetch-mode") == Some("navigate") && text("sec-fetch-dest") == Some("document");
    if followed {
        return false;
    }
    if let Some(site) = text("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return true;
    }
    match text("origin") {
        Some(origin) => {
            let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            !matches!((authority, host), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(rules: &Rules, method: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = ::http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(rules, &parts).map_or_else(|refusal| refusal.status().as_u16(), |()| 200)
    }

    fn rules() -> Rules {
        (*super::super::Handler::new().allow_host("Pprof.Example.").rules).clone()
    }

    #[test]
    fn hosts() {
        let rules = rules();
        for good in [
            "127.0.0.1",
            "127.0.0.1:6060",
            "10.1.2.3:80",
            "[::1]:6060",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST:6060",
            "localhost.",
            "pprof.example",
            "pprof.example:443",
            "127.0.0.1:",
        ] {
            assert_eq!(status(&rules, "GET", "/", &[("host", good)]), 200, "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:6060",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "127.1",
            "0x7f.0.0.1",
            "[::1",
            "::1",
            "[evil]",
            "",
            ":6060",
            "127.0.0.1@evil.example",
            "127.0.0.1:60x",
            "localhost:6060:1",
            "notpprof.example",
            "x.pprof.example",
        ] {
            assert_eq!(status(&rules, "GET", "/", &[("host", bad)]), 421, "{bad}");
        }
        assert_eq!(status(&rules, "GET", "/", &[]), 400);
        assert_eq!(status(&rules, "GET", "/", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(status(&rules, "GET", "http://evil.example/", &[]), 421);
        assert_eq!(status(&rules, "GET", "http://evil.example/", &[("host", "localhost")]), 400);
        assert_eq!(status(&rules, "GET", "http://localhost/", &[("host", "localhost")]), 200);
    }

    #[test]
    fn tokens() {
        let rules = Rules { token: Some("s3cret".into()), ..rules() };
        let with =
            |value: &str| status(&rules, "GET", "/", &[("host", "localhost"), ("authorization", value)]);
        assert_eq!(with("Bearer s3cret"), 200);
        assert_eq!(with("bearer s3cret"), 200);
        for bad in [
            "",
            "s3cret",
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3crets",
            "Bearer s3creT",
            "Basic s3cret",
            "Bearer s3crets3cret",
        ] {
            assert_eq!(with(bad), 401, "{bad}");
        }
        assert_eq!(status(&rules, "GET", "/", &[("host", "localhost")]), 401);
        let nobody = Rules { token: Some(String::new()), ..rules };
        assert_eq!(status(&nobody, "GET", "/", &[("host", "localhost"), ("authorization", "Bearer ")]), 401);
    }

    #[test]
    fn other_sites() {
        let rules = rules();
        let ask = |method: &str, more: &[(&str, &str)]| {
            let headers: Vec<_> =
                [("host", "localhost:6060")].into_iter().chain(more.iter().copied()).collect();
            status(&rules, method, "/debug/pprof/symbol", &headers)
        };
        assert_eq!(ask("POST", &[]), 200);
        assert_eq!(ask("POST", &[("origin", "http://localhost:6060")]), 200);
        assert_eq!(
            ask("POST", &[("sec-fetch-site", "same-origin"), ("origin", "http://localhost:6060")]),
            200
        );
        for origin in ["http://evil.example", "null", "http://localhost:6061", "file://", ""] {
            assert_eq!(ask("POST", &[("origin", origin)]), 403, "{origin}");
        }
        for site in ["cross-site", "same-site", "?"] {
            assert_eq!(ask("POST", &[("sec-fetch-site", site)]), 403, "{site}");
        }
        // An image, a script or a frame of another site.
        assert_eq!(ask("GET", &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]), 403);
        // A link.
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(ask("GET", &link), 200);
        assert_eq!(ask("POST", &link), 403);
    }
}
