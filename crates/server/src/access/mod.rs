//! Which clients may connect to a service, and how fast: lists, rates, limits for each source, and the
//! balancers that introduce clients by the PROXY protocol.

mod accounts;
mod identity;
mod list;
pub(crate) mod networks;
pub(crate) mod owner;
pub(crate) mod proxy_header;
pub(crate) mod rate;
pub(crate) mod reading;
pub(crate) mod sources;

pub(crate) use identity::Identity;
pub(crate) use sources::SourceSlot;

use crate::introduction::Introduction;
use crate::options::{AccessOptions, Options, ProxyProtocol};
use crate::origins::Origins;
use crate::permissions::Permissions;
use crate::refusals::RefusalReason;
use list::AccessList;
use networks::Networks;
use oneloop::net::{Addr, Socket};
use proxy_header::HeaderVersion;
use rate::Bucket;
use sources::{SourceLimits, Sources};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which clients may connect to a service, for all threads. A service without it asks nothing.
#[derive(Debug)]
pub(crate) struct Access {
    list: AccessList,
    bucket: Option<Arc<Bucket>>,
    sources: Option<Sources>,
    proxy_protocol: ProxyProtocol,
    balancers: Networks<()>,
    handshake_timeout: Duration,
}

impl Access {
    /// What these options ask of a client; `None` if they ask nothing. What clients have by the
    /// rules `before` counts by the new ones.
    pub(crate) fn of(options: &Options, before: Option<&Access>) -> Option<Arc<Self>> {
        let options = &options.service.access;
        let limits = SourceLimits {
            bits: options.source_bits,
            open_max: options.max_per_source,
            rate: options.rate_per_source,
        };
        let limits_sources = limits.open_max.is_some() || limits.rate.is_some();
        let asks_nothing = !limits_sources
            && options.accept_rate.is_none()
            && options.proxy_protocol == ProxyProtocol::Off
            && options.allow.is_empty()
            && options.deny.is_empty();
        if asks_nothing {
            return None;
        }
        let mut balancers = Networks::default();
        for network in &options.proxy_from {
            balancers.insert(*network, ());
        }
        let sources = before.and_then(|before| before.sources.as_ref());
        let bucket = before.and_then(|before| before.bucket.as_ref());
        Some(Arc::new(Access {
            list: AccessList::new(&options.allow, &options.deny),
            bucket: options.accept_rate.map(|rate| {
                let bucket = bucket.filter(|bucket| bucket.rate == rate);
                bucket.map_or_else(|| Arc::new(Bucket::new(rate)), Arc::clone)
            }),
            sources: limits_sources.then(|| Sources::new(limits, sources)),
            proxy_protocol: options.proxy_protocol,
            balancers,
            handshake_timeout: options.handshake_timeout.into(),
        }))
    }

    /// How long a connection may take for its PROXY header.
    pub(crate) fn handshake_timeout(&self) -> Duration {
        self.handshake_timeout
    }

