//! Looks up the addresses of a host, and the name of an address, without blocking the loop.

use crate::shared_job::{JobFailure, JobWait, SharedJob, WeakSharedJob, lock};
use dns_lookup::{AddrFamily, AddrInfoHints, LookupError, LookupErrorKind, SockType};
use oneloop_core::{Class, Elapsed, Handle};
use oneloop_posix::Process;
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

/// A family of IP addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(crate) fn of(ip: &IpAddr) -> Self {
        match ip {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// How to look up a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResolveOptions {
    /// Restricts the look-up to addresses of this family.
    pub family: Option<Family>,
    /// The time limit. With `None` the C library's applies: by default it asks each server twice
    /// and waits 5 s each time (resolv.conf(5)).
    pub timeout: Option<Duration>,
}

/// The reason why a look-up failed. The `io::Error` of [`resolve`] has it inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError {
    host: String,
    code: &'static str,
    words: String,
    kind: io::ErrorKind,
    errno: Option<i32>,
}

impl ResolveError {
    /// The name, or the address, that was looked up.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The code of `getaddrinfo(3)`: `EAI_NONAME`, `EAI_AGAIN`, …; `EAI_SYSTEM` for an error of the
    /// system; and `ETIMEDOUT` after the timeout.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The errno, for `EAI_SYSTEM`.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.errno
    }

    fn new(host: &str, error: LookupError) -> Self {
        let (code, kind) = match error.kind() {
            LookupErrorKind::Again => ("EAI_AGAIN", io::ErrorKind::Other),
            LookupErrorKind::Badflags => ("EAI_BADFLAGS", io::ErrorKind::InvalidInput),
            LookupErrorKind::NoName => ("EAI_NONAME", io::ErrorKind::NotFound),
            LookupErrorKind::NoData => ("EAI_NODATA", io::ErrorKind::NotFound),
            LookupErrorKind::Fail => ("EAI_FAIL", io::ErrorKind::Other),
            LookupErrorKind::Family => ("EAI_FAMILY", io::ErrorKind::Unsupported),
            LookupErrorKind::Socktype => ("EAI_SOCKTYPE", io::ErrorKind::Unsupported),
            LookupErrorKind::Service => ("EAI_SERVICE", io::ErrorKind::NotFound),
            LookupErrorKind::Memory => ("EAI_MEMORY", io::ErrorKind::OutOfMemory),
            // glibc: the name exists, but has no address of that family.
            LookupErrorKind::IO if error.error_num() == EAI_ADDRFAMILY => {
                ("EAI_ADDRFAMILY", io::ErrorKind::NotFound)
            }
            LookupErrorKind::System | LookupErrorKind::Unknown | LookupErrorKind::IO => {
                return ResolveError::system(host, &error.into());
            }
        };
        let words = error.to_string();
        // The `Display` of `ResolveError` has its own words for this prefix.
        let words = words.strip_prefix("failed to lookup address information: ");
        ResolveError {
            host: host.to_owned(),
            code,
            words: words.map_or_else(|| error.to_string(), str::to_owned),
            kind,
            errno: None,
        }
    }

    fn system(host: &str, error: &io::Error) -> Self {
        ResolveError {
            host: host.to_owned(),
            code: "EAI_SYSTEM",
            words: error.to_string(),
            kind: error.kind(),
            errno: error.raw_os_error(),
        }
    }

    /// An address of another family than the requested one, with glibc's error for such a name.
    fn of_other_family(host: &str) -> Self {
        ResolveError {
            host: host.to_owned(),
            code: "EAI_ADDRFAMILY",
            words: "Address family for hostname not supported".to_owned(),
            kind: io::ErrorKind::NotFound,
            errno: None,
        }
    }

    pub(crate) fn timed_out(host: &str, timeout: Duration) -> Self {
        ResolveError {
            host: host.to_owned(),
            code: "ETIMEDOUT",
            words: format!("no answer within {timeout:?}"),
            kind: io::ErrorKind::TimedOut,
            errno: None,
        }
    }
}

const EAI_ADDRFAMILY: i32 = -9;

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot look up '{}': {}", self.host, self.words)
    }
}

impl std::error::Error for ResolveError {}

impl From<ResolveError> for io::Error {
    fn from(error: ResolveError) -> Self {
        io::Error::new(error.kind, error)
    }
}

/// Looks up the addresses of a host: [`resolve_with`], with default options. Cancel safe.
///
/// ```
/// use oneloop::EventLoop;
/// use oneloop::net::resolve;
/// # fn main() -> std::io::Result<()> {
/// let addrs = EventLoop::new()?.block_on(resolve("127.0.0.1", 80))?;
/// assert_eq!(addrs, ["127.0.0.1:80".parse().unwrap()]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`resolve_with`].
#[doc(alias("lookup_host", "getaddrinfo", "gethostbyname", "ToSocketAddrs"))]
pub async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    resolve_with(host, port, ResolveOptions::default()).await
}

