//! Which files are sources: what lies below some directories, less what nobody wants to search.
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use profiled::{labels, profiled};

/// Larger files are generated, or data.
const LARGEST: u64 = 1 << 20;

const EXTENSIONS: &[&str] = &[
    "rs", "toml", "md", "c", "h", "cc", "cpp", "hpp", "S", "go", "py", "js", "ts", "java", "sh", "txt", "in",
    "asm", "json", "yml", "yaml", "proto", "html", "css",
];

/// What a walk found, and how much it could not see.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<File>,
    pub(crate) bytes: u64,
    /// Directories and entries that could not be read.
    pub(crate) unreadable: usize,
    /// Whether there was more than `limit` bytes.
    pub(crate) cut: bool,
}

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    /// The path below the directory that the walk began in: what people want to see.
    pub(crate) shown: String,
}

/// All source files below `roots`, at most `limit` bytes of them, in a fixed order. Links are not followed.
#[profiled]
pub(crate) fn sources(roots: &[PathBuf], limit: u64) -> Found {
    labels! { "phase" => "walk" }
    let mut found = Found::default();
    for root in roots {
        let mut open = vec![root.clone()];
        while let Some(folder) = open.pop() {
            let Ok(entries) = entries(&folder) else {
                found.unreadable += 1;
                continue;
            };
            for (path, kind) in entries {
                if kind.is_dir() {
                    if !is_hidden(&path) && path.file_name() != Some(OsStr::new("target")) {
                        open.push(path);
                    }
                } else if kind.is_file() && is_source(&path) {
                    add(&mut found, root, path, limit);
                }
            }
        }
    }
    found
}

/// The entries of one directory, sorted: a directory's own order changes from machine to machine.
fn entries(folder: &Path) -> io::Result<Vec<(PathBuf, fs::FileType)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        entries.push((entry.path(), entry.file_type()?));
    }
    entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(entries)
}

fn add(found: &mut Found, root: &Path, path: PathBuf, limit: u64) {
    match fs::metadata(&path) {
        Err(_) => found.unreadable += 1,
        Ok(data) if data.len() > LARGEST => {}
        Ok(data) if found.bytes + data.len() > limit => found.cut = true,
        Ok(data) => {
            found.bytes += data.len();
            let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            found.files.push(File { path, shown });
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_source(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    !is_hidden(path) && extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

/// The bytes of a file, or `None` if it is not text. Bytes, because sources need not be UTF-8.
#[profiled]
pub(crate) fn read(path: &Path, buffer: &mut Vec<u8>) -> io::Result<Option<()>> {
    buffer.clear();
    fs::File::open(path)?.take(LARGEST).read_to_end(buffer)?;
    let head = &buffer[..buffer.len().min(8_192)];
    Ok((!head.contains(&0)).then_some(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own that goes away with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!("codesearch-{name}-{}", std::process::id()));
            _ = fs::remove_dir_all(&path);
            fs::create_dir_all(path.join("src/target")).unwrap();
            fs::create_dir_all(path.join(".git")).unwrap();
            Folder(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn finds_sources_and_leaves_out_the_rest() {
        let folder = Folder::new("walk");
        for name in ["b.rs", "a.rs", "src/c.rs", "src/target/d.rs", ".git/e.rs", "f.png", ".hidden.rs"] {
            fs::write(folder.0.join(name), "fn main() {}").unwrap();
        }
        let found = sources(std::slice::from_ref(&folder.0), u64::MAX);
        let shown: Vec<&str> = found.files.iter().map(|file| file.shown.as_str()).collect();
        assert_eq!(shown, ["a.rs", "b.rs", "src/c.rs"]);
        assert_eq!((found.bytes, found.unreadable, found.cut), (36, 0, false));

        let cut = sources(std::slice::from_ref(&folder.0), 24);
        assert_eq!((cut.files.len(), cut.cut), (2, true));
        let missing = sources(&[folder.0.join("nowhere")], u64::MAX);
        assert_eq!((missing.files.len(), missing.unreadable), (0, 1));
    }

    #[test]
    fn reads_any_bytes_but_no_binaries() {
        let folder = Folder::new("read");
        let path = folder.0.join("a.rs");
        let mut buffer = Vec::new();
        fs::write(&path, b"caf\xe9").unwrap();
        assert_eq!(read(&path, &mut buffer).unwrap(), Some(()));
        assert_eq!(buffer, b"caf\xe9");
        fs::write(&path, b"a\0b").unwrap();
        assert_eq!(read(&path, &mut buffer).unwrap(), None);
        assert!(read(&folder.0.join("nowhere"), &mut buffer).is_err());
    }
}
