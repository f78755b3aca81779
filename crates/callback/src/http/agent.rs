//! Node's `http.Agent`: the connections of a client, each for one request after another.

use super::client_request::ClientRequest;
use super::options::{AgentOptions, RequestOptions};
use super::outgoing::OutgoingMessage;
use crate::error::Error;
use crate::net::{self, ConnectOptions, Endpoint, Socket, SocketOptions, event as net_event};
use crate::runtime::{OfProgram, current};
use crate::thrown::Thrown;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The kernel probes a connection that an agent keeps after this much silence.
const KEEP_ALIVE_PROBE: Duration = Duration::from_secs(1);

/// A connection is not used again in the last second that its server keeps it.
const KEEP_ALIVE_BUFFER_MS: u64 = 1_000;

/// Keeps the connections of a client: see [`AgentOptions`]. Clones are the same agent. Idle
/// connections do not keep the program alive.
///
/// ```
/// use oneloop::callback::http::{self, Agent, AgentOptions, RequestOptions};
/// use oneloop::callback::run;
///
/// run(|| {
///     let agent = Agent::new(AgentOptions {
///         keep_alive: true,
///         max_sockets: 4,
///         ..AgentOptions::default()
///     });
///     let server = http::create_server(|_, res| {
///         res.end_with("hello");
///     });
///     server.listen_then(("127.0.0.1", 0), move |server| {
///         let mut options = RequestOptions::of_url("http://127.0.0.1/")?;
///         options.port = server.port().expect("it listens");
///         options.agent = Some(agent);
///         http::get_then(options, move |res| {
///             res.resume();
///             server.close();
///         })
///     })
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Agent {
    inner: Rc<AgentInner>,
}

struct AgentInner {
    options: AgentOptions,
    hosts: RefCell<HashMap<String, Host>>,
    sockets_count: Cell<usize>,
}

/// The connections to one host, and the requests that wait for one.
#[derive(Default)]
struct Host {
    busy: Vec<Socket>,
    free: VecDeque<Socket>,
    waiting: VecDeque<ClientRequest>,
}

impl Host {
    fn is_empty(&self) -> bool {
        self.busy.is_empty() && self.free.is_empty() && self.waiting.is_empty()
    }

    fn remove(&mut self, socket: &Socket) {
        self.busy.retain(|other| other != socket);
        self.free.retain(|other| other != socket);
    }
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agent({} connections)", self.inner.sockets_count.get())
    }
}

/// The agents of a program: their connections end with it.
#[derive(Default)]
struct Agents {
    global: RefCell<Option<Agent>>,
    all: RefCell<Vec<Weak<AgentInner>>>,
}

impl OfProgram for Agents {
    fn forget_all(&self) -> bool {
        let (global, all) = (self.global.take(), self.all.take());
        let hosts: Vec<_> = all
            .iter()
            .filter_map(Weak::upgrade)
            .map(|agent| agent.hosts.take())
            .collect();
        global.is_some() || hosts.iter().any(|hosts| !hosts.is_empty())
    }
}

/// The agent of requests that name none: it keeps connections, for 5 s.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
#[doc(alias = "globalAgent")]
pub fn global_agent() -> Agent {
    let agents = current().part::<Agents>();
    let known = agents.global.borrow().clone();
    known.unwrap_or_else(|| {
        let agent = Agent::new(AgentOptions {
            keep_alive: true,
            timeout_ms: 5_000,
            ..AgentOptions::default()
        });
        agents.global.replace(Some(agent.clone()));
        agent
    })
}

impl Agent {
    /// Makes an agent.
    ///
    /// # Panics
    /// Outside of [`run`](crate::run).
    #[track_caller]
    pub fn new(options: AgentOptions) -> Self {
        let inner = Rc::new(AgentInner {
            options,
            hosts: RefCell::default(),
            sockets_count: Cell::new(0),
        });
        let agents = current().part::<Agents>();
        let mut all = agents.all.borrow_mut();
        all.retain(|agent| agent.strong_count() > 0);
        all.push(Rc::downgrade(&inner));
        Agent { inner }
    }

    /// The number of open connections.
    pub fn socket_count(&self) -> usize {
        self.inner.sockets_count.get()
    }

    /// The number of connections that wait for a request.
    pub fn free_socket_count(&self) -> usize {
        self.count(|host| host.free.len())
    }

