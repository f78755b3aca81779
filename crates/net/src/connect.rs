//! Connecting to the first address of a host that answers: "happy eyeballs", RFC 8305.

use crate::addr::Addr;
use crate::connecting::{Connecting, Unconnected};
use crate::keepalive::Keepalive;
use crate::resolve::{Family, ResolveError, ResolveOptions};
use crate::socket::Socket;
use crate::target::{Target, ToTarget, no_address};
use oneloop_core::{Elapsed, Handle, Sleep};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How to connect.
#[derive(Clone, Copy, Debug)]
#[doc(alias("TcpSocket", "happy_eyeballs"))]
pub struct ConnectOptions {
    /// The local address; addresses of the other family are not tried. With port 0, the kernel
    /// chooses a port.
    pub local_addr: Option<SocketAddr>,
    /// The time after which the connect tries the next address as well, if none has answered: 250
    /// ms, as RFC 8305 recommends. After an address that fails, it tries the next one at once.
    pub attempt_delay: Duration,
    /// The time limit for the whole connect, including the look-up. With `None` the kernel's limit
    /// of about two minutes applies (tcp(7): `tcp_syn_retries`).
    pub timeout: Option<Duration>,
    /// Restricts the connect to addresses of this family.
    pub family: Option<Family>,
    /// When the kernel gives up a silent peer, once it is connected. With `None` the kernel's
    /// default applies.
    pub keepalive: Option<Keepalive>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            local_addr: None,
            attempt_delay: Duration::from_millis(250),
            timeout: None,
            family: None,
            keepalive: None,
        }
    }
}

impl ConnectOptions {
    /// The family of the addresses to try; `None` for both.
    fn family(&self) -> Option<Family> {
        let local = self.local_addr.map(|local| Family::of(&local.ip()));
        self.family.or(local)
    }

    fn allows(&self, addr: &SocketAddr) -> bool {
        self.family()
            .is_none_or(|family| Family::of(&addr.ip()) == family)
    }
}

/// The reasons why none of a host's addresses could be reached.
///
/// The `io::Error` of [`TcpStream::connect`](crate::TcpStream::connect) contains it for a name, and
/// for more than one address. That `io::Error` has the kind of the most specific failure: a refusal
/// says more than an unreachable network.
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    failed: Vec<(SocketAddr, io::Error)>,
}

impl ConnectError {
    /// Each address that was tried, and its error.
    pub fn failed(&self) -> &[(SocketAddr, io::Error)] {
        &self.failed
    }

    fn kind(&self) -> io::ErrorKind {
        let mut kinds = self.failed.iter().map(|(_, error)| error.kind());
        let first = kinds.clone().next().unwrap_or(io::ErrorKind::TimedOut);
        kinds.find(|kind| is_from_the_host(*kind)).unwrap_or(first)
    }
}

