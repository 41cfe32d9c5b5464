//! The pages of `go tool trace -http`, as plain text.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A tool that serves pages, until this is dropped.
#[derive(Debug)]
pub struct Pages {
    child: Child,
    address: String,
}

impl Pages {
    pub(crate) fn serve(tool: &Path, file: &Path) -> Pages {
        let mut child = Command::new(tool)
            .arg("-http=127.0.0.1:0")
            .arg(file)
            .env("BROWSER", "/bin/true")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool runs");
        let mut said = String::new();
        let stderr = child.stderr.take().expect("a pipe");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let address = lines.find_map(|line| {
            said.push_str(&line);
            said.push('\n');
            let at = line.find("http://")?;
            Some(line[at + 7..].trim_end_matches('/').to_owned())
        });
        let address = address.unwrap_or_else(|| panic!("no address in {said}"));
        // Nobody else reads what it has to say.
        std::thread::spawn(move || lines.for_each(drop));
        Pages { child, address }
    }

    /// The text of a page.
    ///
    /// # Panics
    /// If there is none within a minute.
    pub fn get(&self, path: &str) -> String {
        let begin = Instant::now();
        loop {
            match self.try_get(path) {
                Ok(page) if page.starts_with("HTTP/1.0 200") || page.starts_with("HTTP/1.1 200") => {
                    return page.split_once("\r\n\r\n").map_or(page.clone(), |(_, body)| body.to_owned());
                }
                other => {
                    assert!(begin.elapsed() < Duration::from_secs(60), "{path}: {other:?}");
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    fn try_get(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut page = Vec::new();
        stream.read_to_end(&mut page)?;
        Ok(String::from_utf8_lossy(&page).into_owned())
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The rows of a page's tables, each the texts of its cells, trimmed.
pub fn rows(page: &str) -> Vec<Vec<String>> {
    let cells = |row: &str| -> Vec<String> {
        row.split("<td")
            .skip(1)
            .map(|cell| plain(cell.split_once('>').map_or("", |(_, rest)| rest)))
            .collect()
    };
    page.split("<tr").skip(1).map(cells).filter(|row| !row.is_empty()).collect()
}

/// Text without its marks.
fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&#39;", "'").replace("&amp;", "&");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
