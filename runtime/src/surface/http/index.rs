//! The page at `/debug/pprof/`: every profile, how much is in it, and what can be done with it.
//!
//! Plain links and a little style; it works without JavaScript and from under any prefix.
use std::fmt::{self, Write as _};

use super::params::encode;
use super::since;
use crate::encode::{Format, supported};
use crate::profile::{Profile, profiles};
use crate::record::Kind;

/// The page. `host` is what the client calls this server by.
pub(super) fn page(host: &str, prefix: &str, cmdline: bool) -> String {
    let mut page = String::new();
    // Writing to a string cannot fail.
    _ = write_page(&mut page, host, prefix, cmdline, &profiles());
    page
}

fn write_page(
    page: &mut String,
    host: &str,
    prefix: &str,
    cmdline: bool,
    profiles: &[&'static Profile],
) -> fmt::Result {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
    let program = Html(&program);
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{prefix}/ - {program}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>{program} <small>process {pid}, {prefix}/</small></h1>\n",
        prefix = Html(prefix),
        pid = std::process::id(),
    )?;
    let section = |page: &mut String, title: &str, kind: Kind| {
        let rows: Vec<_> = profiles.iter().filter(|profile| profile.kind() == kind).collect();
        if rows.is_empty() {
            return Ok(());
        }
        write!(
            page,
            "<h2>{title}</h2>\n<table>\n<thead><tr><th class=\"n\">Count</th><th>Profile</th><th>Rate</th>\
             <th>Text</th><th>Download</th><th>What comes now</th></tr></thead>\n<tbody>\n"
        )?;
        for profile in rows {
            row(page, profile)?;
        }
        page.write_str("</tbody>\n</table>\n")
    };
    page.write_str("<p>Types of profiles available:</p>\n")?;
    section(page, "Profiles", Kind::Predefined)?;
    section(page, "Locks", Kind::Lock)?;
    section(page, "Functions", Kind::Function)?;
    section(page, "The program's own", Kind::Custom)?;
    page.write_str("<h2>Also</h2>\n<ul>\n")?;
    let has = |name: &str| profiles.iter().any(|profile| profile.name() == name);
    if has("cpu") {
        page.write_str(
            "<li><a href=\"profile?seconds=5\" download>profile</a>: CPU, for as long as <code>seconds</code> says \
             (30).</li>\n",
        )?;
    }
    if has("goroutine") {
        page.write_str(
            "<li><a href=\"goroutine?debug=2\">full goroutine stack dump</a>: every thread and task.</li>\n",
        )?;
    }
    page.write_str(
        "<li><a href=\"trace?seconds=5\" download>trace</a>: what happens from now on, for as long as \
         <code>seconds</code> says (1), for <code>go tool trace</code>; \
         <a href=\"trace?seconds=5&amp;format=perfetto\" download>for Perfetto</a>; \
         <a href=\"perfetto?of=trace&amp;seconds=5\">Open in Perfetto</a>.</li>\n",
    )?;
    flight(page)?;
    if cmdline {
        page.write_str("<li><a href=\"cmdline\">cmdline</a>: the command line of this process.</li>\n")?;
    }
    write!(
        page,
        "<li><a href=\"symbol\">symbol</a>: names for addresses, by GET or POST.</li>\n\
         <li><a href=\"rates\">rates</a>: how often samples are taken; POST sets, \
         <code>curl -d heap=65536 http://{host}{prefix}/rates</code>.</li>\n\
         <li><a href=\"status\">status</a>: what works here, what was lost, what the profiler takes; \
         <a href=\"status?format=prometheus\">for Prometheus</a>.</li>\n</ul>\n\
         <p>To look around: <code>go tool pprof http://{host}{prefix}/heap</code></p>\n</body>\n</html>\n",
        host = Html(host),
        prefix = Html(prefix),
    )
}

/// The flight recorder, if there is one.
fn flight(page: &mut String) -> fmt::Result {
    use crate::trace::Format;
    use crate::trace::flight::find;
    page.write_str("<li>")?;
    match find(None) {
        Err(_) => page.write_str("flightrecorder: none is running")?,
        Ok(_) => page.write_str(
            "<a href=\"flightrecorder\" download>flightrecorder</a>: the last seconds; POST fires its trigger",
        )?,
    }
    if find(Some(Format::Perfetto)).is_ok() {
        page.write_str("; <a href=\"perfetto?of=flightrecorder\">Open in Perfetto</a>")?;
    }
    page.write_str(".</li>\n")
}

