//! The strings of a protobuf, which names them by their numbers.
use std::collections::HashMap;
use std::rc::Rc;

/// Readers refuse longer strings.
const MAX_STRING: usize = (1 << 16) - 1;

/// The string table: each once, the empty one first.
pub(super) struct Strings {
    ids: HashMap<Rc<str>, i64>,
    pub(super) list: Vec<Rc<str>>,
    /// Of all of them.
    pub(super) bytes: usize,
}

impl Strings {
    pub(super) fn new() -> Strings {
        let mut strings = Strings { ids: HashMap::new(), list: Vec::new(), bytes: 0 };
        strings.id("");
        strings
    }

    pub(super) fn id(&mut self, text: &str) -> i64 {
        let text = shortened(text);
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        let (id, text): (i64, Rc<str>) = (self.list.len() as i64, text.into());
        self.ids.insert(text.clone(), id);
        self.bytes += text.len();
        self.list.push(text);
        id
    }
}

/// The longest prefix that readers take.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(MAX_STRING);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
