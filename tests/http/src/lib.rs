//! A client that is small enough to be read, and does as it is told: nothing is retried, corrected or hidden.
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// 0 if nothing came.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, or `""`.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The string table of the profile in the body: what pprof could show of it.
    ///
    /// # Panics
    /// If the body is not a gzipped message of the profile's shape.
    pub fn strings(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text());
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&*self.body).read_to_end(&mut bytes).expect("gzip");
        let mut rest = &*bytes;
        let mut strings = Vec::new();
        while !rest.is_empty() {
            let tag = varint(&mut rest);
            match tag & 7 {
                0 => _ = varint(&mut rest),
                2 => {
                    let len = varint(&mut rest) as usize;
                    let (field, after) = rest.split_at(len);
                    rest = after;
                    if tag >> 3 == 6 {
                        strings.push(String::from_utf8(field.to_vec()).expect("UTF-8"));
                    }
                }
                kind => panic!("wire type {kind}"),
            }
        }
        assert_eq!(strings.first().map(String::as_str), Some(""), "the first string is empty");
        strings
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a varint");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// A connection that gives up after a while.
pub fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
    stream
}

/// One request, as it stands, and the answer to it.
pub fn raw(server: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = connect(server);
    // What is too long may be refused, and the connection closed, before the end of it.
    _ = stream.write_all(request);
    read(&mut stream).unwrap_or_default()
}

/// One request with a proper `Host`.
pub fn ask(server: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    raw(server, (request + "\r\n" + body).as_bytes())
}

/// GET of a path below `/debug/pprof/`.
pub fn get(server: SocketAddr, page: &str) -> Answer {
    ask(server, "GET", &format!("/debug/pprof/{page}"), &[], "")
}

/// The next answer on a connection. One to HEAD has to be read with [`head`].
///
/// # Errors
/// If the connection ends or stays silent before the answer is complete.
pub fn read(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut answer = head(stream)?;
    let length = answer.header("content-length").parse().unwrap_or(0);
    answer.body = vec![0; length];
    stream.read_exact(&mut answer.body)?;
    Ok(answer)
}

/// Status and headers of the next answer.
///
/// # Errors
/// If the connection ends or stays silent before they are complete.
pub fn head(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        bytes.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Ok(Answer { status, headers, body: Vec::new() })
}
