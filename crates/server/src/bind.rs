//! From `--listen` to listening sockets.

use crate::endpoint::Endpoint;
use crate::failure::{Failure, in_words};
use crate::holder::{Holder, overlap};
use crate::options::Options;
use crate::permissions::Permissions;
use crate::socket_file::{ListenError, SocketFile, is_no_socket};
use crate::systemd::passed::{BOUND, BOUND_ANY_PORT, Passed, PassedSocket};
use oneloop::Handle;
use oneloop::cluster::{ClusterListener, Member, SharedListener};
use oneloop::net::{Addr, ListenOptions, Listener};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use tracing::warn;

/// Where a service listens.
pub(crate) struct Places<'a> {
    pub(crate) options: &'a Options,
    pub(crate) addrs: &'a [Addr],
    /// The sockets that it takes from those that were passed.
    pub(crate) passed_names: &'a [String],
}

/// Begins the name of a socket that is passed to the server.
const PASSED: &str = "fd:";

/// The names of the sockets that `--listen` takes from those that were passed.
pub(crate) fn passed_names(options: &Options) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let listen = options.service.listen.iter();
    for name in listen.filter_map(|text| text.strip_prefix(PASSED)) {
        if !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// Resolves `--listen` to the addresses to listen on.
pub(crate) fn resolve(options: &Options) -> Result<Vec<Addr>, String> {
    // std's resolver blocks, which is fine: no loop runs yet.
    let mut addrs = Vec::new();
    for text in addresses(options) {
        for addr in resolve_one(text)? {
            // Port 0 becomes another port each time, so it may be given twice.
            if has_port_0(&addr) || !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
    }
    Ok(addrs)
}

/// Checks `--listen` without a look-up.
pub(crate) fn check(options: &Options) -> Result<(), String> {
    addresses(options).try_for_each(|text| parse(text).map(drop))
}

fn addresses(options: &Options) -> impl Iterator<Item = &str> {
    let listen = options.service.listen.iter().map(String::as_str);
    listen.filter(|text| !text.starts_with(PASSED))
}

fn parse(text: &str) -> Result<Endpoint, String> {
    Endpoint::parse(text).ok_or_else(|| {
        let why = Endpoint::what_is_wrong(text);
        format!("cannot listen on '{text}': {why}")
    })
}

fn resolve_one(text: &str) -> Result<Vec<Addr>, String> {
    match parse(text)? {
        Endpoint::Addrs(addrs) => Ok(addrs),
        Endpoint::Name(host, port) => {
            let found = (host, port).to_socket_addrs();
            let found = found
                .map_err(|error| format!("cannot listen on '{text}': {}", in_words(&error)))?;
            Ok(found.map(Addr::Inet).collect())
        }
    }
}

/// True for an address with a port that the kernel chooses.
pub(crate) fn has_port_0(addr: &Addr) -> bool {
    addr.inet().is_some_and(|addr| addr.port() == 0)
}

/// A socket that listens, before the threads share it.
pub(crate) enum Opened {
    Bound {
        listener: Listener,
        port_is_any: bool,
    },
    /// Passed to this process, all for one address and under one name.
    Adopted(Vec<PassedSocket>),
}

impl Opened {
    pub(crate) fn addr(&self) -> Option<Addr> {
        match self {
            Opened::Bound { listener, .. } => listener.local_addr().ok(),
            Opened::Adopted(sockets) => Some(sockets[0].addr.clone()),
        }
    }

    /// The address as text. A socket of a family without one has the name under which it was passed.
    pub(crate) fn label(&self) -> Option<String> {
        match (self.addr()?, self) {
            (Addr::UnixUnnamed, Opened::Adopted(sockets)) => {
                Some(format!("{PASSED}{}", sockets[0].name))
            }
            (addr, _) => Some(addr.to_string()),
        }
    }

    /// The name under which a successor gets the socket.
    fn name(&self) -> String {
        match self {
            Opened::Bound { port_is_any, .. } => {
                let name = if *port_is_any { BOUND_ANY_PORT } else { BOUND };
                name.to_owned()
            }
            Opened::Adopted(sockets) => sockets[0].name.clone(),
        }
    }
}

impl AsFd for Opened {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Opened::Bound { listener, .. } => listener.as_fd(),
            Opened::Adopted(sockets) => sockets[0].fd.as_fd(),
        }
    }
}

/// A listener of the first thread, and the name under which a successor gets its socket.
pub(crate) type NamedListener = (String, ClusterListener);

/// Shares a socket of the first thread with the others: one listener, or several if more sockets were
/// passed for the address than there are threads.
pub(crate) fn share(
    member: &Member,
    opened: Opened,
    options: &Options,
) -> io::Result<Vec<NamedListener>> {
    let (name, how) = (opened.name(), how(options, None));
    let mut fds = match opened {
        Opened::Bound { listener, .. } => return Ok(vec![(name, member.share(listener, how)?)]),
        Opened::Adopted(sockets) => sockets.into_iter().map(|socket| socket.fd),
    };
    let mut listeners = Vec::new();
    loop {
        let next: Vec<_> = fds.by_ref().take(member.loops()).collect();
        if next.is_empty() {
            return Ok(listeners);
        }
        listeners.push((name.clone(), member.share_fds(next, how)?));
    }
}

