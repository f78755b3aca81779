//! The life of the server as a process: ready, draining, restarting; for the first loop.

use super::all_loops::Named;
use super::manager::Manager;
use super::passed::{ADMIN, LOCK, Passed};
use super::predecessor::Predecessor;
use super::successor::{Program, Successor};
use crate::admin::Admin;
use crate::failure::in_words;
use crate::server::Server;
use crate::serving_loop::ServingLoop;
use crate::socket_file::SocketFile;
use oneloop::Handle;
use oneloop::core::Signals;
use oneloop::signal::number::SIGUSR2;
use std::collections::BTreeSet;
use std::io;
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info};

/// How often the counts that the service manager shows are brought up to date.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// How long the loops may take to hand out their sockets: one that takes longer is stuck.
const SOCKETS_MAX: Duration = Duration::from_secs(5);
/// How long the service manager may take for a message that must come before another one.
const MESSAGE_MAX: Duration = Duration::from_secs(1);

/// The shortest pause between two signs of life: a watchdog of microseconds would busy the loops.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// How the process was started, found before it opens any file.
#[derive(Debug)]
pub(crate) struct Started {
    program: Program,
    predecessor: Option<Predecessor>,
}

impl Started {
    pub(crate) fn of(passed: &mut Passed) -> Self {
        Started {
            program: Program::of_this_process(),
            predecessor: Predecessor::of(passed),
        }
    }
}

/// What the process has beside the sockets of its loops, and what a successor gets.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) files: Vec<SocketFile>,
    pub(crate) admin: Option<Admin>,
}

impl Held {
    fn files(&self) -> impl Iterator<Item = &SocketFile> {
        self.files
            .iter()
            .chain(self.admin.iter().filter_map(Admin::file))
    }

    fn pass_on(&self) -> io::Result<Vec<Named>> {
        let mut fds = Vec::new();
        for file in self.files() {
            fds.push((LOCK.to_owned(), file.lock_fd()?));
        }
        if let Some(admin) = &self.admin {
            fds.push((ADMIN.to_owned(), admin.socket().try_clone()?));
        }
        Ok(fds)
    }
}

/// The life of the process, once it has a loop.
#[derive(Debug)]
pub(crate) struct ProcessLife {
    manager: Manager,
    program: Program,
    predecessor: Option<Predecessor>,
    /// SIGUSR2.
    restarts: Signals,
}

impl ProcessLife {
    /// Listens to the signal that asks for a restart.
    ///
    /// # Errors
    /// As [`Signals::new`].
    pub(crate) fn begin(handle: &Handle, started: Started) -> io::Result<Self> {
        Ok(ProcessLife {
            manager: Manager::of_environment(handle),
            program: started.program,
            predecessor: started.predecessor,
            restarts: Signals::new(handle, &[SIGUSR2])?,
        })
    }

    /// Waits until a predecessor accepts no more, if there is one; then the files are this server's.
    pub(crate) fn take_over(&mut self, held: &Held) {
        if let Some(predecessor) = self.predecessor.take() {
            predecessor.take_over();
            held.files().for_each(SocketFile::take_over);
        }
    }

    /// Tells the service manager that the server is ready, and from now on that its loops turn.
    pub(crate) fn serve(&self, serving: &Rc<ServingLoop>) {
        match self.manager.start() {
            Ok(Some(sending)) => serving.add_endless(sending),
            Ok(None) => return, // no service manager wants to know
            Err(error) => return error!(%error, "cannot notify the service manager"),
        }
        self.manager.ready(&status(&serving.server));
        let (manager, server) = (self.manager.clone(), Rc::clone(serving));
        serving.spawn_endless(async move {
            loop {
                server.handle.sleep(STATUS_EVERY).await;
                manager.status(&status(&server.server));
            }
        });
        // sd_watchdog_enabled(3): 0 is no watchdog.
        let watchdog = sd_notify::watchdog_enabled().filter(|time| !time.is_zero());
        if let Some(time) = watchdog {
            let (manager, serving_loop) = (self.manager.clone(), Rc::clone(serving));
            serving.spawn_endless(async move {
                watch(&serving_loop, &manager, time).await;
            });
        }
    }