    /// How long it takes until `--accept-rate` allows one more client; zero if it does now.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let bucket = self.bucket.as_ref();
        bucket.map_or(Duration::ZERO, |bucket| bucket.wait(now))
    }

    /// Counts a client against `--accept-rate`, which allowed it.
    pub(crate) fn count_accepted(&self, now: Instant) {
        if let Some(bucket) = &self.bucket {
            bucket.take(now);
        }
    }

    /// Counts a client against `--accept-rate`.
    ///
    /// # Errors
    /// It comes too fast.
    pub(crate) fn try_count_accepted(&self, now: Instant) -> Result<(), RefusalReason> {
        match &self.bucket {
            Some(bucket) if !bucket.try_take(now) => Err(RefusalReason::AcceptRate),
            _ => Ok(()),
        }
    }

    /// Checks the peer of a connection, right after accept(2).
    ///
    /// # Errors
    /// It may not connect.
    pub(crate) fn admit_peer(&self, peer: &Addr, now: Instant) -> Result<(), RefusalReason> {
        match self.expects_header(peer) {
            // The header will name the client that these limits are for.
            true => Ok(()),
            false if self.proxy_protocol == ProxyProtocol::Require => {
                Err(RefusalReason::ProxyUntrusted)
            }
            false => self.admit_client(peer, now),
        }
    }

    /// True if this peer must introduce its client by a header.
    pub(crate) fn expects_header(&self, peer: &Addr) -> bool {
        self.proxy_protocol != ProxyProtocol::Off && self.balancers.get(peer).is_some()
    }

    /// Reads the header of a peer that must introduce its client. `None` if the peer is the client.
    ///
    /// # Errors
    /// The connection does not begin with a header.
    pub(crate) async fn read_introduction(
        &self,
        socket: &Socket,
    ) -> Result<Option<Introduction>, RefusalReason> {
        reading::read_header(socket).await
    }

    /// Checks a client, by the address that the server knows best.
    ///
    /// # Errors
    /// It may not connect.
    pub(crate) fn admit_client(&self, client: &Addr, now: Instant) -> Result<(), RefusalReason> {
        if !self.list.allows(client) {
            return Err(RefusalReason::Denied);
        }
        match &self.sources {
            Some(sources) => sources.count_new(client, now),
            None => Ok(()),
        }
    }

    /// Takes a place among the open connections of a client's source; `None` without a limit.
    ///
    /// # Errors
    /// There is none left.
    pub(crate) fn open(&self, client: &Addr) -> Result<Option<SourceSlot>, RefusalReason> {
        match &self.sources {
            Some(sources) => sources.open(client),
            None => Ok(None),
        }
    }
}

/// Checks the options of this part together.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn check(options: &Options) -> Result<(), String> {
    let (access, origins) = (&options.service.access, &options.origins);
    if let Some(network) = list::contradiction(&access.allow, &access.deny) {
        return Err(format!(
            "{network} is both in {} and in {}",
            origins.name("allow"),
            origins.name("deny")
        ));
    }
    check_proxy(access, origins)?;
    Permissions::of(options).map(drop)
}

fn check_proxy(options: &AccessOptions, origins: &Origins) -> Result<(), String> {
    let is_off = options.proxy_protocol == ProxyProtocol::Off;
    match (is_off, options.proxy_from.is_empty()) {
        (false, true) => Err(format!(
            "{} needs --proxy-from: give the networks of the balancers, whose headers are believed",
            origins.setting("proxy_protocol")
        )),
        (true, false) if origins.is_given("proxy_from") => Err(format!(
            "{} has no effect: give --proxy-protocol accept or require as well",
            origins.setting("proxy_from")
        )),
        _ => Ok(()),
    }
}

/// `--send-proxy`: how each client is introduced to its upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendProxy(HeaderVersion);

impl SendProxy {
    pub(crate) fn of(options: &Options) -> Option<Self> {
        options.service.access.send_proxy.map(SendProxy)
    }

    /// The header of this client.
    pub(crate) fn header(self, client: &Introduction) -> Vec<u8> {
        proxy_header::header(self.0, &client.from, &client.to)
    }
}

impl Permissions {
    /// The owner and the mode of the files of a service's Unix sockets.
    ///
    /// # Errors
    /// A sentence that names the user or the group that is unknown.
    pub(crate) fn of(options: &Options) -> Result<Self, String> {
        let of_user = Permissions::private(options)?;
        let owner = options.service.access.socket_owner.as_ref();
        let ids = owner.map_or(Ok((None, None)), owner::Owner::ids);
        let (uid, gid) = ids.map_err(|problem| options.origins.blame("socket_owner", problem))?;
        Ok(Permissions {
            mode: options.service.access.socket_mode.map(|mode| mode.0),
            uid: uid.or(of_user.uid),
            gid: gid.or(of_user.gid),
        })
    }

    /// Those of a file that only the user of the process may use.
    ///
    /// # Errors
    /// As [`Permissions::of`].
    pub(crate) fn private(options: &Options) -> Result<Self, String> {
        let identity = Identity::of(options)?;
        Ok(Permissions {
            mode: Some(0o600),
            uid: identity.as_ref().and_then(Identity::uid),
            gid: identity.as_ref().and_then(Identity::gid),
        })
    }
}
