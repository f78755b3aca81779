//! The thread that answers: a loop of its own, so that it answers when another loop is stuck.

use crate::access::Access;
use crate::answer::Answer;
use crate::asked::Asked;
use crate::connection::{Serving, serve};
use crate::connections::Connections;
use crate::options::AdminOptions;
use crate::page;
use crate::probe::Loops;
use crate::routes::{ProgramRoutes, Routes, Shows};
use crate::watch::Watch;
use oneloop_aio::{TaskTracker, timeout};
use oneloop_core::EventLoop;
use oneloop_net::{Addr, Credentials, ListenOptions, Listener, Socket, peer_credentials};
use oneloop_sync::{Distant, Semaphore, ShutdownToken};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long answers may take once the thread is to end.
const END_MAX: Duration = Duration::from_secs(1);

/// A window into the loops of this program, over HTTP on a thread of its own.
///
/// ```
/// use oneloop::inspector::{AdminOptions, Answer, Inspector};
/// let mut inspector = Inspector::new();
/// inspector.add_route("/healthz", |_| async { Answer::text("ok\n") });
/// let admin = inspector.start(&"127.0.0.1:0".parse().unwrap(), AdminOptions::default())?;
/// println!("http://{}", admin.local_addr());
/// drop(admin); // ends the thread
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Default)]
pub struct Inspector {
    routes: ProgramRoutes,
    loops: Loops,
    connections: Option<Box<dyn Connections>>,
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("routes", &self.routes)
            .field("loops", &self.loops)
            .finish_non_exhaustive()
    }
}

impl Inspector {
    /// An inspector without routes of the program, and without loops.
    pub fn new() -> Self {
        Inspector::default()
    }

    /// An inspector of loops that were attached before, without routes of the program.
    pub fn with(loops: Loops) -> Self {
        Inspector {
            loops,
            ..Inspector::default()
        }
    }

    /// The loops that it shows, to attach some, also later and from their threads.
    pub fn loops(&self) -> Loops {
        self.loops.clone()
    }

    /// Sets what lists the program's connections for the page, and pauses and closes them.
    pub fn set_connections(&mut self, connections: impl Connections + 'static) {
        self.connections = Some(Box::new(connections));
    }

