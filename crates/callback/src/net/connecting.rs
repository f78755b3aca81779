//! Connecting a socket: at once to an address, or by trying the addresses of a name in turn.

use super::event;
use super::handle::StreamHandle;
use super::options::{ConnectOptions, Endpoint};
use super::socket::Socket;
use crate::error::Error;
use crate::stream::destroy::Stream;
use crate::stream::flags::*;
use crate::stream::readable::ReadableStream;
use crate::thrown::{IntoResult, Thrown, or_rethrow};
use crate::timers::{Timeout, clear_timeout, set_timeout};
use nix::errno::Errno;
use oneloop_net::{Addr, Connecting, Unconnected, in_turn, literal_addr, resolve};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;

/// The state of a connect that is under way.
///
/// ```text
/// connect ─┬─ an address ─────────────────────────────────▶ attempt ──▶ connected
///          └─ a name ──▶ 'lookup' of each address ──▶ attempt_next ──▶ attempt ──▶ connected
///                                                        ▲              │
///                      after the last one: 'error' ◀─────┴─ it failed, or timed out
/// ```
pub(super) struct Attempts {
    options: ConnectOptions,
    /// The address of the current attempt.
    current: Option<Addr>,
    next: std::vec::IntoIter<SocketAddr>,
    is_one_of_several: bool,
    errors: Vec<Error>,
    /// The timer of the current attempt. When it fires, the next address is tried.
    timeout: Option<Timeout>,
}

impl Socket {
    /// Connects the socket. A listener of 'close' can connect it again; later than that, only
    /// [`Socket::keep_listeners`] makes it possible.
    ///
    /// # Errors
    /// `ERR_SOCKET_BAD_PORT`, `ERR_INVALID_ADDRESS`; `ERR_LISTENERS_DROPPED` after 'close'.
    pub fn connect(&self, endpoint: impl Into<Endpoint>) -> Result<&Self, Error> {
        self.connect_with(endpoint, ConnectOptions::default())
    }

    /// Like [`Socket::connect`], and calls a function at 'connect': Node's
    /// `socket.connect(port, host, callback)`.
    ///
    /// # Errors
    /// As [`Socket::connect`].
    pub fn connect_then<O: IntoResult>(
        &self,
        endpoint: impl Into<Endpoint>,
        connected: impl FnOnce(Socket) -> O + 'static,
    ) -> Result<&Self, Error> {
        self.connect_with_then(endpoint, ConnectOptions::default(), connected)
    }

    /// Connects with options, and calls a function at 'connect'.
    ///
    /// # Errors
    /// As [`Socket::connect`].
    ///
    /// # Panics
    /// As [`Socket::connect_with`].
    #[track_caller]
    pub fn connect_with_then<O: IntoResult>(
        &self,
        endpoint: impl Into<Endpoint>,
        options: ConnectOptions,
        connected: impl FnOnce(Socket) -> O + 'static,
    ) -> Result<&Self, Error> {
        self.connect_with(endpoint, options)?;
        // 'connect' never comes on this stack.
        self.once(event::Connect, connected);
        Ok(self)
    }

    /// Connects with options. Those for the socket itself are ignored, because it exists already.
    ///
    /// # Errors
    /// As [`Socket::connect`].
    ///
    /// # Panics
    /// For a Unix socket, when a listener of 'connectionAttempt' throws, with what it throws.
    pub fn connect_with(
        &self,
        endpoint: impl Into<Endpoint>,
        options: ConnectOptions,
    ) -> Result<&Self, Error> {
        if self.inner.events.is_ended() {
            return Err(Error::listeners_dropped("socket", "connect"));
        }
        match endpoint.into() {
            Endpoint::Malformed(problem) => return Err(Endpoint::refused(problem)),
            Endpoint::Path(path) => {
                self.begin_connect(options);
                or_rethrow(self.attempt(Endpoint::unix_addr(&path)));
            }
            Endpoint::Addr(addr) => {
                self.begin_connect(options);
                self.attempt_soon(addr);
            }
            Endpoint::Port { host, port } => {
                let port = Endpoint::checked_port(port, "Port")?;
                self.begin_connect(options);
                let host = host.unwrap_or_else(|| "localhost".to_owned());
                match literal_addr(&host, port) {
                    Ok(Some(addr)) => self.attempt_soon(addr),
                    _ => self.look_up(host, port),
                }
            }
        }
        Ok(self)
    }