/// True for an error that may have come from the host itself, rather than from the way to it.
fn is_from_the_host(kind: io::ErrorKind) -> bool {
    !matches!(
        kind,
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::Unsupported
    )
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot connect to {}", self.target)?;
        let mut separator = ": ";
        for (addr, error) in &self.failed {
            write!(f, "{separator}{addr}: {error}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let (_, error) = self.failed.first()?;
        Some(error)
    }
}

/// Connects to the first address that answers.
pub(crate) async fn connect(target: impl ToTarget, options: ConnectOptions) -> io::Result<Socket> {
    let target = target.to_target()?;
    if let Target::Addr(addr) = target
        && options.timeout.is_none()
        && options.allows(&addr)
    {
        // The error is the kernel's own, without a `ConnectError` around it.
        return begin(addr, options.local_addr)?.await; // the common case: no race
    }
    let mut race = Race::new(options);
    let connected = {
        let run = race.run(&target);
        match options.timeout {
            None => run.await,
            Some(timeout) => {
                let limited = Handle::current().timeout(timeout, run).await;
                limited.unwrap_or_else(|Elapsed| Err(Elapsed.into()))
            }
        }
    };
    connected.map_err(|error| race.explain(&target, error))
}

fn begin(addr: SocketAddr, local: Option<SocketAddr>) -> io::Result<Connecting> {
    let addr = Addr::Inet(addr);
    let mut unconnected = Unconnected::to_reach(&addr)?;
    if let Some(local) = local {
        unconnected.bind(&Addr::Inet(local))?;
    }
    unconnected.connect(&addr)
}

/// Attempts to connect to several addresses. Later ones start while earlier ones are in progress.
///
/// ```text
///  untried ── the delay is over, or an attempt failed ──▶ in_progress ──▶ connected: the result
///                                                              │
///                                                              └────────▶ failed
/// ```
struct Race {
    options: ConnectOptions,
    untried: VecDeque<SocketAddr>,
    in_progress: Vec<(SocketAddr, Connecting)>,
    failed: Vec<(SocketAddr, io::Error)>,
    /// The time until the next attempt starts although none has failed.
    delay: Option<Sleep>,
}

impl Race {
    fn new(options: ConnectOptions) -> Self {
        Race {
            options,
            untried: VecDeque::new(),
            in_progress: Vec::new(),
            failed: Vec::new(),
            delay: None,
        }
    }

    /// Looks the target up, and returns the first socket that connects. The others are closed.
    async fn run(&mut self, target: &Target) -> io::Result<Socket> {
        let resolve = ResolveOptions {
            family: self.options.family(),
            timeout: None, // the whole connect has a timeout
        };
        let mut addrs = target.clone().resolve_with(resolve).await?;
        // The look-up filters only names: a list of addresses comes back as it is.
        addrs.retain(|addr| self.options.allows(addr));
        // RFC 8305: alternating families bounds the delay when one of them is broken.
        self.untried = in_turn(addrs).into();
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        loop {
            // Attempts in progress come first: a connected socket is better than another attempt.
            if let Some(socket) = self.poll_in_progress(cx) {
                return Poll::Ready(Ok(socket));
            }
            if !self.is_next_due(cx) {
                return Poll::Pending;
            }
            match self.untried.pop_front() {
                Some(addr) => self.begin(addr),
                // All addresses have failed. `explain` puts their errors in place of this one.
                None if self.in_progress.is_empty() => return Poll::Ready(Err(no_address())),
                None => return Poll::Pending,
            }
        }
    }

    fn poll_in_progress(&mut self, cx: &mut Context<'_>) -> Option<Socket> {
        let mut index = 0;
        while let Some((_, connecting)) = self.in_progress.get_mut(index) {
            match Pin::new(connecting).poll(cx) {
                Poll::Ready(Ok(socket)) => return Some(socket),
                Poll::Ready(Err(error)) => {
                    // Not `swap_remove`: the attempts stay in the order of preference.
                    let (addr, _) = self.in_progress.remove(index);
                    self.fail(addr, error);
                }
                Poll::Pending => index += 1,
            }
        }
        None
    }

    fn is_next_due(&mut self, cx: &mut Context<'_>) -> bool {
        let delay = self.delay.as_mut();
        delay.is_none_or(|delay| Pin::new(delay).poll(cx).is_ready())
    }

    #[track_caller]
    fn begin(&mut self, addr: SocketAddr) {
        match begin(addr, self.options.local_addr) {
            Ok(connecting) => {
                self.in_progress.push((addr, connecting));
                let has_more = !self.untried.is_empty();
                // The last attempt needs no delay: no address is left to start.
                let delay = self.options.attempt_delay;
                self.delay = has_more.then(|| Handle::current().sleep(delay));
            }
            Err(error) => self.fail(addr, error),
        }
    }

    fn fail(&mut self, addr: SocketAddr, error: io::Error) {
        self.failed.push((addr, error));
        self.delay = None; // the next address is tried at once
    }

    /// Makes the error that lists each address that was tried.
    fn explain(mut self, target: &Target, error: io::Error) -> io::Error {
        if let Target::Addr(_) = target {
            // A single address keeps the error of connect(2), with its errno.
            return self.failed.pop().map_or(error, |(_, error)| error);
        }
        // The timeout of the whole connect, rather than one attempt that the kernel gave up.
        let timed_out = error.kind() == io::ErrorKind::TimedOut && !self.in_progress.is_empty();
        let mut failed = self.failed;
        for (addr, _) in self.in_progress {
            failed.push((addr, io::ErrorKind::TimedOut.into()));
        }
        if failed.is_empty() {
            return match (target, self.options.timeout) {
                (Target::Name(host, _), Some(timeout))
                    if error.kind() == io::ErrorKind::TimedOut =>
                {
                    ResolveError::timed_out(host, timeout).into()
                }
                _ => error, // the look-up's
            };
        }
        let error = ConnectError {
            target: match target {
                Target::Addr(addr) => addr.to_string(),
                Target::Addrs(addrs) => format!("any of {} addresses", addrs.len()),
                Target::Name(host, port) => format!("'{host}', port {port}"),
            },
            failed,
        };
        let kind = if timed_out {
            io::ErrorKind::TimedOut
        } else {
            error.kind()
        };
        io::Error::new(kind, error)
    }
}

/// Each address once, with the two families alternating, starting with the family of the first
/// address: RFC 8305, section 4.
pub fn in_turn(addrs: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut unique: Vec<SocketAddr> = Vec::new();
    // Quadratic, which is fine for the few addresses of a name, and allocates no set.
    for addr in addrs {
        if !unique.contains(&addr) {
            unique.push(addr);
        }
    }
    let first_is_v6 = unique.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = unique
        .into_iter()
        .partition(|addr| addr.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut in_turn = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return in_turn;
        }
        in_turn.extend(pair.into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ListenOptions, TcpListener, TcpStream};
    use oneloop_core::{Class, EventLoop, Options, PoolOptions};
    use std::time::Instant;

    const MS: Duration = Duration::from_millis(1);

    /// Runs on virtual time, and returns how much of it passed.
    fn connect_to<const N: usize>(
        options: ConnectOptions,
        addrs: impl FnOnce() -> [SocketAddr; N],
    ) -> (io::Result<TcpStream>, Duration) {
        let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
        let handle = event_loop.handle();
        let addrs = event_loop.enter(addrs);
        let start: Instant = handle.now();
        let connect = TcpStream::connect_with(addrs, options);
        let connected = event_loop.block_on(connect);
        (connected, handle.now() - start)
    }

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    /// An address on which no socket listens.
    fn deserted() -> SocketAddr {
        let listener = std::net::TcpListener::bind(any()).unwrap();
        listener.local_addr().unwrap()
    }

    /// A listener whose backlog is full: a connect to it never completes.
    struct Silent {
        listener: TcpListener,
        _filling: Vec<std::net::TcpStream>,
    }

    impl Silent {
        fn new() -> Self {
            let full = ListenOptions {
                backlog: 0,
                ..ListenOptions::default()
            };
            let listener = TcpListener::bind_with(any(), full).unwrap();
            let addr = listener.local_addr().unwrap();
            Silent {
                _filling: vec![std::net::TcpStream::connect(addr).unwrap()],
                listener,
            }
        }

        fn addr(&self) -> SocketAddr {
            self.listener.local_addr().unwrap()
        }
    }

    fn listening() -> (std::net::TcpListener, SocketAddr) {
        let listener = std::net::TcpListener::bind(any()).unwrap();
        let addr = listener.local_addr().unwrap();
        (listener, addr)
    }

    #[test]
    fn the_two_families_alternate() {
        let addrs = |text: &str| -> Vec<SocketAddr> {
            text.split(' ').map(|addr| addr.parse().unwrap()).collect()
        };
        let found = addrs("[::1]:1 [::2]:1 1.1.1.1:1 [::1]:1 [::3]:1");
        let expected = addrs("[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1");
        assert_eq!(in_turn(found), expected);
    }

    #[test]
    fn an_address_that_does_not_answer_delays_the_next_by_250_ms() {
        let (_listener, addr) = listening();
        let mut silent = None;
        let (connected, took) = connect_to(ConnectOptions::default(), || {
            [silent.insert(Silent::new()).addr(), addr]
        });
        assert_eq!(connected.unwrap().peer_addr().unwrap(), addr);
        assert!(took >= 250 * MS && took < 260 * MS, "{took:?}");
    }

    #[test]
    fn after_an_address_that_refuses_the_next_is_tried_at_once() {
        let (_listener, addr) = listening();
        let (connected, took) =
            connect_to(ConnectOptions::default(), || [deserted(), deserted(), addr]);
        assert_eq!(connected.unwrap().peer_addr().unwrap(), addr);
        assert!(took < 10 * MS, "{took:?}");
    }

    #[test]
    fn after_an_address_that_cannot_be_tried_the_next_is_tried_at_once() {
        let (_listener, addr) = listening();
        let unreachable = "255.255.255.255:1".parse().unwrap(); // the kernel refuses it at once
        let mut silent = None;
        let (connected, took) = connect_to(ConnectOptions::default(), || {
            [silent.insert(Silent::new()).addr(), unreachable, addr]
        });
        assert_eq!(connected.unwrap().peer_addr().unwrap(), addr);
        assert!(took >= 250 * MS && took < 260 * MS, "{took:?}");
    }

    #[test]
    fn the_timeout_error_lists_each_address() {
        let mut silent = None;
        let refusing = deserted();
        let options = ConnectOptions {
            timeout: Some(1000 * MS),
            ..ConnectOptions::default()
        };
        let (connected, took) =
            connect_to(options, || [refusing, silent.insert(Silent::new()).addr()]);
        let error = connected.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let inside = error.get_ref().unwrap().downcast_ref::<ConnectError>();
        let kinds = inside.unwrap().failed().iter();
        let kinds: Vec<_> = kinds.map(|(addr, error)| (*addr, error.kind())).collect();
        assert_eq!(
            kinds,
            [
                (refusing, io::ErrorKind::ConnectionRefused),
                (silent.unwrap().addr(), io::ErrorKind::TimedOut),
            ]
        );
        assert_eq!(took, 1000 * MS);
    }

    #[test]
    fn the_most_specific_failure_is_the_kind_of_the_error() {
        // Not a unicast address: the kernel refuses it at once.
        let unreachable = "255.255.255.255:1".parse().unwrap();
        let refusing = deserted();
        let (connected, _) = connect_to(ConnectOptions::default(), || [unreachable, refusing]);
        let error = connected.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
        let text = error.to_string();
        assert!(text.contains("255.255.255.255:1: "), "{text}");
        assert!(
            text.contains(&format!("{refusing}: Connection refused")),
            "{text}"
        );
    }

    #[test]
    fn a_single_address_returns_the_kernels_own_error() {
        let mut event_loop = EventLoop::new().unwrap();
        let error = event_loop
            .block_on(TcpStream::connect(deserted()))
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(111));
    }

    #[test]
    fn the_local_address_can_be_chosen() {
        let (listener, addr) = listening();
        let options = ConnectOptions {
            local_addr: Some("127.0.0.9:0".parse().unwrap()),
            ..ConnectOptions::default()
        };
        let v6 = "[::1]:1".parse().unwrap(); // unreachable from the local address
        let (connected, _) = connect_to(options, || [v6, addr]);
        let from = connected.unwrap().local_addr().unwrap();
        assert_eq!(from.ip().to_string(), "127.0.0.9");
        assert_eq!(listener.accept().unwrap().1, from);
    }

    #[test]
    fn a_look_up_that_takes_too_long_is_an_error_that_names_the_host() {
        let pool = PoolOptions {
            dns_threads_max: 1,
            ..PoolOptions::default()
        };
        let mut event_loop = EventLoop::with(pool.into()).unwrap();
        let handle = event_loop.handle();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let _busy = handle.offload_to(Class::Dns, move || wait.recv());
        let options = ConnectOptions {
            timeout: Some(MS),
            ..ConnectOptions::default()
        };
        let connect = TcpStream::connect_with(("some.name", 80), options);
        let error = event_loop.block_on(connect).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(
            error.to_string(),
            "cannot look up 'some.name': no answer within 1ms"
        );
        drop(go);
    }

    #[test]
    fn no_address_is_an_error() {
        let (connected, _) = connect_to(ConnectOptions::default(), || []);
        assert_eq!(connected.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
