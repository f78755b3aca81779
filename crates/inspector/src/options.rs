//! Which clients may ask, how many at once, and for how long.

use crate::access::problem_of_token;
use oneloop_net::Addr;
use std::io;
use std::time::Duration;

/// Which clients may ask, how many at once, and for how long.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// What each request must show, as `Authorization: Bearer TOKEN` or `?token=TOKEN`; required
    /// where other machines can connect. None by default.
    pub token: Option<String>,
    /// The maximum number of connections: 64 by default. Others wait in the kernel's backlog.
    pub connections_max: usize,
    /// The maximum number of pages that watch at once: 8 by default. Others get status 503.
    pub watchers_max: usize,
    /// How long the head of a request may take, and how long a connection may wait for the next:
    /// 10 s by default.
    pub head_timeout: Duration,
    /// How long a connection may make no progress while it is answered: 60 s by default.
    pub stall_timeout: Duration,
}

impl Default for AdminOptions {
    fn default() -> Self {
        AdminOptions {
            token: None,
            connections_max: 64,
            watchers_max: 8,
            head_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(60),
        }
    }
}

impl AdminOptions {
    /// Checks that these options are safe for a listener on that address.
    ///
    /// # Errors
    /// `InvalidInput`: other machines can connect and there is no token; or the token has
    /// characters that an address or a header cannot carry.
    pub fn check(&self, addr: &Addr) -> io::Result<()> {
        let is_local = addr
            .inet()
            .is_none_or(|addr| addr.ip().to_canonical().is_loopback());
        let problem = match &self.token {
            None if !is_local => Some("other machines can connect there, so a token is required"),
            None => None,
            Some(token) => problem_of_token(token),
        };
        problem.map_or(Ok(()), |problem| {
            let problem = format!("cannot inspect on {addr}: {problem}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
        })
    }
}
