//! What is served and to whom: the builder that a server of ours and a user's own server share.
use std::fmt;
use std::sync::Arc;

use super::addr::ToAddr;
use super::server::Server;
use crate::error::Result;

/// The pages under `/debug/pprof/`, and who may ask for them.
///
/// Build one, then [`serve`](Self::serve) it, or hand requests of your own server to `handle` (feature `http`).
/// Cloning is cheap.
#[derive(Clone)]
pub struct Handler {
    pub(super) rules: Arc<Rules>,
}

#[derive(Clone)]
pub(super) struct Rules {
    /// Without a slash at its end.
    pub(super) prefix: String,
    pub(super) token: Option<String>,
    /// In lower case, without port.
    pub(super) hosts: Vec<String>,
    pub(super) remote: bool,
    pub(super) cmdline: bool,
    /// What `/delta_heap` and its like have told.
    #[cfg(all(feature = "enabled", feature = "http"))]
    pub(super) told: Arc<super::since::Told>,
}

impl Handler {
    /// Everything under `/debug/pprof/`, for this machine.
    pub fn new() -> Self {
        Handler {
            rules: Arc::new(Rules {
                prefix: "/debug/pprof".to_owned(),
                token: None,
                hosts: Vec::new(),
                remote: false,
                cmdline: true,
                #[cfg(all(feature = "enabled", feature = "http"))]
                told: Arc::default(),
            }),
        }
    }

    /// Serves the pages under another path than `/debug/pprof`, such as `/d/pprof`.
    #[must_use]
    pub fn prefix(self, p: impl Into<String>) -> Self {
        let p = p.into();
        let path = p.trim_matches('/');
        let prefix = if path.is_empty() { String::new() } else { format!("/{path}") };
        self.with(|rules| rules.prefix = prefix)
    }

    /// Asks for `Authorization: Bearer t` with every request. An empty token lets nobody in.
    #[must_use]
    pub fn token(self, t: impl Into<String>) -> Self {
        let token = t.into();
        self.with(|rules| rules.token = Some(token))
    }

    /// Whether [`serve`](Self::serve) may listen on an address that other machines can reach.
    #[must_use]
    pub fn allow_remote(self, on: bool) -> Self {
        self.with(|rules| rules.remote = on)
    }

    /// Accepts requests whose `Host` is `name` (any port), besides IP addresses and `localhost`.
    #[must_use]
    pub fn allow_host(self, name: impl Into<String>) -> Self {
        let name = name.into();
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.with(|rules| rules.hosts.push(name))
    }

    /// Whether `/cmdline` tells the arguments that the program was started with, as Go does. Default: it does. Whoever
    /// passes secrets there turns it off; then it is a 404, and `pprof` shows no command line.
    #[must_use]
    pub fn cmdline(self, on: bool) -> Self {
        self.with(|rules| rules.cmdline = on)
    }

    /// Serves it at `addr` until the result is dropped; see [`serve`](super::serve).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the address is in use or cannot be bound,
    /// [`Error::Invalid`](crate::Error::Invalid) if it is none, or not loopback without
    /// [`allow_remote`](Self::allow_remote). Both name it.
    pub fn serve(self, addr: impl ToAddr) -> Result<Server> {
        super::server::serve(self.rules, addr.resolve()?)
    }

    /// Where the pages lie, without a slash at the end.
    #[cfg(feature = "axum")]
    pub(super) fn path(&self) -> &str {
        &self.rules.prefix
    }

    fn with(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        let rules = Arc::make_mut(&mut self.rules);
        change(rules);
        #[cfg(all(feature = "enabled", feature = "http"))]
        {
            // Another handler from here on, which has told nobody anything.
            rules.told = Arc::default();
        }
        self
    }
}

#[cfg(all(feature = "enabled", feature = "http"))]
mod handle {
    use std::error::Error;

    use super::super::{collect, engine, plan, reply};
    use super::*;

    impl Handler {
        /// Answers one request, for a server of your own. It needs no runtime around it: what takes time or waits
        /// happens on threads of this crate's.
        ///
        /// Dropping the future, or the body of the response, ends the collection at once. The rules about `Host`,
        /// origin and token hold here too; who can reach your server is up to you.
        pub fn handle<B>(
            &self,
            r: ::http::Request<B>,
        ) -> impl Future<Output = ::http::Response<reply::Body>> + Send + 'static + use<B>
        where
            B: hyper::body::Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
        {
            let rules = self.rules.clone();
            async move {
                let (parts, body) = r.into_parts();
                let answer = async {
                    let plan = plan::plan(&rules, &parts)?;
                    let body = if plan.wants_body() { reply::read(body).await? } else { Default::default() };
                    if !plan.takes_time() {
                        return collect::answer(plan, body, std::future::pending()).await;
                    }
                    engine::run(collect::answer(plan, body, std::future::pending())).await?
                };
                answer.await.unwrap_or_else(reply::Refusal::into_response)
            }
        }
    }
}

impl Default for Handler {
    fn default() -> Self {
        Handler::new()
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler")
            .field("prefix", &self.rules.prefix)
            .field("token", &self.rules.token.as_ref().map(|_| "..")) // not into anybody's log
            .field("hosts", &self.rules.hosts)
            .field("allow_remote", &self.rules.remote)
            .field("cmdline", &self.rules.cmdline)
            .finish()
    }
}
