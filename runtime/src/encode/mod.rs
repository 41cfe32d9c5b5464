//! From a snapshot to bytes: one function, several formats.
//!
//! Encoders spell what `symbol` found; they look nothing up. The same snapshot gives the same bytes.
mod blocks;
mod columns;
mod folded;
mod places;
mod pprof;
#[cfg(test)]
pub(crate) mod proto;
mod strings;
#[cfg_attr(not(feature = "flamegraph"), path = "svg/disabled.rs")]
#[cfg_attr(feature = "flamegraph", path = "svg/enabled.rs")]
mod svg;
mod text;

#[cfg(all(test, not(profiled_portable)))]
mod strict_tests;

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::error::{Error, Result};
pub(crate) use crate::record::Format;
use crate::snapshot::Snapshot;
use crate::symbol::{Level, Names};

/// So much is gathered before a writer gets it.
const CHUNK: usize = 1 << 16;

/// Whether this build can write `format`: known before anything is collected for it.
///
/// # Errors
/// [`Error::Unsupported`] if it cannot.
pub(crate) fn supported(format: Format) -> Result<()> {
    match format {
        Format::Svg if !svg::DRAWS => {
            Err(Error::Unsupported("a flame graph as SVG: this build has no `flamegraph`"))
        }
        _ => Ok(()),
    }
}

impl Snapshot {
    /// Writes it, looking up names as it goes.
    ///
    /// # Errors
    /// [`Error::Io`] with the writer's own error, [`Error::Unsupported`] for a format that this build lacks.
    pub fn write(&self, w: impl io::Write, format: Format) -> Result<()> {
        self.write_with(w, format, Level::Lines)
    }

    /// The same with as many names as `level` says.
    pub(crate) fn write_with(&self, w: impl io::Write, format: Format, level: Level) -> Result<()> {
        self.write_within(w, format, level, usize::MAX)
    }

    /// The same, where protobuf has about `most` bytes at the most, before compression and without what stands beside
    /// the rows: those that come after are folded into `[other]`, with a comment that says so.
    ///
    /// Where that is depends on the rows before and their order, and on no value of theirs: a snapshot of more rows, or
    /// of greater ones, that begins with the same rows is cut at the same one.
    pub(crate) fn write_within(
        &self,
        w: impl io::Write,
        format: Format,
        level: Level,
        most: usize,
    ) -> Result<()> {
        let names = Names::new(self, level);
        let mut w = Once { w, failed: false };
        match format {
            Format::Pprof => {
                // Level 1: the better ones take several times as long for a tenth of the size.
                let mut gzip = GzEncoder::new(&mut w, Compression::new(1));
                pprof::write(self, names, most, &mut gzip)?;
                gzip.finish()?;
            }
            Format::Verbose if !self.alive.is_empty() => {
                let mut buffer = io::BufWriter::with_capacity(CHUNK, &mut w);
                blocks::write(self, names, &mut buffer)?;
                buffer.flush()?;
            }
            Format::Text | Format::Verbose => {
                let grouped = self.grouped();
                let (snapshot, names) =
                    grouped.as_ref().map_or((self, names), |grouped| (grouped, Names::new(grouped, level)));
                let mut buffer = io::BufWriter::with_capacity(CHUNK, &mut w);
                text::write(snapshot, names, format == Format::Verbose, &mut buffer)?;
                buffer.flush()?;
            }
            Format::Folded => {
                let mut buffer = io::BufWriter::with_capacity(CHUNK, &mut w);
                folded::write(self, names, &mut buffer)?;
                buffer.flush()?;
            }
            Format::Svg => {
                supported(format)?;
                let mut buffer = io::BufWriter::with_capacity(CHUNK, &mut w);
                svg::write(self, names, &mut buffer)?;
                buffer.flush()?;
            }
        }
        w.flush()?;
        Ok(())
    }

    /// The protobuf without gzip.
    pub(crate) fn write_uncompressed(&self, mut w: impl io::Write, level: Level) -> Result<()> {
        pprof::write(self, Names::new(self, level), usize::MAX, &mut w)?;
        Ok(())
    }
}

/// A writer that is left alone once it failed: what buffers and gzip do when they are dropped does not reach it.
struct Once<W> {
    w: W,
    failed: bool,
}

impl<W: Write> Once<W> {
    fn guard<T>(&mut self, act: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let result = act(&mut self.w);
        self.failed = matches!(&result, Err(error) if error.kind() != io::ErrorKind::Interrupted);
        result
    }
}

impl<W: Write> Write for Once<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.guard(|w| w.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.guard(W::flush)
    }
}

/// What the bench of this room needs and no program does.
#[doc(hidden)]
#[allow(missing_docs, reason = "not part of the API")]
pub mod bench {
    use super::{Format, Level, Result, Snapshot, io};
    use crate::record::ValueType;
    use crate::snapshot::{Key, Meta, Row};
    use crate::store::Stack;

