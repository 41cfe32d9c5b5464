//! Where to listen: every form an address comes in, resolved to one.
use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// What [`serve`](super::serve) takes: `"127.0.0.1:6060"`, `"unix:/path"`, a `SocketAddr`, an `(IpAddr, u16)`, the
/// `Path` of a Unix socket, or a `TcpListener` that is bound already. Sealed.
pub trait ToAddr: sealed::Resolve {}

impl<T: sealed::Resolve + ?Sized> ToAddr for T {}

/// An address, resolved.
#[derive(Debug)]
pub(super) enum Target {
    /// The first that can be bound is taken.
    Tcp(Vec<SocketAddr>),
    #[cfg_attr(not(unix), expect(dead_code, reason = "refused there"))]
    Unix(PathBuf),
    Bound(TcpListener),
}

mod sealed {
    pub trait Resolve {
        #[expect(private_interfaces, reason = "nobody outside can call it, nor implement it")]
        fn resolve(&self) -> crate::error::Result<super::Target>;
    }
}
pub(super) use sealed::Resolve;

#[expect(private_interfaces, reason = "see the trait")]
impl Resolve for str {
    fn resolve(&self) -> Result<Target> {
        match self.strip_prefix("unix:") {
            Some("") => Err(invalid(self)),
            Some(path) => Ok(Target::Unix(PathBuf::from(path))),
            None => match self.to_socket_addrs() {
                Ok(found) => Ok(Target::Tcp(found.collect())),
                Err(_) => Err(invalid(self)),
            },
        }
    }
}

fn invalid(address: &str) -> Error {
    Error::Invalid { what: "address (neither HOST:PORT nor unix:PATH)", value: address.to_owned() }
}

#[expect(private_interfaces, reason = "see the trait")]
impl Resolve for String {
    fn resolve(&self) -> Result<Target> {
        self.as_str().resolve()
    }
}

#[expect(private_interfaces, reason = "see the trait")]
impl Resolve for SocketAddr {
    fn resolve(&self) -> Result<Target> {
        Ok(Target::Tcp(vec![*self]))
    }
}

#[expect(private_interfaces, reason = "see the trait")]
impl Resolve for (IpAddr, u16) {
    fn resolve(&self) -> Result<Target> {
        Ok(Target::Tcp(vec![SocketAddr::from(*self)]))
    }
}

#[expect(private_interfaces, reason = "see the trait")]
impl Resolve for Path {
    fn resolve(&self) -> Result<Target> {
        Ok(Target::Unix(self.to_owned()))
    }
}

#[expect(private_interfaces, reason = "see the trait")]
impl Resolve for TcpListener {
    fn resolve(&self) -> Result<Target> {
        Ok(Target::Bound(self.try_clone()?))
    }
}

#[expect(private_interfaces, reason = "see the trait")]
impl<T: Resolve + ?Sized> Resolve for &T {
    fn resolve(&self) -> Result<Target> {
        (**self).resolve()
    }
}

/// Where a server listens. Shows as `127.0.0.1:6060`, `[::1]:6060` or `unix:/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Addr(pub(super) Place);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Tcp(SocketAddr),
    #[cfg_attr(not(unix), expect(dead_code, reason = "refused there"))]
    Unix(PathBuf),
}

impl Addr {
    /// The IP address and port, unless it is a Unix socket.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.0 {
            Place::Tcp(address) => Some(address),
            Place::Unix(_) => None,
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
