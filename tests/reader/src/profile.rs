//! A pprof file as a test wants it: samples with everything looked up.
use std::collections::HashMap;

use crate::wire::{Value, fields, numbers, unzip};

/// A frame of a stack. Inlined callees come before the function that they were put into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The name that people see.
    pub name: String,
    /// The mangled name.
    pub system_name: String,
    /// The source file.
    pub file: String,
    /// The line in it.
    pub line: i64,
    /// Where the function begins.
    pub start_line: i64,
    /// The instruction; the frames that were inlined there share it.
    pub address: u64,
    /// Whether this function was put into its caller, the next frame.
    pub inlined: bool,
}

/// A label's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// A text.
    Str(String),
    /// A number and its unit.
    Num(i64, String),
}

/// One stack with its values.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Leaf first.
    pub frames: Vec<Frame>,
    /// In the order of [`Profile::types`].
    pub values: Vec<i64>,
    /// In the order of the file.
    pub labels: Vec<(String, Label)>,
    types: Vec<String>,
}

impl Sample {
    /// The value of a type.
    ///
    /// # Panics
    /// If the profile has no such type.
    pub fn value(&self, name: &str) -> i64 {
        match self.types.iter().position(|found| found == name) {
            Some(index) => self.values[index],
            None => panic!("no {name} among {:?}", self.types),
        }
    }

    /// The label of this key.
    pub fn label(&self, key: &str) -> Option<&Label> {
        self.labels.iter().find(|(found, _)| found == key).map(|(_, label)| label)
    }

    /// The label of this key, if it is a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.label(key) {
            Some(Label::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// The label of this key, if it is a number.
    pub fn number(&self, key: &str) -> Option<i64> {
        match self.label(key) {
            Some(Label::Num(number, _)) => Some(*number),
            _ => None,
        }
    }

    /// Whether the stack has a frame for each part, in order from the leaf, with any frames between. A part is
    /// looked for in the frame's name and in its `file:line`.
    pub fn has(&self, parts: &[&str]) -> bool {
        let mut frames = self.frames.iter();
        parts.iter().all(|part| {
            frames.any(|frame| {
                frame.name.contains(part) || format!("{}:{}", frame.file, frame.line).contains(part)
            })
        })
    }
}

/// A file.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// Type and unit of each value.
    pub types: Vec<(String, String)>,
    /// The one that readers show first; empty if the file does not say.
    pub default_type: String,
    /// What the period counts.
    pub period_type: (String, String),
    /// Events between two samples.
    pub period: i64,
    /// When it was taken, since 1970.
    pub time_nanos: i64,
    /// How long it was collected; 0 for what has been counted since the start.
    pub duration_nanos: i64,
    /// Free text.
    pub comments: Vec<String>,
    /// File and build id of each mapping.
    pub mappings: Vec<(String, String)>,
    samples: Vec<Sample>,
}

/// What the file says, before anything is looked up.
#[derive(Default)]
struct Raw<'a> {
    texts: Vec<&'a [u8]>,
    functions: HashMap<u64, [u64; 6]>,
    locations: HashMap<u64, (u64, Vec<[u64; 4]>)>,
}

impl Raw<'_> {
    fn text(&self, index: u64) -> Result<String, String> {
        let raw = usize::try_from(index).ok().and_then(|index| self.texts.get(index));
        let raw = raw.ok_or(format!("string {index} of {}", self.texts.len()))?;
        String::from_utf8(raw.to_vec()).map_err(|_| format!("string {index} is not UTF-8"))
    }

    fn value_type(&self, raw: &[u8]) -> Result<(String, String), String> {
        let [_, kind, unit] = table::<3>(raw)?;
        Ok((self.text(kind)?, self.text(unit)?))
    }

    fn frames(&self, id: u64, frames: &mut Vec<Frame>) -> Result<(), String> {
        let (address, lines) = self.locations.get(&id).ok_or(format!("no location {id}"))?;
        if lines.is_empty() {
            frames.push(Frame { address: *address, ..Frame::default() });
        }
        for (index, &[_, function, line, _]) in lines.iter().enumerate() {
            let found = self.functions.get(&function).ok_or(format!("no function {function}"))?;
            let [_, _, name, system_name, file, start_line] = *found;
            frames.push(Frame {
                name: self.text(name)?,
                system_name: self.text(system_name)?,
                file: self.text(file)?,
                line: line.cast_signed(),
                start_line: start_line.cast_signed(),
                address: *address,
                inlined: index + 1 < lines.len(),
            });
        }
        Ok(())
    }

    fn label(&self, raw: &[u8]) -> Result<(String, Label), String> {
        let [_, key, text, number, unit] = table::<5>(raw)?;
        let label = match text {
            0 => Label::Num(number.cast_signed(), self.text(unit)?),
            text => Label::Str(self.text(text)?),
        };
        Ok((self.text(key)?, label))
    }
}

