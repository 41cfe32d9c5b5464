#![expect(unsafe_code, reason = "writes within the room that was asked for beforehand")]
//! The form in which threads keep their events: a byte that says what it is, the ticks since the event before, and what it
//! has, small numbers in few bytes. An address takes six: no program that we know has longer ones.
use super::event::Class;

/// What a record is of. What follows in it is said beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// tid, whether it begins now, creator, name
    Thread = 1,
    ThreadEnd,
    /// how many
    Lost,
    /// class, site of the lock, text, object, stack
    WaitBegin,
    /// class, object
    WaitEnd,
    /// class, site of the lock, object, stack
    Release,
    /// task, parent, site, whether it is not polled yet, stack
    TaskCreate,
    /// task, stack
    TaskWake,
    /// task, site
    PollBegin,
    /// task, class, stack
    Await,
    PollPending,
    PollReady,
    /// task, whether it was cancelled
    TaskEnd,
    /// site
    ScopeBegin,
    /// site
    ScopeEnd,
    /// task, parent, text, stack
    UserTaskBegin,
    /// task, text, stack
    UserTaskEnd,
    /// task, text
    RegionBegin,
    RegionEnd,
    /// task, text, bytes
    Log,
    /// bytes: as `label` encodes them
    Labels,
}

impl Kind {
    const ALL: [Kind; 21] = [
        Kind::Thread,
        Kind::ThreadEnd,
        Kind::Lost,
        Kind::WaitBegin,
        Kind::WaitEnd,
        Kind::Release,
        Kind::TaskCreate,
        Kind::TaskWake,
        Kind::PollBegin,
        Kind::Await,
        Kind::PollPending,
        Kind::PollReady,
        Kind::TaskEnd,
        Kind::ScopeBegin,
        Kind::ScopeEnd,
        Kind::UserTaskBegin,
        Kind::UserTaskEnd,
        Kind::RegionBegin,
        Kind::RegionEnd,
        Kind::Log,
        Kind::Labels,
    ];

    /// Whether it is something that the program did, and not said of ourselves.
    pub(super) fn is_event(self) -> bool {
        !matches!(self, Kind::Thread | Kind::ThreadEnd | Kind::Lost)
    }
}

/// Bytes of a text that is kept; a longer one is cut.
pub(super) const MAX_TEXT: usize = 1024;
/// Bytes that a record has at the most: kind and ticks, numbers and addresses, and a text.
pub(super) const MAX_RECORD: usize = 96 + MAX_TEXT;

/// What a text ends in that was cut.
pub(super) const MARK: &str = "\u{2026}";

/// What is left of a text that is too long, before the [`MARK`]; `None` if it is not.
pub(super) fn cut(text: &str) -> Option<&str> {
    if text.len() <= MAX_TEXT {
        return None;
    }
    let most = MAX_TEXT - MARK.len();
    let at = (0..=most).rev().find(|&at| text.is_char_boundary(at))?;
    Some(&text[..at])
}

/// Where a record is written.
pub(super) struct Writer(*mut u8);

impl Writer {
    /// # Safety
    /// [`MAX_RECORD`] bytes from `at` on are the caller's alone, until it is done.
    #[inline(always)]
    pub(super) unsafe fn new(at: *mut u8) -> Writer {
        Writer(at)
    }

    #[inline(always)]
    pub(super) fn end(&self) -> *mut u8 {
        self.0
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, byte: u8) {
        // SAFETY: a record is never longer than its room: see `MAX_RECORD`.
        unsafe {
            self.0.write(byte);
            self.0 = self.0.add(1);
        }
    }

    #[inline(always)]
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    #[inline(always)]
    pub(super) fn address(&mut self, address: usize) {
        // SAFETY: as above; two bytes more than it has are written, which are the next ones' or nobody's.
        unsafe {
            self.0.cast::<u64>().write_unaligned((address as u64).to_le());
            self.0 = self.0.add(6);
        }
    }

    #[inline(always)]
    pub(super) fn text(&mut self, text: &'static str) {
        self.address(text.as_ptr().expose_provenance());
        self.number(text.len() as u64);
    }

    /// No more than [`MAX_TEXT`].
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        let bytes = &bytes[..bytes.len().min(MAX_TEXT)];
        self.number(bytes.len() as u64);
        // SAFETY: as above, and what is written to is nobody else's.
        unsafe {
            self.0.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            self.0 = self.0.add(bytes.len());
        }
    }

    /// A text that is only here now: all of it, or what [`cut`] leaves.
    #[inline(always)]
    pub(super) fn copy(&mut self, text: &str) {
        let (kept, mark) = cut(text).map_or((text, ""), |kept| (kept, MARK));
        self.number((kept.len() + mark.len()) as u64);
        for part in [kept, mark] {
            // SAFETY: as above, and what is written to is nobody else's.
            unsafe {
                self.0.copy_from_nonoverlapping(part.as_ptr(), part.len());
                self.0 = self.0.add(part.len());
            }
        }
    }
}

/// Reads records. What is cut or none gives `None`.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn kind(&mut self) -> Option<Kind> {
        let byte = self.byte()?;
        Kind::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.byte().map(|byte| byte != 0)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn address(&mut self) -> Option<usize> {
        let bytes = self.take(6)?;
        let mut word = [0; 8];
        word[..6].copy_from_slice(bytes);
        Some(u64::from_le_bytes(word) as usize)
    }

    pub(super) fn class(&mut self) -> Option<Class> {
        Class::ALL.get(usize::from(self.byte()?)).copied()
    }

    /// A text's address and length.
    pub(super) fn text(&mut self) -> Option<(usize, usize)> {
        Some((self.address()?, self.number()? as usize))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.number()? as usize;
        self.take(len)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut room = vec![0; 2 * MAX_RECORD];
        let numbers = [0, 1, 127, 128, 300, 1 << 35, u64::MAX];
        // SAFETY: there is that much.
        let mut writer = unsafe { Writer::new(room.as_mut_ptr()) };
        writer.byte(Kind::Log as u8);
        numbers.iter().for_each(|&number| writer.number(number));
        writer.address(0x7fff_1234_5678);
        writer.copy(&"ä".repeat(MAX_TEXT));
        writer.byte(Class::Await as u8);
        let len = writer.end().addr() - room.as_ptr().addr();
        let mut reader = Reader(&room[..len]);
        assert_eq!(reader.kind(), Some(Kind::Log));
        assert!(numbers.iter().all(|&number| reader.number() == Some(number)));
        assert_eq!(reader.address(), Some(0x7fff_1234_5678));
        let text = reader.bytes().unwrap();
        assert!(text.len() <= MAX_TEXT);
        assert!(str::from_utf8(text).unwrap().ends_with(MARK));
        assert_eq!(reader.class(), Some(Class::Await));
        assert_eq!(reader.byte(), None);
    }

    #[test]
    fn kinds_and_classes_stand_at_their_numbers() {
        assert!(Kind::ALL.iter().enumerate().all(|(at, &kind)| kind as usize == at + 1));
        assert!(Class::ALL.iter().enumerate().all(|(at, &class)| class as usize == at));
    }
}