    fn begin_connect(&self, options: ConnectOptions) {
        let flags = &self.inner.flags;
        // net.js `connect` resets a destroyed socket, which then connects as a new one.
        if flags.has(DESTROYED) {
            let gone = self.take_handle();
            drop(gone);
        }
        if !self.has_handle() {
            self.forget_past();
            self.set_handle(StreamHandle::new(self));
        }
        self.postpone_timeout();
        flags.set(CONNECTING);
        let attempts = Attempts {
            options,
            current: None,
            next: Vec::new().into_iter(),
            is_one_of_several: false,
            errors: Vec::new(),
            timeout: None,
        };
        let before = self.with_rare(|rare| rare.attempts.replace(attempts));
        drop(before); // user code may run: its options hold a signal's listeners
    }

    fn attempt_soon(&self, addr: SocketAddr) {
        // net.js `lookupAndConnect` defers an address to a tick: the caller adds its listeners
        // first.
        self.next_call(move |socket| {
            if socket.is_connecting() {
                socket.attempt(addr.into())?;
            }
            Ok(())
        });
    }

    /// Looks the name up on another thread; the poll reports the result.
    fn look_up(&self, host: String, port: u16) {
        let socket = self.clone();
        self.runtime().handle.spawn(async move {
            let found = resolve(&host, port).await;
            socket
                .runtime()
                .make_callback(|| socket.on_looked_up(&host, found));
        });
    }

    fn on_looked_up(&self, host: &str, found: io::Result<Vec<SocketAddr>>) -> Result<(), Thrown> {
        if !self.is_connecting() {
            return Ok(());
        }
        let found = found.and_then(|addrs| self.usable(addrs));
        let addrs = match found {
            Ok(addrs) => addrs,
            Err(error) => {
                let error = Error::not_found(host, error);
                self.emit(event::Lookup, (self.clone(), Err(error.clone()), host))?;
                // net.js `connectErrorNT`: 'error' comes a tick after 'lookup'.
                self.next_call(move |socket| {
                    socket.destroy_with(error);
                    Ok(())
                });
                return Ok(());
            }
        };
        for addr in &addrs {
            self.emit(event::Lookup, (self.clone(), Ok((*addr).into()), host))?;
            // A listener of 'lookup' may have destroyed the socket.
            if !self.is_connecting() {
                return Ok(());
            }
        }
        self.postpone_timeout();
        let addrs = in_turn(addrs);
        if let [addr] = addrs[..] {
            return self.attempt(addr.into());
        }
        self.with_attempts(|attempts| {
            attempts.is_one_of_several = true;
            attempts.next = addrs.into_iter();
        });
        self.attempt_next()
    }

    /// Returns the addresses of the requested family; only the first one, unless all may be tried.
    fn usable(&self, mut addrs: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let (family, is_auto) = self
            .with_attempts(|attempts| {
                let is_bound = attempts.options.local_address.is_some();
                let is_auto = attempts.options.auto_select_family && !is_bound;
                (attempts.options.family, is_auto)
            })
            .unwrap_or((None, false));
        match family {
            Some(4) => addrs.retain(SocketAddr::is_ipv4),
            Some(6) => addrs.retain(SocketAddr::is_ipv6),
            _ => {}
        }
        // A bound local address has one family, so net.js tries one address only.
        if !is_auto || matches!(family, Some(4 | 6)) {
            addrs.truncate(1);
        }
        if addrs.is_empty() {
            return Err(io::Error::other("the host has no such address"));
        }
        Ok(addrs)
    }

    fn with_attempts<T>(&self, f: impl FnOnce(&mut Attempts) -> T) -> Option<T> {
        self.rare_mut(|rare| rare.attempts.as_mut().map(f))
    }