/// Looks up the addresses of a host, in the system's order (`getaddrinfo(3)`, on a thread for
/// names).
///
/// An IP address needs no look-up, nor does an IPv6 address with a scope, such as `fe80::1%eth0`.
/// Callers in this process that look up the same name at the same time share one thread and its
/// answer.
///
/// Cancel safe. A thread that has begun cannot be interrupted: after a timeout or a drop the caller
/// continues, and the thread stays busy until the C library gives up.
///
/// # Errors
/// A [`ResolveError`], which names the host: of kind [`NotFound`](io::ErrorKind::NotFound) when the
/// name does not exist, [`TimedOut`](io::ErrorKind::TimedOut) after the timeout.
pub async fn resolve_with(
    host: &str,
    port: u16,
    options: ResolveOptions,
) -> io::Result<Vec<SocketAddr>> {
    if let Some(addr) = literal_addr(host, port)? {
        let is_wanted = options
            .family
            .is_none_or(|family| family == Family::of(&addr.ip()));
        // glibc reports EAI_ADDRFAMILY for such a host, too.
        return match is_wanted {
            true => Ok(vec![addr]),
            false => Err(ResolveError::of_other_family(host).into()),
        };
    }
    let query = Query {
        host: host.to_owned(),
        family: options.family,
        process: Process::this()?,
    };
    let mut addrs = within(host, options.timeout, look_up(query)).await?;
    // The port is not part of the query, so that look-ups for several ports share one job.
    for addr in &mut addrs {
        addr.set_port(port);
    }
    Ok(addrs)
}

/// Looks up the names of a host and of its port's service (`getnameinfo(3)`, on a thread for
/// names). An address or port without a name is returned as digits. Cancel safe, as
/// [`resolve_with`] is.
///
/// # Errors
/// As [`resolve_with`].
#[doc(alias("getnameinfo", "reverse_lookup"))]
pub async fn resolve_name(
    addr: SocketAddr,
    timeout: Option<Duration>,
) -> io::Result<(String, String)> {
    let host = addr.ip().to_string();
    // Not a shared job: two callers rarely look up the same address at the same time.
    let job = Handle::current().offload_to(Class::Dns, move || dns_lookup::getnameinfo(&addr, 0));
    let named = async {
        let named = job.await.map_err(|_| panicked(&host))?;
        named.map_err(|error| ResolveError::new(&host, error))
    };
    Ok(within(&host, timeout, named).await?)
}

async fn within<T>(
    host: &str,
    timeout: Option<Duration>,
    look_up: impl Future<Output = Result<T, ResolveError>>,
) -> Result<T, ResolveError> {
    let Some(timeout) = timeout else {
        return look_up.await;
    };
    let limited = Handle::current().timeout(timeout, look_up).await;
    // The wait is dropped, which leaves the job to its other waiters.
    limited.unwrap_or_else(|Elapsed| Err(ResolveError::timed_out(host, timeout)))
}

fn panicked(host: &str) -> ResolveError {
    ResolveError::system(host, &io::Error::other("the look-up panicked"))
}

/// The address that a host's name spells out, if it does: an IPv4 or IPv6 address, the latter
/// optionally with the number or name of an interface, `fe80::1%2` or `fe80::1%eth0`.
///
/// # Errors
/// `ENODEV` when no interface has that name.
pub fn literal_addr(host: &str, port: u16) -> io::Result<Option<SocketAddr>> {
    // The standard library parses no scope, and getaddrinfo(3) would need a thread for it.
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(Some(SocketAddr::new(ip, port)));
    }
    let scoped = host.split_once('%');
    let scoped = scoped.and_then(|(ip, scope)| Some((ip.parse::<Ipv6Addr>().ok()?, scope)));
    let Some((ip, scope)) = scoped else {
        return Ok(None);
    };
    let index = scope.parse().or_else(|_| interface_index(scope));
    let index = index.map_err(|error| ResolveError::system(host, &error))?;
    Ok(Some(SocketAddrV6::new(ip, port, 0, index).into()))
}

fn interface_index(name: &str) -> io::Result<u32> {
    // netdevice(7): the ioctl works on any socket, whatever its family.
    // if_nametoindex(3) is this ioctl, behind an unsafe call.
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(netdevice::name_to_index(socket, name)?)
}

/// A look-up. Equal ones at the same time share the answer.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Query {
    host: String,
    family: Option<Family>,
    /// Part of the key because a forked process has none of the threads that look names up for its
    /// parent.
    process: Process,
}

type Found = Result<Vec<SocketAddr>, ResolveError>;

/// The look-ups that are queued or running.
static RUNNING: LazyLock<Mutex<HashMap<Query, WeakSharedJob<Found>>>> =
    LazyLock::new(Mutex::default);

async fn look_up(query: Query) -> Found {
    loop {
        let mut wait = join_or_begin(&Handle::current(), &query);
        match poll_fn(|cx| wait.poll_with(cx, |found| found.clone())).await {
            Ok(found) => return found,
            // The caller that started the job gave up before a thread began it, so this caller
            // starts another job.
            Err(JobFailure::NeverBegun) => {}
            // The C library does not panic, but code around it may, and the waiters must not hang.
            Err(JobFailure::Panicked) => return Err(panicked(&query.host)),
        }
    }
}

