#![expect(unsafe_code, reason = "maps files")]
//! Whole files as memory, read only.
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;
#[cfg(unix)]
use std::{os::fd::AsRawFd, os::unix::fs::OpenOptionsExt as _, ptr, slice};

/// Writes all of `bytes` at `offset`. It allocates nothing.
pub(crate) fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// The most bytes that a file of ours may have; `None` if there is no limit. Beyond it a signal kills the process.
pub(crate) fn most_bytes() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a good pointer.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit) } == 0;
    (known && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// A file's content. Mapped where that is possible, so that the parts that nobody reads cost nothing.
///
/// Whoever cuts a mapped file short makes reading it a `SIGBUS`. Files that this process runs from the kernel has mapped
/// already: the program would not survive the cut either way. The others are those that a peak file names, which whoever
/// reads one had better not write over.
pub(crate) struct Content {
    #[cfg(unix)]
    start: *const u8,
    #[cfg(unix)]
    len: usize,
    #[cfg(not(unix))]
    bytes: Vec<u8>,
}

// SAFETY: the mapping is private, read only, and given back by the one owner.
#[cfg(unix)]
unsafe impl Send for Content {}

#[cfg(unix)]
impl Content {
    /// The file at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Content> {
        // Of whatever has that name now: a pipe would have us wait for somebody to write.
        let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        let meta = file.metadata()?;
        let len = usize::try_from(meta.len()).map_err(io::Error::other)?;
        if !meta.is_file() || len == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // SAFETY: a fresh mapping touches nothing that exists.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), len, libc::PROT_READ, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Content { start: start.cast_const().cast(), len })
    }
}

#[cfg(unix)]
impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `open` mapped `len` bytes here, and only `drop` unmaps them.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }
}

#[cfg(unix)]
impl Drop for Content {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length; a borrow of the bytes ends before the owner does.
        _ = unsafe { libc::munmap(self.start.cast_mut().cast(), self.len) };
    }
}

#[cfg(not(unix))]
impl Content {
    /// The file at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Content> {
        use std::io::Read;
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        Ok(Content { bytes })
    }
}

#[cfg(not(unix))]
impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}