    pub fn snapshot<'a>(stacks: impl Iterator<Item = &'a [u64]>) -> Snapshot {
        let value_types = vec![ValueType::new("samples", "count"), ValueType::new("cpu", "nanoseconds")];
        let rows = stacks.zip(1..).map(|(stack, n)| Row {
            key: Key::of(Stack::intern(stack, 0)),
            values: [n, n * 10_000_000, 0, 0],
        });
        Snapshot::new(
            Meta { profile: "cpu", value_types, ..Meta::default() },
            rows.collect(),
            std::sync::Arc::default(),
        )
    }

    pub fn write_uncompressed(snapshot: &Snapshot, w: impl io::Write) -> Result<()> {
        snapshot.write_uncompressed(w, Level::Lines)
    }

    /// A file without names.
    pub fn write_addresses(snapshot: &Snapshot, w: &mut Vec<u8>) -> Result<()> {
        snapshot.write_with(w, Format::Pprof, Level::Raw)
    }

    /// A file with the names of the symbol table.
    pub fn write_names(snapshot: &Snapshot, w: &mut Vec<u8>) -> Result<()> {
        snapshot.write_with(w, Format::Pprof, Level::Names)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::snapshot::Places;
    use crate::symbol::tests::{snapshot_of, take};

    /// Takes so many bytes and then fails, once; whoever goes on is told.
    struct Narrow {
        left: usize,
        failed: bool,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            assert!(!self.failed, "written to after it failed");
            let taken = bytes.len().min(self.left);
            self.left -= taken;
            self.failed = taken == 0;
            if self.failed { Err(io::Error::other("the disk is full")) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn deep() -> Snapshot {
        let addresses = take();
        let stacks: Vec<Vec<u64>> =
            (0..1500).map(|n| addresses.iter().copied().chain([0x10_0000 + n * 64]).collect()).collect();
        snapshot_of(&stacks.iter().map(Vec::as_slice).collect::<Vec<_>>(), Places::Code)
    }

    const FORMATS: &[Format] = match svg::DRAWS {
        true => &[Format::Pprof, Format::Text, Format::Verbose, Format::Folded, Format::Svg],
        false => &[Format::Pprof, Format::Text, Format::Verbose, Format::Folded],
    };

    #[test]
    fn a_writer_that_fails_is_heard() {
        let snapshot = deep();
        for &format in FORMATS {
            let mut whole = Vec::new();
            snapshot.write(&mut whole, format).unwrap();
            for left in [0, 5, whole.len() / 2, whole.len() - 1] {
                match snapshot.write(Narrow { left, failed: false }, format) {
                    Err(Error::Io(error)) => assert_eq!(error.to_string(), "the disk is full"),
                    other => panic!("{format:?} after {left}: {other:?}"),
                }
            }
            snapshot.write(Narrow { left: whole.len(), failed: false }, format).unwrap();
        }
    }

    #[test]
    fn the_same_snapshot_gives_the_same_bytes() {
        let snapshot = deep();
        for &format in FORMATS {
            let write = |snapshot: &Snapshot| {
                let mut bytes = Vec::new();
                snapshot.write(&mut bytes, format).unwrap();
                bytes
            };
            assert!(write(&snapshot) == write(&snapshot.clone()), "{format:?}");
        }
    }

    #[test]
    fn gzip_is_around_the_same_protobuf() {
        let snapshot = deep();
        let (mut plain, mut packed, mut unpacked) = (Vec::new(), Vec::new(), Vec::new());
        snapshot.write_uncompressed(&mut plain, Level::Lines).unwrap();
        snapshot.write(&mut packed, Format::Pprof).unwrap();
        flate2::read::GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
        assert!(plain == unpacked);
        assert!(packed.len() < plain.len() / 2);
    }

    #[test]
    #[cfg(not(feature = "flamegraph"))]
    fn what_is_not_built_in_says_so() {
        let error = Snapshot::default().write(Vec::new(), Format::Svg).unwrap_err();
        assert!(error.to_string().contains("flamegraph"), "{error}");
    }

    #[test]
    fn folded_stacks_read_from_the_root() {
        use crate::symbol::{Frame, tests::fix};
        let frame = |name: &str| Frame::test(name, "", (0, 0), 0x70_0010, 0);
        fix(0x70_0010, &[frame("a::inlined;x"), frame("a::b")]);
        fix(0x70_0020, &[frame("main")]);
        let snapshot = snapshot_of(&[&[0x70_0010, 0x70_0020], &[0x70_0020, 0x70_0030, 1]], Places::Code);
        let mut text = Vec::new();
        snapshot.write(&mut text, Format::Folded).unwrap();
        let text = String::from_utf8(text).unwrap();
        let mut lines = text.lines();
        // Where nothing is known of modules, all that has no name is the program's.
        let unknown = if cfg!(profiled_portable) { "[profiled-" } else { "0x700030;" };
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with(&format!("[truncated];{unknown}")) && line.ends_with(";main 1"), "{line}");
        assert_eq!(lines.next(), Some("main;a::b;a::inlined:x 1"));
        assert_eq!(lines.next(), None);
    }
}
