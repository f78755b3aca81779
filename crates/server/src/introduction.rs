//! The addresses of a client, where its socket does not show them.

use oneloop::net::Addr;

/// A client as a balancer introduces it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    /// The client's address.
    pub(crate) from: Addr,
    /// The address that the client connected to.
    pub(crate) to: Addr,
}

impl Introduction {
    /// A client of which nothing is known.
    pub(crate) fn unknown() -> Self {
        Introduction {
            from: Addr::UnixUnnamed,
            to: Addr::UnixUnnamed,
        }
    }
}