    /// Adds a route that shows something: `GET` and `HEAD` of that path. It takes the place of one
    /// with the same path. `handler` is called on the admin thread, on its loop, and must not
    /// block: it asks a loop of another thread by
    /// [`Remote`](oneloop_core::Remote). If it panics, the request gets status
    /// 500.
    pub fn add_route<F>(&mut self, path: &str, handler: impl Fn(Asked) -> F + Send + 'static)
    where
        F: Future<Output = Answer> + 'static,
    {
        self.routes.add(path, Shows::Reads, handler);
    }

    /// Adds a route that changes something: `POST` of that path. Otherwise as
    /// [`Inspector::add_route`].
    pub fn add_action<F>(&mut self, path: &str, handler: impl Fn(Asked) -> F + Send + 'static)
    where
        F: Future<Output = Answer> + 'static,
    {
        self.routes.add(path, Shows::Changes, handler);
    }

    /// Listens on that address, and starts the thread.
    ///
    /// # Errors
    /// Those of [`AdminOptions::check`] and `bind(2)`, and `EAGAIN` if no thread can be started.
    pub fn start(self, addr: &Addr, options: AdminOptions) -> io::Result<AdminThread> {
        options.check(addr)?; // before the port is open
        let addr = addr.clone();
        self.run(options, move || {
            Listener::bind(&addr, ListenOptions::default())
        })
    }

    /// Starts the thread with a socket that listens already, of any family. It must be
    /// non-blocking.
    ///
    /// ```
    /// use oneloop::inspector::{AdminOptions, Inspector};
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// listener.set_nonblocking(true)?;
    /// let admin = Inspector::new().start_with(listener, AdminOptions::default())?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Inspector::start`].
    pub fn start_with(
        self,
        listener: impl Into<OwnedFd>,
        options: AdminOptions,
    ) -> io::Result<AdminThread> {
        let fd = listener.into();
        self.run(options, move || Listener::from_fd(fd, true))
    }

    fn run(
        self,
        options: AdminOptions,
        listen: impl FnOnce() -> io::Result<Listener> + Send + 'static,
    ) -> io::Result<AdminThread> {
        let (report, started) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("admin".to_owned());
        let thread = thread.spawn(move || match Begun::begin(self, options, listen) {
            Err(error) => drop(report.send(Err(error))),
            Ok(begun) => {
                let shutdown = begun.event_loop.enter(|| begun.shared.shutdown.remote());
                let _ = report.send(Ok((begun.addr.clone(), shutdown)));
                begun.run();
            }
        })?;
        let gone = |_| io::Error::other("the admin thread has panicked");
        let (addr, shutdown) = started.recv().map_err(gone)??;
        Ok(AdminThread {
            addr,
            shutdown,
            thread: Some(thread),
        })
    }
}

/// What the thread has once it can answer.
struct Begun {
    event_loop: EventLoop,
    listener: Listener,
    addr: Addr,
    shared: Rc<Serving>,
}

impl Begun {
    fn begin(
        inspector: Inspector,
        options: AdminOptions,
        listen: impl FnOnce() -> io::Result<Listener>,
    ) -> io::Result<Self> {
        let event_loop = EventLoop::new()?;
        let listener = event_loop.enter(listen)?;
        let addr = listener.local_addr()?;
        options.check(&addr)?;
        let shutdown = ShutdownToken::new();
        let Inspector {
            routes,
            loops,
            connections,
        } = inspector;
        let watchers_max = options.watchers_max.min(options.connections_max / 2).max(1);
        let watch = Watch::new(loops.clone(), connections, watchers_max, shutdown.clone());
        let mut routes = Routes::from(routes);
        page::add(&mut routes, &loops, &watch);
        let shared = Rc::new(Serving {
            routes: Rc::new(routes),
            access: Access::new(options.token.clone(), &addr),
            options,
            shutdown,
        });
        Ok(Begun {
            event_loop,
            listener,
            addr,
            shared,
        })
    }

    /// Serves until the end is requested, and then gives answers a moment.
    fn run(mut self) {
        let shutdown = self.shared.shutdown.clone();
        let connections = TaskTracker::new();
        let accepting = accept(self.listener, self.shared, connections.clone());
        self.event_loop.block_on(async {
            shutdown.run(accepting).await;
            connections.close();
            let _ = timeout(END_MAX, connections.wait()).await;
        });
    }
}

/// Accepts connections for as long as the listener can.
async fn accept(listener: Listener, shared: Rc<Serving>, connections: TaskTracker) {
    let permits = Semaphore::new(shared.options.connections_max.max(1));
    let is_abstract = matches!(listener.local_addr(), Ok(Addr::UnixAbstract(_)));
    loop {
        let permit = permits.acquire().await;
        let Ok((socket, _peer)) = poll_fn(|cx| listener.poll_accept(cx)).await else {
            return std::future::pending().await; // the listener is lost; the program is not
        };
        if !is_own_user(&socket, is_abstract) {
            continue;
        }
        let shared = Rc::clone(&shared);
        connections.spawn(async move {
            serve(socket, shared).await;
            drop(permit);
        });
    }
}

/// True unless a process of another user has connected to an abstract socket, which has no file
/// whose mode could keep that out. Root is let in.
fn is_own_user(socket: &Socket, is_abstract: bool) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_own = |peer: Credentials| peer.uid == own || peer.uid == 0;
    !is_abstract || peer_credentials(socket).is_ok_and(is_own)
}

/// The thread of an [`Inspector`]. Its drop ends the thread: pages that watch end, and answers get a
/// moment to be sent.
#[derive(Debug)]
#[must_use = "the thread ends when this is dropped"]
pub struct AdminThread {
    addr: Addr,
    shutdown: Distant<ShutdownToken>,
    thread: Option<thread::JoinHandle<()>>,
}

impl AdminThread {
    /// The address that it listens on, with the port that the kernel chose.
    pub fn local_addr(&self) -> &Addr {
        &self.addr
    }
}

impl Drop for AdminThread {
    fn drop(&mut self) {
        let _ = self.shutdown.run(ShutdownToken::trigger); // a loop that is gone has ended
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // its panic has been reported
        }
    }
}
