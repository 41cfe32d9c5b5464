//! The server of a build without one: every start succeeds and nothing listens.
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::addr::{Addr, Place, Target};
use super::handler::Rules;
use crate::error::Result;

/// A running server. Dropping it stops it.
#[derive(Debug)]
#[must_use = "dropping it stops the server"]
pub struct Server {
    addr: Addr,
}

impl Server {
    /// Where it would listen.
    pub fn local_addr(&self) -> &Addr {
        &self.addr
    }

    /// Lets it run for as long as the process does.
    pub fn detach(self) {}
}

pub(super) fn serve(rules: Arc<Rules>, target: Target) -> Result<Server> {
    let Rules { prefix: _, token: _, hosts: _, remote: _, cmdline: _ } = &*rules;
    let unknown = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let place = match target {
        Target::Tcp(addresses) => Place::Tcp(addresses.first().copied().unwrap_or(unknown)),
        Target::Unix(path) => Place::Unix(path),
        Target::Bound(listener) => Place::Tcp(listener.local_addr().unwrap_or(unknown)),
    };
    Ok(Server { addr: Addr(place) })
}