    /// The number of requests that wait for a connection.
    pub fn waiting_request_count(&self) -> usize {
        self.count(|host| host.waiting.len())
    }

    fn count(&self, of_host: impl Fn(&Host) -> usize) -> usize {
        self.inner.hosts.borrow().values().map(of_host).sum()
    }

    /// Closes all connections, also those of requests that wait for their response.
    pub fn destroy(&self) {
        let all = |host: &Host| {
            host.free
                .iter()
                .chain(&host.busy)
                .cloned()
                .collect::<Vec<_>>()
        };
        let sockets: Vec<_> = self.inner.hosts.borrow().values().flat_map(all).collect();
        for socket in sockets {
            socket.destroy();
        }
    }

    /// True if requests of this agent say that they keep the connection.
    pub(super) fn reuses(&self) -> bool {
        self.inner.options.keep_alive || self.inner.options.max_sockets < usize::MAX
    }

    pub(super) fn timeout_ms(&self) -> u64 {
        self.inner.options.timeout_ms
    }

    fn with_host<T>(&self, name: &str, f: impl FnOnce(&mut Host) -> T) -> T {
        let mut hosts = self.inner.hosts.borrow_mut();
        let host = hosts.entry(name.to_owned()).or_default();
        let result = f(host);
        if host.is_empty() {
            hosts.remove(name);
        }
        result
    }

    /// Gives a request a connection, now or later: Node's `addRequest`.
    pub(super) fn add_request(&self, request: &ClientRequest) -> Result<(), Error> {
        let name = name_of(request.options());
        let options = &self.inner.options;
        let (free, count) = self.with_host(&name, |host| {
            let free = loop {
                let free = match options.uses_oldest {
                    true => host.free.pop_front(),
                    false => host.free.pop_back(),
                };
                match free {
                    Some(socket) if socket.is_destroyed() => {}
                    other => break other,
                }
            };
            host.busy.extend(free.clone());
            (free, host.busy.len() + host.free.len())
        });
        if let Some(socket) = free {
            socket.make_ref();
            request.set_reused();
            self.give(request, &socket);
        } else if count < options.max_sockets
            && self.inner.sockets_count.get() < options.max_total_sockets
        {
            let socket = self.create_socket(request.options(), &name)?;
            self.give(request, &socket);
        } else {
            self.with_host(&name, |host| host.waiting.push_back(request.clone()));
        }
        Ok(())
    }

    /// Node's `setRequestSocket`.
    fn give(&self, request: &ClientRequest, socket: &Socket) {
        request.on_agent_socket(Ok(socket.clone()));
        if let Some(timeout_ms) = request.options().timeout_ms
            && timeout_ms != self.timeout_ms()
        {
            socket.set_timeout(timeout_ms);
        }
    }

    fn create_socket(&self, options: &RequestOptions, name: &str) -> Result<Socket, Error> {
        let endpoint: Endpoint = match &options.socket_path {
            Some(path) => path.clone().into(),
            None => (&*options.host, options.port).into(),
        };
        let own = &self.inner.options;
        let timeout_ms = match own.timeout_ms {
            0 => options.timeout_ms,
            timeout_ms => Some(timeout_ms),
        };
        let connect = ConnectOptions {
            socket: SocketOptions {
                no_delay: true,
                keep_alive: own.keep_alive.then_some(KEEP_ALIVE_PROBE),
                ..SocketOptions::default()
            },
            timeout_ms: timeout_ms.map(|ms| ms as f64),
            local_address: options.local_address,
            family: options.family,
            ..ConnectOptions::default()
        };
        let socket = net::connect_with(endpoint, connect)?;
        self.inner
            .sockets_count
            .set(self.inner.sockets_count.get() + 1);
        self.with_host(name, |host| host.busy.push(socket.clone()));
        self.install_listeners(&socket, name);
        Ok(socket)
    }

    /// Node's `installListeners`. They stay as long as the agent has the socket.
    fn install_listeners(&self, socket: &Socket, name: &str) {
        let (agent, key) = (self.clone(), name.to_owned());
        socket.on(net_event::Close, move |(socket, _)| {
            agent.forget(&socket, &key)
        });
        let (agent, key) = (self.clone(), name.to_owned());
        socket.on(net_event::Timeout, move |socket| {
            if agent.is_free(&socket, &key) {
                socket.destroy();
            }
        });
        // A request listens to the errors of its connection; an idle one has no request.
        socket.on(net_event::Error, |_: (Socket, &Error)| ());
    }