impl Profile {
    /// Reads a file, gzipped as it is written.
    ///
    /// # Panics
    /// If it cannot be read: a test that has no profile has failed.
    pub fn read(file: &[u8]) -> Profile {
        unzip(file).and_then(|body| Profile::decode(&body)).unwrap_or_else(|wrong| panic!("{wrong}"))
    }

    /// Reads the body of a file.
    ///
    /// # Errors
    /// A sentence on what is wrong. [`strict`](crate::strict) finds more.
    pub fn decode(body: &[u8]) -> Result<Profile, String> {
        let fields = fields(body)?;
        let mut raw = Raw::default();
        for &(number, value) in &fields {
            match (number, value) {
                (4, Value::Bytes(data)) => {
                    let [_, id, _, address] = table::<4>(data)?;
                    let mut lines = Vec::new();
                    for (number, value) in crate::wire::fields(data)? {
                        if let (4, Value::Bytes(line)) = (number, value) {
                            lines.push(table::<4>(line)?);
                        }
                    }
                    raw.locations.insert(id, (address, lines));
                }
                (5, Value::Bytes(data)) => {
                    let function = table::<6>(data)?;
                    raw.functions.insert(function[1], function);
                }
                (6, Value::Bytes(text)) => raw.texts.push(text),
                _ => {}
            }
        }

        let mut profile = Profile::default();
        for &(number, value) in &fields {
            match (number, value) {
                (1, Value::Bytes(data)) => profile.types.push(raw.value_type(data)?),
                (3, Value::Bytes(data)) => {
                    let mapping = table::<7>(data)?;
                    profile.mappings.push((raw.text(mapping[5])?, raw.text(mapping[6])?));
                }
                (9, Value::Number(number)) => profile.time_nanos = number.cast_signed(),
                (10, Value::Number(number)) => profile.duration_nanos = number.cast_signed(),
                (11, Value::Bytes(data)) => profile.period_type = raw.value_type(data)?,
                (12, Value::Number(number)) => profile.period = number.cast_signed(),
                (13, value) => {
                    let mut comments = Vec::new();
                    numbers(value, &mut comments)?;
                    for comment in comments {
                        profile.comments.push(raw.text(comment)?);
                    }
                }
                (14, Value::Number(index)) => profile.default_type = raw.text(index)?,
                _ => {}
            }
        }
        let types: Vec<String> = profile.types.iter().map(|(name, _)| name.clone()).collect();
        for &(number, value) in &fields {
            if let (2, Value::Bytes(data)) = (number, value) {
                profile.samples.push(sample(&raw, &types, data)?);
            }
        }
        Ok(profile)
    }

    /// All samples, in the order of the file.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The sum of a value over all samples.
    ///
    /// # Panics
    /// If the profile has no such type.
    pub fn total(&self, name: &str) -> i64 {
        let known = self.types.iter().any(|(found, _)| found == name);
        assert!(known, "no {name} among {:?}", self.types);
        self.samples.iter().map(|sample| sample.value(name)).sum()
    }

    /// The samples whose stack has these parts of names or of `file:line`, in order from the leaf.
    pub fn find(&self, parts: &[&str]) -> Vec<&Sample> {
        self.samples.iter().filter(|sample| sample.has(parts)).collect()
    }

