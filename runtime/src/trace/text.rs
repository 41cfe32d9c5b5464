//! Messages, while they are put together.
use std::fmt;

use super::raw;

/// A text without an allocation, a little longer than what is kept of it.
pub(super) struct Text {
    bytes: [u8; Text::ROOM],
    len: usize,
}

impl Text {
    const ROOM: usize = raw::MAX_TEXT + 8;

    pub(super) fn new() -> Text {
        Text { bytes: [0; Text::ROOM], len: 0 }
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = Text::ROOM - self.len;
        let at = (0..=text.len().min(room)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        self.bytes[self.len..self.len + at].copy_from_slice(&text.as_bytes()[..at]);
        self.len += at;
        if at < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}