/// Listens on one more thread.
pub(crate) fn join(member: &Member, shared: &SharedListener) -> Result<ClusterListener, String> {
    member
        .listen_shared(shared)
        .map_err(|error| explain(shared.local_addr(), &ListenError::Io(error)))
}

/// Listens for the first thread, on all addresses of each service. If the machine has no IPv6, that
/// is logged, and the other addresses of the service are served. Sockets that were passed are taken
/// from `passed`. The files of Unix sockets are added to `files` as they are made.
///
/// # Errors
/// An address is in use; there is no socket of a name.
pub(crate) fn listen_all(
    handle: &Handle,
    services: &[Places<'_>],
    passed: &mut Passed,
    files: &mut Vec<SocketFile>,
) -> Result<Vec<Vec<Opened>>, Failure> {
    let all: Vec<Addr> = services
        .iter()
        .flat_map(|service| service.addrs)
        .cloned()
        .collect();
    let mut listeners: Vec<Vec<Opened>> = Vec::new();
    for service in services {
        let Places {
            options,
            addrs,
            passed_names,
        } = *service;
        // A socket unit has the addresses, and the command line need not repeat them.
        let activated = passed.activated();
        if options.origins.is_default("listen") && !activated.is_empty() {
            listeners.push(take_named(passed, &activated, options)?);
            continue;
        }
        listeners.push(take_named(passed, passed_names, options)?);
        for addr in addrs {
            let v6_only = is_v6_only(addr, &all);
            match listen_alone(handle, addr, options, v6_only, passed, files) {
                Ok(opened) => listeners.last_mut().expect("pushed").extend(opened),
                // The default is both loopback addresses, and must work in a container without
                // IPv6. A single address that fails is an error, as the service would have nothing
                // left.
                Err(ListenError::Io(error)) if is_ipv6_missing(addr, &error) && addrs.len() > 1 => {
                    warn!(%addr, "this machine has no IPv6: not listening there");
                }
                Err(refused) => {
                    let ours = listeners.iter().flatten();
                    return Err(explain(addr, &find_holder(refused, addr, ours)).into());
                }
            }
        }
    }
    Ok(listeners)
}

/// Takes the sockets of these names, each address for itself.
fn take_named(
    passed: &mut Passed,
    names: &[String],
    options: &Options,
) -> Result<Vec<Opened>, Failure> {
    let mut opened = Vec::new();
    for name in names {
        let sockets = passed.take_named(name);
        let sockets =
            sockets.map_err(|problem| Failure::usage(options.origins.blame("listen", problem)))?;
        opened.extend(by_addr(sockets));
    }
    Ok(opened)
}

fn by_addr(sockets: Vec<PassedSocket>) -> Vec<Opened> {
    let mut groups: Vec<Vec<PassedSocket>> = Vec::new();
    for socket in sockets {
        match groups.iter_mut().find(|group| group[0].addr == socket.addr) {
            Some(group) => group.push(socket),
            None => groups.push(vec![socket]),
        }
    }
    groups.into_iter().map(Opened::Adopted).collect()
}

/// A socket on `[::]` serves IPv4 as well (ipv6(7)). If IPv4 has its own socket on that port, the
/// two can exist beside each other only with `IPV6_V6ONLY`.
fn is_v6_only(addr: &Addr, addrs: &[Addr]) -> Option<bool> {
    let everywhere6 = addr
        .inet()
        .filter(|addr| addr.ip() == Ipv6Addr::UNSPECIFIED)?;
    let mut others = addrs.iter().filter_map(Addr::inet);
    let has_v4 = others.any(|other| is_v4(other) && other.port() == everywhere6.port());
    has_v4.then_some(true)
}

/// True also for an IPv4 address that is mapped to IPv6: `[::ffff:127.0.0.1]`.
fn is_v4(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_ipv4()
}

/// Listens on an address that no other server has, with the sockets that were passed for it, or with
/// a new one.
fn listen_alone(
    handle: &Handle,
    addr: &Addr,
    options: &Options,
    v6_only: Option<bool>,
    passed: &mut Passed,
    files: &mut Vec<SocketFile>,
) -> Result<Vec<Opened>, ListenError> {
    let adopted = passed.take_at(addr);
    if !adopted.is_empty() {
        if let Addr::UnixPath(path) = addr {
            files.extend(SocketFile::inherit(path, passed));
        }
        return Ok(by_addr(adopted));
    }
    let listen = || handle.enter(|| Listener::bind(addr, how(options, v6_only)));
    let listener = match addr {
        Addr::UnixPath(path) => {
            let permissions = Permissions::of(options).map_err(io::Error::other)?;
            let (listener, file) = SocketFile::listen(path, permissions, listen)?;
            files.push(file);
            listener
        }
        _ => listen()?,
    };
    Ok(vec![Opened::Bound {
        listener,
        port_is_any: has_port_0(addr),
    }])
}

fn how(options: &Options, v6_only: Option<bool>) -> ListenOptions {
    ListenOptions {
        backlog: options.service.backlog,
        v6_only,
        keepalive: options.service.keepalive.0,
        ..ListenOptions::default()
    }
}

/// Finds the holder of an address that is in use: one of our own listeners, or a process.
fn find_holder<'a>(
    refused: ListenError,
    addr: &Addr,
    ours: impl Iterator<Item = &'a Opened>,
) -> ListenError {
    match refused {
        ListenError::Io(error) if error.kind() == io::ErrorKind::AddrInUse && !is_file(addr) => {
            let mut ours = ours.filter_map(Opened::addr);
            let is_ours = ours.any(|ours| match (ours.inet(), addr.inet()) {
                // Where both families are listened on, [::] has IPV6_V6ONLY.
                (Some(ours), Some(addr)) => is_v4(ours) == is_v4(addr) && overlap(ours, addr),
                _ => ours == *addr,
            });
            ListenError::InUse(match is_ours {
                true => Some(Holder::ThisServer),
                false => Holder::of_addr(addr).filter(|holder| *holder != Holder::ThisServer),
            })
        }
        refused => refused,
    }
}

