//! The rules of every reader we know, and what we promise on top; the same as in `tests/tools/validate.py`.
use std::collections::HashSet;

use crate::wire::{Value, fields, numbers, unzip};

/// Everything that is wrong with a file, as `rule: sentence`; empty if it is fine. `window` says whether the profile
/// claims to cover a stretch of time, and so must have a duration, or counts since the start, and so must have none.
pub fn strict(file: &[u8], window: bool) -> Vec<String> {
    let body = match unzip(file) {
        Ok(body) => body,
        Err(wrong) => return vec![format!("gzip: {wrong}")],
    };
    let mut check = Check { body: &body, ..Check::default() };
    if let Err(wrong) = check.read() {
        return vec![format!("protobuf: {wrong}")];
    }
    check.all(window);
    check.wrong
}

/// Fields of each message that there are, by number.
const PROFILE: u64 = 14;
const VALUE_TYPE: u64 = 2;
const SAMPLE: u64 = 3;
const LABEL: u64 = 4;
const MAPPING: u64 = 10;
const LOCATION: u64 = 5;
const LINE: u64 = 3;
const FUNCTION: u64 = 5;

#[derive(Default)]
struct Message<'a> {
    numbers: [u64; 16],
    parts: Vec<(u64, &'a [u8])>,
}

#[derive(Default)]
struct Sample {
    places: Vec<u64>,
    values: usize,
    /// key, str, num, num_unit
    labels: Vec<[u64; 4]>,
}

struct Location {
    id: u64,
    mapping: u64,
    address: u64,
    /// function, line
    lines: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Check<'a> {
    body: &'a [u8],
    head: Message<'a>,
    texts: Vec<&'a [u8]>,
    types: Vec<[u64; 16]>,
    samples: Vec<Sample>,
    mappings: Vec<[u64; 16]>,
    locations: Vec<Location>,
    functions: Vec<[u64; 16]>,
    wrong: Vec<String>,
}

impl<'a> Check<'a> {
    fn wrong(&mut self, rule: &str, sentence: impl std::fmt::Display) {
        // One broken table breaks thousands of rows: a few tell enough, each once.
        let sentence = format!("{rule}: {sentence}");
        if self.wrong.len() < 50 && !self.wrong.contains(&sentence) {
            self.wrong.push(sentence);
        }
    }

    /// The numbers of a message, and its parts for whoever knows them. Unknown fields are noted.
    fn message(&mut self, what: &str, data: &'a [u8], most: u64) -> Result<Message<'a>, String> {
        let mut message = Message::default();
        for (number, value) in fields(data)? {
            match value {
                _ if number > most => {
                    self.wrong("unknown field", format_args!("{what} has a field {number}"))
                }
                Value::Number(value) => message.numbers[number as usize] = value,
                Value::Bytes(part) => message.parts.push((number, part)),
                Value::Fixed => return Err(format!("{what} has a fixed-width field {number}")),
            }
        }
        Ok(message)
    }

    fn read(&mut self) -> Result<(), String> {
        self.head = self.message("the profile", self.body, PROFILE)?;
        for (number, part) in self.head.parts.clone() {
            match number {
                1 => {
                    let kind = self.message("a sample type", part, VALUE_TYPE)?;
                    self.types.push(kind.numbers);
                }
                2 => self.sample(part)?,
                3 => {
                    let mapping = self.message("a mapping", part, MAPPING)?;
                    self.mappings.push(mapping.numbers);
                }
                4 => self.location(part)?,
                5 => {
                    let function = self.message("a function", part, FUNCTION)?;
                    self.functions.push(function.numbers);
                }
                6 => self.texts.push(part),
                11 | 13 => {}
                other => return Err(format!("field {other} of the profile is no number")),
            }
        }
        Ok(())
    }

    fn sample(&mut self, data: &'a [u8]) -> Result<(), String> {
        let (mut sample, mut values) = (Sample::default(), Vec::new());
        for (number, value) in fields(data)? {
            match (number, value) {
                (1, value) => numbers(value, &mut sample.places)?,
                (2, value) => numbers(value, &mut values)?,
                (3, Value::Bytes(label)) => {
                    let label = self.message("a label", label, LABEL)?.numbers;
                    sample.labels.push([label[1], label[2], label[3], label[4]]);
                }
                (number, _) if number > SAMPLE => {
                    self.wrong("unknown field", format_args!("a sample has a field {number}"));
                }
                _ => return Err("a label that is a number".into()),
            }
        }
        sample.values = values.len();
        self.samples.push(sample);
        Ok(())
    }

    fn location(&mut self, data: &'a [u8]) -> Result<(), String> {
        let message = self.message("a location", data, LOCATION)?;
        let [_, id, mapping, address, ..] = message.numbers;
        let mut lines = Vec::new();
        for (number, part) in message.parts {
            if number == 4 {
                let line = self.message("a line", part, LINE)?.numbers;
                lines.push((line[1], line[2]));
            }
        }
        self.locations.push(Location { id, mapping, address, lines });
        Ok(())
    }

    fn text(&self, index: u64) -> Option<&'a [u8]> {
        self.texts.get(usize::try_from(index).ok()?).copied()
    }

