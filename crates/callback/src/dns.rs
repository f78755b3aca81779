//! `require('dns')`: names and addresses, looked up by the system's resolver.
//!
//! `dns.resolve` and the other functions that query name servers themselves are absent.

use crate::error::Error;
use crate::runtime::{current, next_tick};
use crate::thrown::{IntoResult, callback_of};
use oneloop_net::{ResolveOptions, resolve_with};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

pub use oneloop_net::Family;

/// The order of a name's addresses: `dns.lookup`'s `order`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The resolver's order.
    // Node's default since version 17. Before, it put IPv4 first.
    #[default]
    Verbatim,
    /// IPv4 addresses first.
    Ipv4First,
    /// IPv6 addresses first.
    Ipv6First,
}

/// How to look up a name: `dns.lookup(hostname, options)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct LookupOptions {
    /// Returns addresses of this family only.
    pub family: Option<Family>,
    /// The order of the addresses.
    pub order: Order,
}

/// Looks up the first address of a host's name: `dns.lookup`. An IP address is returned as it is,
/// in the next tick.
///
/// The error is `getaddrinfo ENOTFOUND host` when there is no such name, and `EAI_AGAIN` when no
/// server answers; [`Error::hostname`] returns the name.
///
/// ```
/// use oneloop::callback::{dns, run};
///
/// run(|| {
///     dns::lookup("localhost", dns::LookupOptions::default(), |found| {
///         assert!(found?.is_loopback());
///         Ok::<_, oneloop::callback::Error>(())
///     });
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias("getaddrinfo", "uv_getaddrinfo"))]
pub fn lookup<O: IntoResult>(
    host: &str,
    options: LookupOptions,
    callback: impl FnOnce(Result<IpAddr, Error>) -> O + 'static,
) {
    match host.parse::<IpAddr>() {
        // Never on this stack: Node calls back by `process.nextTick` as well.
        Ok(ip) => next_tick(move || callback(Ok(ip))),
        Err(_) => call_later(promises::lookup(host.to_owned(), options), callback),
    }
}

/// Looks up all addresses of a host's name: `dns.lookup` with `all: true`. See [`lookup`].
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn lookup_all<O: IntoResult>(
    host: &str,
    options: LookupOptions,
    callback: impl FnOnce(Result<Vec<IpAddr>, Error>) -> O + 'static,
) {
    match host.parse::<IpAddr>() {
        Ok(ip) => next_tick(move || callback(Ok(vec![ip]))),
        Err(_) => call_later(promises::lookup_all(host.to_owned(), options), callback),
    }
}

/// Looks up the name of a host, and that of the service at its port: `dns.lookupService`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias("getnameinfo", "uv_getnameinfo"))]
pub fn lookup_service<O: IntoResult>(
    address: IpAddr,
    port: u16,
    callback: impl FnOnce(Result<(String, String), Error>) -> O + 'static,
) {
    call_later(promises::lookup_service(address, port), callback);
}

/// Calls a function with the result of a lookup, in the poll phase.
#[track_caller]
fn call_later<T: 'static, O: IntoResult>(
    lookup: impl Future<Output = Result<T, Error>> + 'static,
    callback: impl FnOnce(Result<T, Error>) -> O + 'static,
) {
    let runtime = current();
    // getaddrinfo(3) runs on the pool, and the poll reports its result, as in libuv.
    runtime.handle.clone().spawn_detached(async move {
        let found = lookup.await;
        let of = callback_of(&callback);
        runtime.make_callback(|| of.result(callback(found)));
    });
}

/// Lookups as futures: `dns.promises`.
pub mod promises {
    use super::*;
    use oneloop_net::resolve_name;

    /// Looks up the first address of a host's name: see [`lookup`](super::lookup).
    ///
    /// # Errors
    /// `ENOTFOUND`, `EAI_AGAIN`, ….
    pub async fn lookup(host: String, options: LookupOptions) -> Result<IpAddr, Error> {
        let found = lookup_all(host.clone(), options).await?;
        let none = || Error::not_found(&host, io::ErrorKind::NotFound.into());
        found.first().copied().ok_or_else(none)
    }

    /// Looks up all addresses of a host's name: see [`lookup_all`](super::lookup_all).
    ///
    /// # Errors
    /// As [`lookup`].
    pub async fn lookup_all(host: String, options: LookupOptions) -> Result<Vec<IpAddr>, Error> {
        let is_literal = host.parse::<IpAddr>().is_ok();
        let resolve_options = ResolveOptions {
            // Node returns an IP address as it is, whatever family was requested.
            family: options.family.filter(|_| !is_literal),
            timeout: None, // Node has none
        };
        let found = resolve_with(&host, 0, resolve_options).await;
        let found = found.map_err(|error| Error::not_found(&host, error))?;
        let mut found: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
        match options.order {
            Order::Verbatim => {}
            Order::Ipv4First => found.sort_by_key(IpAddr::is_ipv6), // a stable sort
            Order::Ipv6First => found.sort_by_key(IpAddr::is_ipv4),
        }
        Ok(found)
    }

    /// Looks up the name of a host and of a service: see [`lookup_service`](super::lookup_service).
    ///
    /// # Errors
    /// As [`lookup`].
    pub async fn lookup_service(address: IpAddr, port: u16) -> Result<(String, String), Error> {
        let addr = SocketAddr::new(address, port);
        let found = resolve_name(addr, None).await;
        found.map_err(|error| Error::look_up("getnameinfo", &address.to_string(), error))
    }
}
