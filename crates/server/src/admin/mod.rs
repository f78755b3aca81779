//! What operators see of the server: `--admin` and `--trace-file`.
//!
//! A thread with a loop of its own answers them, so it answers while a serving loop is stuck. It
//! asks the serving loops, and only when it is asked itself.

mod connections;

use crate::bind::{explain, in_words};
use crate::check::of_admin;
use crate::failure::Failure;
use crate::options::Options;
use crate::serving_loop::ServingLoop;
use crate::socket_file::{ListenError, SocketFile};
use connections::{ServerConnections, Serving};
use oneloop::Handle;
use oneloop::core::Observing;
use oneloop::inspector::{AdminThread, Inspector, Loops, TraceFile};
use oneloop::net::{Addr, ListenOptions, Listener};
use oneloop::sync::Distant;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use tracing::info;

/// What operators see: the loops that have come so far. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    loops: Loops,
    serving: Serving,
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
    _thread: AdminThread,
    /// Removed once the thread has ended.
    _file: Option<SocketFile>,
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
    ) -> Result<Option<Admin>, String> {
        let Some(addr) = &options.process.admin.admin else {
            return Ok(None);
        };
        let (listener, file) = listen(addr, handle)
            .map_err(|refused| options.origins.blame("admin", explain(addr, &refused)))?;
        let cannot = |error| format!("cannot answer operators on {addr}: {}", in_words(&error));
        let mut inspector = Inspector::with(self.loops.clone());
        inspector.set_connections(ServerConnections::new(Arc::clone(&self.serving)));
        let fd = listener.into_fd().map_err(cannot)?;
        let thread = inspector
            .start_with(fd, of_admin(options))
            .map_err(cannot)?;
        let addr = thread.local_addr();
        match addr.inet() {
            Some(addr) => info!("for operators: http://{addr}"),
            None => info!("for operators: {addr}"),
        }
        Ok(Some(Admin {
            _thread: thread,
            _file: file,
        }))
    }
}

fn listen(addr: &Addr, handle: &Handle) -> Result<(Listener, Option<SocketFile>), ListenError> {
    let bind = || handle.enter(|| Listener::bind(addr, ListenOptions::default()));
    match addr {
        Addr::UnixPath(path) => {
            let (listener, file) = SocketFile::listen(path, bind)?;
            fs::set_permissions(path, Permissions::from_mode(0o600))?; // no other user
            Ok((listener, Some(file)))
        }
        _ => Ok((bind()?, None)),
    }
}