    fn all(&mut self, window: bool) {
        self.check_texts();
        self.check_head(window);
        self.check_samples();
        self.check_places();
    }

    fn index(&mut self, what: &str, index: u64) {
        if self.text(index).is_none() {
            let known = self.texts.len();
            self.wrong("text index", format_args!("{what}: string {index} of {known}"));
        }
    }

    fn check_texts(&mut self) {
        if self.texts.first().is_none_or(|first| !first.is_empty()) {
            self.wrong("first text", "string_table[0] is not empty");
        }
        if self.texts.iter().collect::<HashSet<_>>().len() != self.texts.len() {
            self.wrong("unique texts", "string_table has duplicates");
        }
        for (index, text) in self.texts.clone().into_iter().enumerate() {
            if std::str::from_utf8(text).is_err() {
                self.wrong("utf-8", format_args!("string {index}"));
            }
            if text.len() > 65_535 {
                self.wrong("text length", format_args!("string {index} has {} bytes", text.len()));
            }
        }
    }

    fn check_head(&mut self, window: bool) {
        let head = self.head.numbers;
        let types = self.types.clone();
        if types.is_empty() {
            self.wrong("sample types", "there are none");
        }
        for kind in &types {
            self.index("sample type", kind[1]);
            self.index("sample type", kind[2]);
            if self.text(kind[1]).is_none_or(|name| name.is_empty() || name.contains(&b'-')) {
                self.wrong("type name", format_args!("string {}", kind[1]));
            }
        }
        for number in [7, 8, 14] {
            self.index("the profile", head[number]);
        }
        if head[14] != 0 && types.iter().all(|kind| kind[1] != head[14]) {
            self.wrong("default type", "it is not among the sample types");
        }
        for (number, part) in self.head.parts.clone() {
            let mut indices = Vec::new();
            match number {
                11 => match self.message("the period type", part, VALUE_TYPE) {
                    Ok(kind) => indices.extend([kind.numbers[1], kind.numbers[2]]),
                    Err(wrong) => self.wrong("protobuf", wrong),
                },
                13 => _ = numbers(Value::Bytes(part), &mut indices),
                _ => {}
            }
            for index in indices {
                self.index("period type or comment", index);
            }
        }
        if head[9].cast_signed() <= 0 {
            self.wrong("time", "time_nanos is not set");
        }
        match (window, head[10].cast_signed()) {
            (true, ..=0) => self.wrong("window", "a window has no duration_nanos"),
            (false, nanos) if nanos != 0 => {
                self.wrong("cumulative", "a cumulative profile has duration_nanos")
            }
            _ => {}
        }
        let (samples, bytes) = (self.samples.len(), self.body.len());
        if samples > 16_000 {
            self.wrong("samples", samples);
        }
        if bytes >= 4 << 20 {
            self.wrong("size", format_args!("{bytes} bytes uncompressed"));
        }
    }