    /// What is to be called when a reload begins, with true, and when it is over.
    pub(crate) fn reloads(&self, server: &Arc<Server>) -> impl Fn(bool) + 'static {
        let (manager, server) = (self.manager.clone(), Arc::clone(server));
        move |begins| {
            if begins {
                manager.reloading("reloading the configuration");
            } else {
                manager.ready(&status(&server));
            }
        }
    }

    /// The server drains, to end.
    pub(crate) fn stopping(&self, server: &Server) {
        self.manager.stopping(&status(server));
    }

    /// Waits until SIGUSR2 has put a new process in this one's place.
    pub(crate) async fn until_replaced(&self, serving: &ServingLoop, held: &Held) {
        while self.restarts.recv().await.is_ok() {
            if process::id() == 1 {
                error!(
                    "cannot restart as PID 1: the container would end with this process, so replace \
                     the container"
                );
                continue;
            }
            self.manager.reloading("restarting");
            match self.replace(serving, held).await {
                Ok(pid) => {
                    info!(
                        pid,
                        "restarted: the new process accepts, this one serves its clients to their end"
                    );
                    return;
                }
                Err(problem) => {
                    error!(problem, "cannot restart: serving on");
                    self.manager.ready(&status(&serving.server));
                }
            }
        }
        std::future::pending().await
    }

    async fn replace(&self, serving: &ServingLoop, held: &Held) -> Result<u32, String> {
        let mut fds = sockets(serving).await?;
        fds.extend(held.pass_on().map_err(|error| in_words(&error))?);
        let successor = Successor::start(&self.program, fds)?;
        let pid = successor.id();
        info!(pid, "restarting: waiting until the new process is ready");
        let patience = serving.server.options.restart_timeout.into();
        if let Err(problem) = successor.ready(&serving.handle, patience).await {
            drop(successor); // ends it
            let _ = sockets(serving).await; // each loop looks at its backlogs again
            return Err(problem);
        }
        // In this order: the manager takes messages only from the process that it takes for the main
        // one, and the new one sends its first message after `go`.
        self.manager.hand_over(pid, MESSAGE_MAX).await;
        held.files().for_each(SocketFile::hand_over);
        held.admin.iter().for_each(Admin::leave); // the new process answers operators already
        successor.go();
        Ok(pid)
    }
}

/// Sends a sign of life whenever all loops have turned, twice within the time of the watchdog. A loop
/// that is stuck does not answer, so none is sent.
async fn watch(serving: &ServingLoop, manager: &Manager, time: Duration) {
    let pause = (time / 2).max(PAUSE_MIN);
    loop {
        serving.server.all_loops.turns.ask().await;
        manager.watchdog();
        serving.handle.sleep(pause).await;
    }
}

/// The sockets of all loops, each once: loops may share one.
async fn sockets(serving: &ServingLoop) -> Result<Vec<Named>, String> {
    let asked = serving.server.all_loops.sockets.ask();
    let answers = serving.handle.timeout(SOCKETS_MAX, asked).await;
    let answers =
        answers.map_err(|_| "a loop is stuck, and does not hand out its sockets".to_owned())?;
    let mut seen = BTreeSet::new();
    let mut sockets = Vec::new();
    for answer in answers {
        for (name, fd) in answer.map_err(|error| in_words(&error))? {
            let found = rustix::fs::fstat(&fd).map_err(|error| in_words(&error.into()))?;
            if seen.insert((found.st_dev, found.st_ino)) {
                sockets.push((name, fd));
            }
        }
    }
    Ok(sockets)
}

/// The line that `systemctl status` shows.
fn status(server: &Server) -> String {
    let (accepted, refused) = server.totals();
    let connections = server.connections();
    format!("{connections} connections open, {accepted} accepted, {refused} refused")
}