    /// Tries the next of several addresses. When all have failed, their errors are the socket's
    /// error.
    fn attempt_next(&self) -> Result<(), Thrown> {
        self.stop_attempt_timeout();
        if self.inner.flags.has(ABORTED) {
            return Ok(());
        }
        let next = self.with_attempts(|attempts| {
            let is_first = attempts.current.is_none();
            Some((attempts.next.next()?, is_first, attempts.next.len() == 0))
        });
        let Some((addr, is_first, is_last)) = next.flatten() else {
            let errors = self.with_attempts(|attempts| std::mem::take(&mut attempts.errors));
            self.destroy_with(match errors.filter(|errors| !errors.is_empty()) {
                Some(errors) => Error::aggregate(errors),
                None => Error::new("ERR_SOCKET_CONNECTION_TIMEOUT", "Socket connection timeout"),
            });
            return Ok(());
        };
        // net.js uses a new handle for each address. The old one closes without 'close'.
        if !is_first && let Some(before) = self.set_handle(StreamHandle::new(self)) {
            before.close(self, None);
        }
        self.attempt(addr.into())?;
        if !is_last && self.is_connecting() {
            self.start_attempt_timeout();
        }
        Ok(())
    }

    fn start_attempt_timeout(&self) {
        let Some(ms) =
            self.with_attempts(|attempts| attempts.options.auto_select_family_attempt_timeout_ms)
        else {
            return;
        };
        let socket = self.clone();
        // net.js allows no less than 10 ms for an attempt.
        let timeout = set_timeout(move || socket.on_attempt_timed_out(), ms.max(10.0));
        self.with_attempts(|attempts| attempts.timeout = Some(timeout));
    }

    fn stop_attempt_timeout(&self) {
        let timeout = self.with_attempts(|attempts| attempts.timeout.take());
        if let Some(timeout) = timeout.flatten() {
            clear_timeout(timeout);
        }
    }

    fn on_attempt_timed_out(&self) -> Result<(), Thrown> {
        let Some(addr) = self.current_attempt() else {
            return Ok(());
        };
        self.emit(event::ConnectionAttemptTimeout, (self.clone(), &addr))?;
        let timed_out = io::Error::from_raw_os_error(Errno::ETIMEDOUT as i32);
        let error = Error::system_at("connect", timed_out, &addr, None);
        self.with_attempts(|attempts| attempts.errors.push(error));
        if self.is_connecting() {
            self.attempt_next()?;
        }
        Ok(())
    }

    /// The address of the current attempt.
    pub(super) fn current_attempt(&self) -> Option<Addr> {
        self.rare(|rare| rare.attempts.as_ref()?.current.clone())
    }

    /// Tries an address: Node's `internalConnect`.
    fn attempt(&self, addr: Addr) -> Result<(), Thrown> {
        let Some(handle) = self.handle() else {
            return Ok(());
        };
        self.with_attempts(|attempts| attempts.current = Some(addr.clone()));
        // net.js `internalConnect` binds before it emits 'connectionAttempt'.
        let unconnected = match self.bind_locally(&addr) {
            Ok(unconnected) => unconnected,
            Err(error) => return self.give_attempt_up(error),
        };
        self.emit(event::ConnectionAttempt, (self.clone(), &addr))?;
        let begun = handle
            .check_unconnected()
            .and_then(|()| self.begin(unconnected, &addr));
        match begun {
            Err(error) if is_known_at_once(&addr, &error) => {
                let local = unspecified(&addr);
                let error = Error::system_at("connect", error, &addr, Some(&local));
                if self.is_one_of_several() {
                    let args = (self.clone(), &addr, &error);
                    self.emit(event::ConnectionAttemptFailed, args)?;
                }
                self.give_attempt_up(error)
            }
            connecting => {
                handle.connect(self, connecting);
                Ok(())
            }
        }
    }

    fn begin(&self, unconnected: Option<Unconnected>, addr: &Addr) -> io::Result<Connecting> {
        let unconnected = match unconnected {
            Some(unconnected) => unconnected,
            None => Unconnected::to_reach(addr)?,
        };
        self.runtime().handle.enter(|| unconnected.connect(addr))
    }