    fn is_free(&self, socket: &Socket, name: &str) -> bool {
        self.with_host(name, |host| host.free.contains(socket))
    }

    /// A connection is closed, or belongs to the program: Node's `removeSocket`.
    pub(super) fn forget(&self, socket: &Socket, name: &str) -> Result<(), Thrown> {
        let was_known = self.with_host(name, |host| {
            let known = host.busy.contains(socket) || host.free.contains(socket);
            host.remove(socket);
            known
        });
        if was_known {
            self.inner
                .sockets_count
                .set(self.inner.sockets_count.get() - 1);
            self.serve_waiting(name);
        }
        Ok(())
    }

    pub(super) fn release(&self, socket: &Socket, options: &RequestOptions) -> Result<(), Thrown> {
        self.forget(socket, &name_of(options))
    }

    /// Makes a connection for a request that waits: of this host, or of another one if all are
    /// limited together.
    fn serve_waiting(&self, name: &str) {
        let waits = |host: &Host| !host.waiting.is_empty();
        let hosts = self.inner.hosts.borrow();
        let of_name = hosts
            .get(name)
            .filter(|host| waits(host))
            .map(|_| name.to_owned());
        let other = || {
            hosts
                .iter()
                .find(|(_, host)| waits(host))
                .map(|(name, _)| name.clone())
        };
        let next = of_name.or_else(other);
        drop(hosts);
        let Some(name) = next else {
            return;
        };
        let Some(request) = self.with_host(&name, |host| host.waiting.pop_front()) else {
            return;
        };
        match self.create_socket(request.options(), &name) {
            Ok(socket) => self.give(&request, &socket),
            Err(error) => request.on_agent_socket(Err(error)),
        }
    }

    /// A request has got its response, and its connection can serve another: Node's 'free'.
    /// `keep_alive_hint` is the header `Keep-Alive` of the response.
    pub(super) fn on_free(
        &self,
        socket: &Socket,
        request: &ClientRequest,
        keep_alive_hint: Option<&str>,
    ) {
        let name = name_of(request.options());
        if !socket.is_writable() {
            socket.destroy();
            return;
        }
        let waiting = self.with_host(&name, |host| host.waiting.pop_front());
        if let Some(waiting) = waiting {
            return self.give(&waiting, socket);
        }
        let options = &self.inner.options;
        let keeps = request.out().should_keep_alive.get() && options.keep_alive;
        let has_room = self.with_host(&name, |host| {
            host.busy.len() + host.free.len() <= options.max_sockets
                && host.free.len() < options.max_free_sockets
        });
        let is_within = self.inner.sockets_count.get() <= options.max_total_sockets;
        if !keeps || !has_room || !is_within || !self.keep_socket_alive(socket, keep_alive_hint) {
            socket.destroy();
            return;
        }
        self.with_host(&name, |host| {
            host.busy.retain(|other| other != socket);
            host.free.push_back(socket.clone());
        });
    }

    /// Node's `keepSocketAlive`. Returns false if the server closes the connection too soon.
    fn keep_socket_alive(&self, socket: &Socket, hint: Option<&str>) -> bool {
        socket.set_keep_alive(Some(KEEP_ALIVE_PROBE));
        socket.unref();
        let mut timeout_ms = self.timeout_ms();
        let digits = hint.and_then(|hint| hint.strip_prefix("timeout="));
        let digits = digits.map(|text| {
            let end = text
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len());
            &text[..end]
        });
        if let Some(seconds) = digits.and_then(|digits| digits.parse::<u64>().ok()) {
            let hinted_ms = seconds
                .saturating_mul(1_000)
                .saturating_sub(KEEP_ALIVE_BUFFER_MS);
            if hinted_ms == 0 {
                return false;
            }
            timeout_ms = timeout_ms.min(hinted_ms);
        }
        socket.set_timeout(timeout_ms);
        true
    }
}

/// Where the connections of a request lead: Node's `getName`.
fn name_of(options: &RequestOptions) -> String {
    let mut name = format!("{}:{}:", options.host, options.port);
    if let Some(local) = options.local_address {
        name.push_str(&local.to_string());
    }
    if let Some(family) = options.family {
        name.push_str(&format!(":{family}"));
    }
    if let Some(path) = &options.socket_path {
        name.push_str(&format!(":{}", path.display()));
    }
    name
}