fn row(page: &mut String, profile: &Profile) -> fmt::Result {
    let name = profile.name();
    let link = link(name);
    write!(
        page,
        "<tr><td class=\"n\">{}</td><td><a href=\"{link}?debug=1\">{}</a><div>{}",
        profile.count(),
        Html(name),
        Html(profile.help()),
    )?;
    if let Some(declared) = profile.renamed_from() {
        write!(page, "<br>Declared as <code>{}</code>, which was taken.", Html(declared))?;
    }
    let source = profile.source();
    let rate = source.and_then(|source| source.rate()).unwrap_or_default();
    write!(
        page,
        "</div></td><td>{}</td>\
         <td><a href=\"{link}?debug=1\">debug=1</a> <a href=\"{link}?debug=2\">2</a> \
         <a href=\"{link}?format=folded\">folded</a></td>\
         <td><a href=\"{link}\" download>pprof</a>",
        Html(&rate),
    )?;
    if supported(Format::Svg).is_ok() {
        write!(page, " <a href=\"{link}?format=svg\">flame graph</a>")?;
    }
    page.write_str("</td><td>")?;
    // A state has no more to say in a while than it has now.
    let moves = source.is_some_and(|source| source.is_started() || source.is_cumulative());
    if moves {
        for seconds in [5, 30] {
            write!(page, "<a href=\"{link}?seconds={seconds}\" download>{seconds}&nbsp;s</a> ")?;
        }
    }
    if since::PROFILES.contains(&name) {
        write!(page, "<a href=\"delta_{name}\" download>since last asked</a>")?;
    }
    page.write_str("</td></tr>\n")
}

/// A relative link to the profile of this name. `a::b` may not look like a scheme, nor a part like `..` be resolved.
fn link(name: &str) -> String {
    let odd = name.split('/').any(|part| matches!(part, "" | "." | ".."));
    let link = encode(name, if odd { "" } else { "/" });
    if link == "." || link == ".." { link.replace('.', "%2E") } else { link }
}

/// Text, as it stands in a page or in a quoted attribute.
pub(super) struct Html<'a>(pub(super) &'a str);

impl fmt::Display for Html<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&#34;")?,
                '\'' => f.write_str("&#39;")?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const STYLE: &str = "
:root{color-scheme:light dark;--line:light-dark(#ddd,#3a3a3a);--soft:light-dark(#666,#999);--link:light-dark(#06c,#6af);--hover:light-dark(#f5f7fa,#222)}
body{font:14px/1.45 system-ui,sans-serif;max-width:68rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.3rem;margin:0 0 1rem}h1 small{font-weight:400;font-size:.9rem;color:var(--soft);margin-left:.4rem}
h2{font-size:1rem;margin:1.5rem 0 .4rem}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:600;font-size:.8rem;color:var(--soft)}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td:nth-child(2){overflow-wrap:anywhere}td:nth-child(3){color:var(--soft)}td:nth-child(n+4){white-space:nowrap}
tbody tr:hover{background:var(--hover)}
.n{text-align:right;font-variant-numeric:tabular-nums;width:5rem}
td div{font-size:.85rem;color:var(--soft)}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
code{font-family:ui-monospace,monospace;font-size:.9em}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_where_they_are() {
        assert_eq!(link("example.com/conns"), "example.com/conns");
        assert_eq!(link("app::orders"), "app%3A%3Aorders");
        assert_eq!(link("a b?c#d\"<"), "a%20b%3Fc%23d%22%3C");
        assert_eq!(link("a/../b"), "a%2F..%2Fb");
        assert_eq!(link("/x"), "%2Fx");
        assert_eq!(link(".."), "%2E%2E");
    }

    #[test]
    fn text_stays_text() {
        let text = Html("<script>alert('x')</script> & \"y\"\n").to_string();
        assert_eq!(text, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;y&#34;\u{fffd}");
    }
}
