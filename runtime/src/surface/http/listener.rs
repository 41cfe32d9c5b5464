//! Sockets: binding them, and the two kinds as one.
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
#[cfg(unix)]
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::addr::{Addr, Place, Target};
use crate::error::{Error, Result};

/// Bound and listening, not yet on any runtime.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(std::net::TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener),
}

/// Listens at `target`. Unless `remote`, it has to be this machine's.
pub(super) fn bind(target: Target, remote: bool) -> Result<(Bound, Addr)> {
    match target {
        Target::Tcp(addresses) => {
            for address in &addresses {
                check(*address, remote)?;
            }
            let listener = std::net::TcpListener::bind(&addresses[..]).map_err(|error| {
                let names: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
                cannot(&names.join(", "), &error)
            })?;
            tcp(listener)
        }
        Target::Bound(listener) => {
            check(listener.local_addr()?, remote)?;
            tcp(listener)
        }
        #[cfg(unix)]
        Target::Unix(path) => {
            let listener =
                unix(&path).map_err(|error| cannot(&format!("unix:{}", path.display()), &error))?;
            Ok((Bound::Unix(listener), Addr(Place::Unix(path))))
        }
        #[cfg(not(unix))]
        Target::Unix(_) => Err(Error::Unsupported("Unix sockets")),
    }
}

fn tcp(listener: std::net::TcpListener) -> Result<(Bound, Addr)> {
    listener.set_nonblocking(true)?;
    let addr = Addr(Place::Tcp(listener.local_addr()?));
    Ok((Bound::Tcp(listener), addr))
}

fn check(address: SocketAddr, remote: bool) -> Result<()> {
    let loopback = match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    };
    if loopback || remote {
        return Ok(());
    }
    let what = "address (other machines reach it: that needs `Handler::allow_remote(true)`)";
    Err(Error::Invalid { what, value: address.to_string() })
}

fn cannot(address: &str, error: &io::Error) -> Error {
    Error::Io(io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Only the user that the process runs as may connect. A socket that a dead process left is taken over.
#[cfg(unix)]
fn unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::net::{UnixListener, UnixStream};
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_socket(path) => {
            match UnixStream::connect(path) {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                    UnixListener::bind(path)?
                }
                _ => return Err(error),
            }
        }
        bound => bound?,
    };
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cfg(unix)]
fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

/// The file of a Unix socket, taken away in the end if it is still the one that was made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    pub(super) fn of(addr: &Addr) -> Option<SocketFile> {
        match &addr.0 {
            Place::Tcp(_) => None,
            Place::Unix(path) => Some(SocketFile { path: path.clone(), identity: identity(path)? }),
        }
    }

    pub(super) fn remove(&self) {
        if identity(&self.path) == Some(self.identity) {
            _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<(u64, u64)> {
    None
}

/// A listener on a runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(tokio::net::TcpListener),
    #[cfg(unix)]
    Unix(tokio::net::UnixListener),
}

impl Listener {
    pub(super) fn new(bound: Bound) -> io::Result<Listener> {
        Ok(match bound {
            Bound::Tcp(listener) => Listener::Tcp(tokio::net::TcpListener::from_std(listener)?),
            #[cfg(unix)]
            Bound::Unix(listener) => Listener::Unix(tokio::net::UnixListener::from_std(listener)?),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                _ = stream.set_nodelay(true);
                Stream::Tcp(stream)
            }
            #[cfg(unix)]
            Listener::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        })
    }
}

/// A connection.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(tokio::net::TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

macro_rules! either {
    ($stream:expr, $name:ident => $result:expr) => {
        match $stream {
            Stream::Tcp($name) => $result,
            #[cfg(unix)]
            Stream::Unix($name) => $result,
        }
    };
}

impl Stream {
    /// Resolves once the client has closed its side, even while requests that it sent before are still unread.
    pub(super) async fn hung_up(&self) {
        loop {
            let ready = either!(self, s => s.ready(tokio::io::Interest::READABLE).await);
            if ready.map_or(true, |ready| ready.is_read_closed()) {
                return;
            }
            // Something came and hyper is not reading it, so that "readable" says no more. Look again by the clock.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Writes what fits, without waiting.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, s => s.try_write(bytes))
    }
}

/// A stream as hyper wants it, that counts what goes through and can be watched meanwhile.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) stream: Arc<Stream>,
    pub(super) moved: Arc<AtomicU64>,
}

impl Socket {
    fn count(&self, result: io::Result<usize>) -> io::Result<usize> {
        if let Ok(bytes) = result {
            self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        result
    }
}

fn is_retry<T>(result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(either!(&*self.stream, s => s.poll_read_ready(cx)))?;
            let result = either!(&*self.stream, s => s.try_read(buf.initialize_unfilled()));
            if !is_retry(&result) {
                return Poll::Ready(self.count(result).map(|bytes| buf.advance(bytes)));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(either!(&*self.stream, s => s.poll_write_ready(cx)))?;
            let result = either!(&*self.stream, s => s.try_write_vectored(bufs));
            if !is_retry(&result) {
                return Poll::Ready(self.count(result));
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The socket closes when the last `Arc` of it goes, which is right after.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
