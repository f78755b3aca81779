//! What operators see of the server: `--admin`, with metrics and health, and `--trace-file`.
//!
//! A thread with a loop of its own answers them, so it answers while a serving loop is stuck. It
//! asks the serving loops, and only when it is asked itself.

mod connections;
mod family;
mod health;
mod metrics;
mod os;
mod probe;
mod routes;
mod sample;

use crate::bind::explain;
use crate::check::of_admin;
use crate::failure::{Failure, in_words};
use crate::options::Options;
use crate::permissions::Permissions;
use crate::server::Server;
use crate::serving_loop::ServingLoop;
use crate::socket_file::{ListenError, SocketFile};
use crate::systemd::passed::Passed;
use connections::{ServerConnections, Serving};
use oneloop::Handle;
use oneloop::core::Observing;
use oneloop::inspector::{AdminThread, Inspector, Loops, TraceFile};
use oneloop::net::{Addr, ListenOptions, Listener};
use oneloop::sync::Distant;
use probe::Probes;
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::{Arc, OnceLock, PoisonError};
use tracing::info;

/// What operators see: the loops that have come so far. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    loops: Loops,
    serving: Serving,
    /// Asks the loops for metrics.
    probes: Arc<Probes>,
    /// There once the first loop has come.
    server: Arc<OnceLock<Arc<Server>>>,
    trace: Option<Arc<TraceFile>>,
}

/// A loop that operators see, until this is dropped.
#[derive(Debug)]
pub(crate) struct Seen {
    _tracing: Option<Observing>,
}

/// What answers operators, until this is dropped.
#[derive(Debug)]
pub(crate) struct Admin {
    #[cfg_attr(
        not(feature = "systemd"),
        allow(dead_code, reason = "its drop ends it")
    )]
    thread: RefCell<Option<AdminThread>>,
    /// Removed once the thread has ended.
    #[cfg_attr(
        not(feature = "systemd"),
        allow(dead_code, reason = "it is held for its drop")
    )]
    file: Option<SocketFile>,
    /// A duplicate of the thread's socket, for a successor.
    #[cfg_attr(
        not(feature = "systemd"),
        allow(dead_code, reason = "there is no successor")
    )]
    socket: OwnedFd,
}

impl Admin {
    /// The file of its Unix socket.
    #[cfg(feature = "systemd")]
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }

    #[cfg(feature = "systemd")]
    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Ends: a successor answers.
    #[cfg(feature = "systemd")]
    pub(crate) fn leave(&self) {
        drop(self.thread.take());
    }
}

impl Window {
    /// # Errors
    /// The file of `--trace-file` cannot be created.
    pub(crate) fn open(options: &Options) -> Result<Self, Failure> {
        let trace = options.process.admin.trace_file.as_ref().map(|path| {
            let created = TraceFile::create(path);
            created.map(Arc::new).map_err(|error| {
                let (path, why) = (path.display(), in_words(&error));
                let problem = format!("cannot write the trace to '{path}': {why}");
                Failure::usage(options.origins.blame("trace_file", problem))
            })
        });
        Ok(Window {
            trace: trace.transpose()?,
            ..Window::default()
        })
    }

    /// Shows a loop to operators; it is called on the loop's thread.
    pub(crate) fn show(&self, number: usize, serving: &Rc<ServingLoop>) -> Seen {
        let (name, handle) = (format!("loop {number}"), &serving.handle);
        self.loops.attach(&name, handle);
        self.probes.add(number, handle);
        self.server.get_or_init(|| Arc::clone(&serving.server));
        let tracing = self.trace.as_ref();
        let tracing = tracing.map(|trace| trace.trace(&name, handle));
        let distant = Distant::new(handle, Rc::downgrade(serving));
        let mut all = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((name, distant));
        Seen { _tracing: tracing }
    }

    /// Starts to answer operators, if that is asked for.
    ///
    /// # Errors
    /// A sentence that says why it cannot listen.
    pub(crate) fn answer(
        &self,
        options: &Options,
        handle: &Handle,
        passed: &mut Passed,
    ) -> Result<Option<Admin>, String> {
        let Some(addr) = &options.process.admin.admin else {
            return Ok(None);
        };
        let (fd, file) = listen(addr, handle, options, passed)
            .map_err(|refused| options.origins.blame("admin", explain(addr, &refused)))?;
        let cannot = |error| format!("cannot answer operators on {addr}: {}", in_words(&error));
        let mut inspector = Inspector::with(self.loops.clone());
        inspector.set_connections(ServerConnections::new(Arc::clone(&self.serving)));
        routes::add(&mut inspector, &self.server, &self.probes);
        let socket = fd.try_clone().map_err(cannot)?;
        let thread = inspector
            .start_with(fd, of_admin(options))
            .map_err(cannot)?;
        let addr = thread.local_addr();
        match addr.inet() {
            Some(addr) => info!("for operators: http://{addr}"),
            None => info!("for operators: {addr}"),
        }
        Ok(Some(Admin {
            thread: RefCell::new(Some(thread)),
            file,
            socket,
        }))
    }
}

fn listen(
    addr: &Addr,
    handle: &Handle,
    options: &Options,
    passed: &mut Passed,
) -> Result<(OwnedFd, Option<SocketFile>), ListenError> {
    if let Some(socket) = passed.take_at(addr).pop() {
        Listener::prepare_fd(&socket.fd, ListenOptions::default())?;
        let file = match addr {
            Addr::UnixPath(path) => SocketFile::inherit(path, passed),
            _ => None,
        };
        return Ok((socket.fd, file));
    }
    let bind = || handle.enter(|| Listener::bind(addr, ListenOptions::default()));
    match addr {
        Addr::UnixPath(path) => {
            let permissions = Permissions::private(options).map_err(io::Error::other)?;
            let (listener, file) = SocketFile::listen(path, permissions, bind)?;
            Ok((listener.into_fd()?, Some(file)))
        }
        _ => Ok((bind()?.into_fd()?, None)),
    }
}
