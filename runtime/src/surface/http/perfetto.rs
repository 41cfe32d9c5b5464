//! `/debug/pprof/perfetto`: a page that hands a trace to Perfetto's viewer, in the browser, without a server in between.
//!
//! The viewer's page takes a trace as a message of whoever opened it. Without JavaScript it is a page with a link to the file.
use super::params::Params;
use super::reply::Refusal;

/// What is opened.
#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    /// A trace from now on, for so many seconds, as they were given.
    Trace(f64),
    Flight,
}

impl What {
    /// `of`, a trace unless it says otherwise, and `seconds` of that, 5.
    pub(super) fn parse(params: &Params) -> Result<What, Refusal> {
        match params.of()? {
            false => Ok(What::Trace(params.seconds()?.map_or(5.0, |length| length.as_secs_f64()))),
            true => Ok(What::Flight),
        }
    }

    fn link(self) -> String {
        match self {
            What::Trace(seconds) => format!("trace?format=perfetto&seconds={seconds}"),
            What::Flight => "flightrecorder?format=perfetto".to_owned(),
        }
    }

    fn words(self) -> String {
        match self {
            What::Trace(seconds) => format!("records for {seconds} s, then opens it"),
            What::Flight => "opens what the flight recorder keeps".to_owned(),
        }
    }
}

/// The page.
pub(super) fn page(what: What) -> String {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(|path| path.file_name()).unwrap_or_default().to_string_lossy();
    PAGE.replace("{link}", &what.link().replace('&', "&amp;"))
        .replace("{words}", &what.words())
        .replace("{title}", &super::index::Html(&program).to_string())
}

/// The viewer answers a `PING` when it is there. Its window has to be opened by a click.
const PAGE: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}: open in Perfetto</title>
<style>:root{color-scheme:light dark}body{font:14px/1.45 system-ui,sans-serif;max-width:40rem;margin:1.5rem auto;padding:0 1rem}</style>
</head>
<body>
<h1>Open in Perfetto</h1>
<p><button id="open" hidden>Open in Perfetto</button> <span id="said"></span></p>
<p><a id="file" href="{link}" download>Download the trace</a>, and open it at
<a href="https://ui.perfetto.dev" rel="noreferrer">ui.perfetto.dev</a>.</p>
<p>The button {words}: in a window of the viewer's, which is loaded from the network. The trace goes from this page to that window,
and stays in the browser.</p>
<script>
'use strict';
const VIEWER = 'https://ui.perfetto.dev';
const button = document.getElementById('open'), said = document.getElementById('said');
button.hidden = false;
button.onclick = async () => {
  const viewer = window.open(VIEWER);
  if (!viewer) { said.textContent = 'The browser keeps the window from opening.'; return; }
  button.disabled = true;
  said.textContent = 'Recording ..';
  try {
    const answer = await fetch(document.getElementById('file').href);
    if (!answer.ok) throw new Error(await answer.text());
    const buffer = await answer.arrayBuffer();
    said.textContent = 'Waiting for the viewer ..';
    await new Promise((resolve, reject) => {
      const ping = setInterval(() => {
        if (!viewer.closed) return viewer.postMessage('PING', VIEWER);
        clearInterval(ping);
        reject(new Error('The viewer was closed.'));
      }, 100);
      window.addEventListener('message', event => {
        if (event.origin !== VIEWER || event.data !== 'PONG') return;
        clearInterval(ping);
        resolve();
      });
    });
    viewer.postMessage({perfetto: {buffer, title: document.title}}, VIEWER, [buffer]);
    said.textContent = 'Opened.';
  } catch (error) {
    said.textContent = error.message;
  }
  button.disabled = false;
};
</script>
</body>
</html>
"#;