/// True for the path of a file that is not a socket.
fn is_file(addr: &Addr) -> bool {
    matches!(addr, Addr::UnixPath(path) if is_no_socket(path))
}

fn is_ipv6_missing(addr: &Addr, error: &io::Error) -> bool {
    let is_everywhere = |addr: SocketAddr| {
        [Ipv6Addr::LOCALHOST, Ipv6Addr::UNSPECIFIED]
            .map(IpAddr::V6)
            .contains(&addr.ip())
    };
    let is_everywhere = addr.inet().is_some_and(is_everywhere);
    let unsupported = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    is_everywhere
        // EADDRNOTAVAIL with IPv6 disabled by sysctl, EAFNOSUPPORT by the kernel's command line
        // (ipv6.disable=1).
        && (error.kind() == io::ErrorKind::AddrNotAvailable
            || error.raw_os_error() == Some(unsupported))
}

/// One sentence that says what is wrong, and what to do.
pub(crate) fn explain(addr: &Addr, refused: &ListenError) -> String {
    let advice = match refused {
        ListenError::InUse(holder) => in_use(holder.as_ref()),
        ListenError::Lock(path, error) => {
            format!(
                "cannot lock it with {}: {}",
                path.display(),
                in_words(error)
            )
        }
        ListenError::Owner(error) => {
            format!("cannot give it to its owner: {}", in_words(error))
        }
        ListenError::Io(error) => match error.kind() {
            io::ErrorKind::AddrInUse if is_file(addr) => {
                "a file that is not a socket has that name".to_owned()
            }
            io::ErrorKind::AddrInUse => in_use(None),
            io::ErrorKind::PermissionDenied => permission_needed(addr).to_owned(),
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
            io::ErrorKind::NotFound => "the directory does not exist".to_owned(),
            _ => in_words(error),
        },
    };
    format!("cannot listen on {addr}: {advice}")
}

fn permission_needed(addr: &Addr) -> &'static str {
    match addr {
        Addr::UnixPath(_) => {
            "permission denied: this user may not create a socket in that directory"
        }
        Addr::Inet(addr) if addr.port() < 1024 && addr.port() > 0 => {
            "permission denied: ports below 1024 need root or CAP_NET_BIND_SERVICE"
        }
        _ => "permission denied: a policy of this machine forbids it",
    }
}

fn in_use(holder: Option<&Holder>) -> String {
    match holder {
        Some(Holder::ThisServer) => {
            "the address is in use by this server: leave one of the two out".to_owned()
        }
        Some(other) => {
            format!("the address is in use by {other}: stop it, or give another --listen")
        }
        None => {
            "the address is in use: stop what listens there, or give another --listen".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_low_port_needs_root() {
        let said = |addr: &str| {
            let error: io::Error = io::ErrorKind::PermissionDenied.into();
            explain(&addr.parse().unwrap(), &ListenError::Io(error))
        };
        for addr in ["127.0.0.1:80", "[::1]:1023"] {
            assert!(said(addr).contains("ports below 1024"), "{}", said(addr));
        }
        for addr in ["unix:/run/x", "unix:@x", "127.0.0.1:1024", "127.0.0.1:0"] {
            assert!(!said(addr).contains("port"), "{}", said(addr));
            assert!(said(addr).contains("permission denied"), "{}", said(addr));
        }
    }
}