    /// The sum of a value over the samples that [`find`](Self::find) finds.
    pub fn total_of(&self, name: &str, parts: &[&str]) -> i64 {
        self.find(parts).iter().map(|sample| sample.value(name)).sum()
    }
}

fn sample(raw: &Raw<'_>, types: &[String], data: &[u8]) -> Result<Sample, String> {
    let mut sample = Sample { types: types.to_vec(), ..Sample::default() };
    let (mut places, mut values) = (Vec::new(), Vec::new());
    for (number, value) in fields(data)? {
        match (number, value) {
            (1, value) => numbers(value, &mut places)?,
            (2, value) => numbers(value, &mut values)?,
            (3, Value::Bytes(label)) => sample.labels.push(raw.label(label)?),
            _ => {}
        }
    }
    for place in places {
        raw.frames(place, &mut sample.frames)?;
    }
    sample.values = values.into_iter().map(u64::cast_signed).collect();
    match sample.values.len() == types.len() {
        true => Ok(sample),
        false => Err(format!("{} values for {} types", sample.values.len(), types.len())),
    }
}

/// The numbers of a message by field number, those below `N`; 0 where it has none.
fn table<const N: usize>(data: &[u8]) -> Result<[u64; N], String> {
    let mut table = [0; N];
    for (number, value) in fields(data)? {
        if let (Some(slot), Value::Number(value)) = (table.get_mut(number as usize), value) {
            *slot = value;
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strict::tests::{good, zip};

    #[test]
    fn reads_a_profile_made_by_hand() {
        let profile = Profile::read(&zip(&good()));
        assert_eq!(profile.types[1], ("cpu".to_string(), "nanoseconds".to_string()));
        assert_eq!(profile.default_type, "cpu");
        assert_eq!(profile.period_type, ("cpu".to_string(), "nanoseconds".to_string()));
        assert_eq!((profile.period, profile.time_nanos, profile.duration_nanos), (10_000_000, 5, 0));
        assert_eq!(profile.comments, ["a comment"]);
        assert_eq!(profile.mappings, [("/bin/m".to_string(), "abcd".to_string())]);

        let [one, two] = profile.samples() else { panic!("{profile:?}") };
        let names: Vec<(&str, i64, bool)> =
            one.frames.iter().map(|frame| (frame.name.as_str(), frame.line, frame.inlined)).collect();
        assert_eq!(names, [("m::inner", 10, true), ("m::hot", 4, false), ("m::main", 300, false)]);
        assert_eq!(one.frames[0].system_name, "_ZN5innerE");
        assert_eq!((one.frames[0].file.as_str(), one.frames[0].start_line), ("src/m.rs", 9));
        assert_eq!((one.frames[1].address, one.frames[2].address), (0x1100, 0x1200));
        assert_eq!(one.text("phase"), Some("index"));
        assert_eq!(one.number("bytes"), Some(64));
        assert_eq!((one.number("phase"), one.text("missing")), (None, None));
        assert_eq!((two.value("cpu"), two.labels.len()), (-1, 0));

        assert_eq!(profile.total("cpu"), 9_999_999);
        assert_eq!(profile.find(&["m::inner", "m::main"]).len(), 1);
        assert_eq!(profile.find(&["m::main", "m::inner"]).len(), 0);
        assert_eq!(profile.find(&["src/m.rs:300"]).len(), 2);
        assert_eq!(profile.total_of("samples", &["m::hot"]), 1);
    }

    #[test]
    fn takes_packed_and_single_numbers_alike() {
        // string_table "", sample_type {0, 0}, location {id: 1}, sample {location_id: 1, value: -1}: single, packed.
        let head = [0x32, 0x00, 0x0a, 0x00, 0x22, 0x02, 0x08, 0x01];
        let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let single = [&head[..], &[0x12, 13, 0x08, 0x01, 0x10], &minus_one].concat();
        let packed = [&head[..], &[0x12, 15, 0x0a, 0x01, 0x01, 0x12, 10], &minus_one].concat();
        for body in [single, packed] {
            let profile = Profile::decode(&body).unwrap();
            assert_eq!(profile.samples()[0].values, [-1]);
            assert_eq!(profile.samples()[0].frames.len(), 1);
        }
    }
}