    fn check_samples(&mut self) {
        for (number, sample) in std::mem::take(&mut self.samples).into_iter().enumerate() {
            let depth = sample.places.len();
            if sample.values != self.types.len() {
                self.wrong("values", format_args!("sample {number} has {}", sample.values));
            }
            if sample.places.iter().any(|&place| place == 0 || place > self.locations.len() as u64) {
                self.wrong("location id", format_args!("sample {number}"));
            }
            if depth > 1_000 {
                self.wrong("depth", format_args!("sample {number} is {depth} deep"));
            }
            if sample.labels.len() > 100 {
                self.wrong("label count", format_args!("sample {number} has {}", sample.labels.len()));
            }
            let mut keys = HashSet::new();
            for [key, text, value, unit] in sample.labels.iter().copied() {
                for index in [key, text, unit] {
                    self.index("a label", index);
                }
                if !self.text(key).is_some_and(is_key) {
                    self.wrong("label key", format_args!("string {key} in sample {number}"));
                }
                if text != 0 && (value != 0 || unit != 0) {
                    self.wrong("label value", format_args!("a string and a number in sample {number}"));
                }
                if !keys.insert(key) {
                    self.wrong("label twice", format_args!("string {key} in sample {number}"));
                }
            }
            self.samples.push(sample);
        }
    }

    fn check_places(&mut self) {
        let used: HashSet<u64> =
            self.samples.iter().flat_map(|sample| sample.places.iter().copied()).collect();
        let tables = [
            ("mapping", self.mappings.iter().map(|row| row[1]).collect::<Vec<_>>()),
            ("location", self.locations.iter().map(|row| row.id).collect()),
            ("function", self.functions.iter().map(|row| row[1]).collect()),
        ];
        for (table, ids) in tables {
            if let Some((index, id)) = (1..).zip(ids).find(|(index, id)| index != id) {
                self.wrong("ids", format_args!("{table} {index} has the id {id}"));
            }
        }
        for mapping in self.mappings.clone() {
            self.index("a mapping", mapping[5]);
            self.index("a mapping", mapping[6]);
        }
        for location in std::mem::take(&mut self.locations) {
            let id = location.id;
            match location.mapping {
                0 => {}
                home if home > self.mappings.len() as u64 => {
                    self.wrong("mapping id", format_args!("location {id} names mapping {home}"));
                }
                home => {
                    let mapping = self.mappings[home as usize - 1];
                    if !(mapping[2]..mapping[3]).contains(&location.address) {
                        let address = location.address;
                        self.wrong(
                            "address",
                            format_args!("{address:#x} of location {id} is outside {home}"),
                        );
                    }
                    // What has no name at all may be named by others.
                    let named = used.contains(&id) && !location.lines.is_empty();
                    if named && mapping[7..=10] != [1; 4] {
                        self.wrong("flags", format_args!("mapping {home} has names and lacks a has_* flag"));
                    }
                }
            }
            for (function, line) in location.lines {
                if function == 0 || function > self.functions.len() as u64 {
                    self.wrong("function id", format_args!("location {id} names function {function}"));
                }
                if line.cast_signed() < 0 {
                    self.wrong("line", format_args!("location {id}"));
                }
            }
        }
        for function in self.functions.clone() {
            let [_, id, name, system_name, file, ..] = function;
            for index in [name, system_name, file] {
                self.index("a function", index);
            }
            if self.text(name).is_none_or(<[u8]>::is_empty) {
                self.wrong("function name", format_args!("function {id} has none"));
            } else if name == system_name {
                self.wrong("system name", format_args!("function {id} has its name as system_name"));
            }
        }
    }
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
fn is_key(key: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    key.first().is_some_and(|first| !first.is_ascii_digit()) && key.iter().all(plain)
}

#[cfg(test)]
pub(crate) mod tests;