fn join_or_begin(handle: &Handle, query: &Query) -> JobWait<Found> {
    let mut running = lock(&RUNNING);
    if let Some(job) = running.get(query).and_then(WeakSharedJob::upgrade) {
        drop(running);
        return job.join(handle);
    }
    let job = SharedJob::new();
    let before = running.insert(query.clone(), job.downgrade());
    // The old entry drops after the lock. It may be the last owner of its result.
    drop(running);
    drop(before);
    let (asked, kept) = (query.clone(), query.clone());
    let forget = move |job: &SharedJob<Found>| {
        let mut running = lock(&RUNNING);
        // A later look-up of the same name may have replaced this one.
        if running.get(&kept).is_some_and(|other| other.is(job)) {
            running.remove(&kept);
        }
    };
    job.begin(handle, Class::Dns, move || ask(&asked), forget)
}

/// Blocks until the C library has an answer.
fn ask(query: &Query) -> Found {
    let hints = AddrInfoHints {
        // Without a type, getaddrinfo(3) returns each address three times.
        socktype: SockType::Stream.into(),
        address: match query.family {
            None => 0,
            Some(Family::V4) => AddrFamily::Inet.into(),
            Some(Family::V6) => AddrFamily::Inet6.into(),
        },
        ..AddrInfoHints::default()
    };
    // The C library, and not a resolver of our own: it knows /etc/hosts, nsswitch.conf(5), and
    // mDNS.
    let found = dns_lookup::getaddrinfo(Some(&query.host), None, Some(hints));
    let found = found.map_err(|error| ResolveError::new(&query.host, error))?;
    let mut addrs = Vec::new();
    for info in found {
        let addr = info.map_err(|error| ResolveError::system(&query.host, &error))?;
        if !addrs.contains(&addr.sockaddr) {
            addrs.push(addr.sockaddr); // a name may be listed twice in /etc/hosts
        }
    }
    Ok(addrs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop_core::EventLoop;

    fn look_up_now(host: &str, options: ResolveOptions) -> io::Result<Vec<SocketAddr>> {
        let mut event_loop = EventLoop::new().unwrap();
        event_loop.block_on(resolve_with(host, 80, options))
    }

    #[test]
    fn an_address_needs_no_look_up() {
        for host in ["127.0.0.1", "::1"] {
            let addr = SocketAddr::new(host.parse().unwrap(), 80);
            assert_eq!(literal_addr(host, 80).unwrap(), Some(addr));
        }
        assert_eq!(literal_addr("localhost", 80).unwrap(), None);
    }

    #[test]
    fn an_address_may_have_a_scope() {
        let by_number = literal_addr("fe80::1%1", 80).unwrap();
        assert_eq!(by_number, Some("[fe80::1%1]:80".parse().unwrap()));
        assert_eq!(literal_addr("fe80::1%lo", 80).unwrap(), by_number);
        let error = literal_addr("fe80::1%nowhere", 80).unwrap_err();
        assert!(error.to_string().contains("'fe80::1%nowhere'"), "{error}");
    }

    #[test]
    fn an_error_names_the_host_and_quotes_the_resolver() {
        let error = look_up_now("no\0name", ResolveOptions::default()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        // Longer than DNS allows: no server is asked.
        let long = "a".repeat(300);
        let error = look_up_now(&long, ResolveOptions::default()).unwrap_err();
        let inside = error.get_ref().unwrap().downcast_ref::<ResolveError>();
        assert_eq!(inside.unwrap().host(), long);
        assert!(
            inside.unwrap().code().starts_with("EAI_"),
            "{:?}",
            inside.unwrap()
        );
        assert!(error.to_string().contains(&long));
    }

    #[test]
    fn a_look_up_returns_only_the_requested_family() {
        let v4 = ResolveOptions {
            family: Some(Family::V4),
            ..ResolveOptions::default()
        };
        let addrs = look_up_now("localhost", v4).unwrap();
        assert_eq!(addrs, ["127.0.0.1:80".parse().unwrap()]);
        let other = look_up_now("::1", v4).unwrap_err();
        assert_eq!(other.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn an_address_has_a_name() {
        let mut event_loop = EventLoop::new().unwrap();
        let addr = "127.0.0.1:0".parse().unwrap();
        let (host, service) = event_loop.block_on(resolve_name(addr, None)).unwrap();
        assert!(host.starts_with("localhost"), "{host}");
        assert_eq!(service, "0");
    }

    #[test]
    fn equal_look_ups_share_the_answer_also_when_the_first_caller_gives_up() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let query = Query {
            host: "localhost".to_owned(),
            family: None,
            process: Process::this().unwrap(),
        };
        let first = join_or_begin(&handle, &query);
        let second = handle.spawn(look_up(query.clone()));
        drop(first);
        assert!(event_loop.block_on(second).unwrap().is_ok());
        assert!(!lock(&RUNNING).contains_key(&query));
    }
}