    /// Binds this end to the requested address, if there is one.
    fn bind_locally(&self, addr: &Addr) -> Result<Option<Unconnected>, Error> {
        let local = self.with_attempts(|attempts| {
            let options = &attempts.options;
            (options.local_address, options.local_port)
        });
        let (Some(remote), Some((ip, port))) = (addr.inet(), local) else {
            return Ok(None);
        };
        if ip.is_none() && port == 0 {
            return Ok(None);
        }
        let ip = ip.unwrap_or(unspecified_ip(&remote));
        let local = with_scope_of(&remote, ip, port).into();
        let bound = Unconnected::to_reach(addr).and_then(|mut unconnected| {
            unconnected.bind(&local)?;
            Ok(unconnected)
        });
        bound
            .map(Some)
            .map_err(|error| Error::system_at("bind", error, &local, None))
    }

    fn is_one_of_several(&self) -> bool {
        self.with_attempts(|attempts| attempts.is_one_of_several)
            .unwrap_or(false)
    }

    /// Ends a failed attempt: tries the next address, or destroys the socket.
    fn give_attempt_up(&self, error: Error) -> Result<(), Thrown> {
        if !self.is_one_of_several() {
            self.destroy_with(error);
            return Ok(());
        }
        // The error of one address is only part of the final `AggregateError`.
        self.with_attempts(|attempts| attempts.errors.push(error));
        if self.is_connecting() {
            self.attempt_next()?;
        }
        Ok(())
    }

    /// Called by the handle: Node's `afterConnect` and `afterConnectMultiple`.
    pub(super) fn on_connected(
        &self,
        handle: &StreamHandle,
        result: io::Result<()>,
    ) -> Result<(), Thrown> {
        let is_current = |current: &Rc<StreamHandle>| std::ptr::eq(&**current, handle);
        // An attempt that has timed out may still report: its handle was replaced.
        if self.is_destroyed() || !self.handle().as_ref().is_some_and(is_current) {
            return Ok(());
        }
        self.stop_attempt_timeout();
        let Err(error) = result else {
            return self.finish_connect();
        };
        let Some(addr) = self.current_attempt() else {
            return Ok(());
        };
        if !self.is_one_of_several() {
            self.inner.flags.clear(CONNECTING);
        }
        let error = Error::system_at("connect", error, &addr, None);
        let args = (self.clone(), &addr, &error);
        self.emit(event::ConnectionAttemptFailed, args)?;
        self.give_attempt_up(error)
    }

    fn finish_connect(&self) -> Result<(), Thrown> {
        self.inner.flags.clear(CONNECTING);
        let attempts = self.with_rare(|rare| rare.attempts.take());
        drop(attempts);
        self.postpone_timeout();
        self.apply_options();
        self.emit(event::Connect, self.clone())?;
        self.emit(event::Ready, self.clone())?;
        // net.js `afterConnect`: `read(0)` starts the handle, which finds an immediate end.
        if !self.is_paused() {
            self.read_nothing()?;
        }
        Ok(())
    }
}

/// True if libuv returns this error from the call itself. It delays the refusal of a TCP connection
/// (`uv__tcp_connect` sets `delayed_error`) and any error of a Unix one to the next turn, but not
/// EALREADY and EISCONN.
fn is_known_at_once(addr: &Addr, error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    let is_connected = matches!(errno, Some(Errno::EALREADY | Errno::EISCONN));
    is_connected || (addr.inet().is_some() && errno != Some(Errno::ECONNREFUSED))
}

/// The address for this end. A link-local address needs the interface that leads to the peer.
fn with_scope_of(remote: &SocketAddr, ip: IpAddr, port: u16) -> SocketAddr {
    match (ip, remote) {
        (IpAddr::V6(ip), SocketAddr::V6(remote)) if ip.is_unicast_link_local() => {
            SocketAddrV6::new(ip, port, 0, remote.scope_id()).into()
        }
        _ => SocketAddr::new(ip, port),
    }
}

fn unspecified_ip(addr: &SocketAddr) -> IpAddr {
    match addr {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn unspecified(addr: &Addr) -> Addr {
    match addr.inet() {
        Some(addr) => SocketAddr::new(unspecified_ip(&addr), 0).into(),
        None => Addr::UnixUnnamed,
    }
}
