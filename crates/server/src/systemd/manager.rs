//! What the server tells its service manager: `sd_notify(3)`.
//!
//! The crate `sd-notify` has the messages; they are sent on the loop, because its own call blocks
//! while the manager's queue is full, and the loop must not.

use oneloop::Handle;
use oneloop::aio::UnixDatagram;
use oneloop::core::CancelHandle;
use oneloop::net::Addr;
use oneloop::sync::Notify;
use sd_notify::NotifyState;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tracing::{debug, warn};

/// How many messages may wait for a manager that reads none.
const MESSAGES_MAX: usize = 64;

/// The connection to the service manager, for the first loop. Without a manager, it does nothing.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    outbox: Option<Rc<Outbox>>,
}

#[derive(Debug)]
struct Outbox {
    handle: Handle,
    to: Addr,
    waiting: RefCell<VecDeque<String>>,
    /// A message was added, or the last one was sent.
    changed: Notify,
    /// Another process is the main one now, and this one has nothing more to say.
    is_silent: Cell<bool>,
    last_status: RefCell<String>,
}

impl Manager {
    /// The manager that `NOTIFY_SOCKET` names.
    pub(crate) fn of_environment(handle: &Handle) -> Self {
        let name = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let outbox = name.and_then(|name| match addr_of(&name) {
            Some(to) => Some(Rc::new(Outbox::new(handle, to))),
            None => {
                let name = name.display();
                warn!(%name, "NOTIFY_SOCKET names no Unix socket: not notifying the service manager");
                None
            }
        });
        Manager { outbox }
    }

    /// Starts the task that sends the messages, if there is a manager.
    ///
    /// # Errors
    /// Those of `socket(2)`.
    pub(crate) fn start(&self) -> io::Result<Option<CancelHandle>> {
        let Some(outbox) = self.outbox.clone() else {
            return Ok(None);
        };
        let socket = outbox.handle.enter(UnixDatagram::unbound)?;
        let handle = outbox.handle.clone();
        let sending = handle.spawn(async move { outbox.send_all(&socket).await });
        Ok(Some(sending.cancel_handle()))
    }

    /// The server is ready: after its start, and after a reload.
    pub(crate) fn ready(&self, status: &str) {
        self.notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The server begins to reload its configuration, or to restart. [`Manager::ready`] ends it.
    pub(crate) fn reloading(&self, status: &str) {
        // systemd.service(5): Type=notify-reload needs the time.
        let Ok(now) = NotifyState::monotonic_usec_now() else {
            return;
        };
        self.notify(&[NotifyState::Reloading, now, NotifyState::Status(status)]);
    }

    /// The server begins to drain, before it ends.
    pub(crate) fn stopping(&self, status: &str) {
        self.notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// Sets the line that `systemctl status` shows, if it has changed.
    pub(crate) fn status(&self, status: &str) {
        let is_new = |outbox: &Rc<Outbox>| *outbox.last_status.borrow() != status;
        if self.outbox.as_ref().is_some_and(is_new) {
            self.notify(&[NotifyState::Status(status)]);
        }
    }

    /// Every loop turns.
    pub(crate) fn watchdog(&self) {
        self.notify(&[NotifyState::Watchdog]);
    }

    /// Another process takes over as the main process of the service: the last message of this one.
    /// Returns once it is sent, so that it comes before any message of the other process.
    pub(crate) async fn hand_over(&self, pid: u32, patience: Duration) {
        let Some(outbox) = &self.outbox else { return };
        self.notify(&[NotifyState::MainPid(pid)]);
        outbox.is_silent.set(true);
        let sent = outbox.until_sent();
        if outbox.handle.timeout(patience, sent).await.is_err() {
            warn!(
                "the service manager does not read its messages: it may not know its new main process"
            );
        }
    }

    fn notify(&self, states: &[NotifyState<'_>]) {
        if let Some(outbox) = self
            .outbox
            .as_ref()
            .filter(|outbox| !outbox.is_silent.get())
        {
            outbox.notify(states);
        }
    }
}

impl Outbox {
    fn new(handle: &Handle, to: Addr) -> Self {
        Outbox {
            handle: handle.clone(),
            to,
            waiting: RefCell::default(),
            changed: Notify::new(),
            is_silent: Cell::new(false),
            last_status: RefCell::default(),
        }
    }

    fn notify(&self, states: &[NotifyState<'_>]) {
        if self.waiting.borrow().len() >= MESSAGES_MAX {
            return; // a manager that has read none of the others misses this one, too
        }
        for state in states {
            if let NotifyState::Status(status) = state {
                self.last_status.replace((*status).to_owned());
            }
        }
        let lines = states.iter().map(|state| format!("{state}\n"));
        self.waiting.borrow_mut().push_back(lines.collect());
        self.changed.notify_waiters();
    }

    async fn send_all(&self, socket: &UnixDatagram) {
        loop {
            let changed = self.changed.notified();
            let next = self.waiting.borrow().front().cloned();
            let Some(message) = next else {
                changed.await;
                continue;
            };
            // By name each time: the manager may have been started again, with a new socket.
            if let Err(error) = socket.send_to(message.as_bytes(), &self.to).await {
                debug!(%error, message, "cannot notify the service manager");
            }
            self.waiting.borrow_mut().pop_front();
            self.changed.notify_waiters();
        }
    }

    async fn until_sent(&self) {
        loop {
            let changed = self.changed.notified();
            if self.waiting.borrow().is_empty() {
                return;
            }
            changed.await;
        }
    }
}

/// sd_notify(3): a path, or an abstract name behind an `@`.
fn addr_of(name: &OsStr) -> Option<Addr> {
    match name.as_bytes() {
        [b'@', name @ ..] => Some(Addr::UnixAbstract(name.into())),
        [b'/', ..] => Some(Addr::UnixPath(PathBuf::from(name))),
        _ => None, // vsock, which only a manager of a virtual machine uses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop::EventLoop;
    use oneloop::Options;
    use std::os::unix::net;

    /// A manager on a loop with its own clock, and the receiver of its messages.
    fn with_manager(test: impl AsyncFnOnce(Manager, net::UnixDatagram)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let receiver = net::UnixDatagram::bind(&path).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
        let handle = event_loop.handle();
        let outbox = Rc::new(Outbox::new(&handle, Addr::UnixPath(path)));
        let manager = Manager {
            outbox: Some(outbox),
        };
        let sending = manager.start().unwrap().unwrap();
        event_loop.block_on(test(manager, receiver));
        sending.cancel();
    }

    fn received(receiver: &net::UnixDatagram) -> Option<String> {
        let mut buf = [0; 512];
        let bytes = receiver.recv(&mut buf).ok()?;
        Some(String::from_utf8_lossy(&buf[..bytes]).into_owned())
    }

    #[test]
    fn each_state_is_a_message_and_an_unchanged_status_none() {
        with_manager(async |manager, receiver| {
            manager.ready("0 connections");
            manager.status("0 connections");
            manager.status("1 connection");
            manager.reloading("reading the file");
            manager.outbox.as_ref().unwrap().until_sent().await;
            let ready = received(&receiver).unwrap();
            assert_eq!(ready, "READY=1\nSTATUS=0 connections\n");
            assert_eq!(received(&receiver).unwrap(), "STATUS=1 connection\n");
            let reloading = received(&receiver).unwrap();
            assert!(
                reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
                "{reloading}"
            );
            assert_eq!(received(&receiver), None);
        });
    }

    #[test]
    fn a_manager_that_reads_nothing_blocks_nothing_and_costs_bounded_memory() {
        with_manager(async |manager, receiver| {
            for _ in 0..1000 {
                manager.watchdog();
            }
            let outbox = manager.outbox.clone().unwrap();
            assert_eq!(outbox.waiting.borrow().len(), MESSAGES_MAX);
            // The kernel has room for some of them (net.unix.max_dgram_qlen); the rest waits.
            outbox.handle.sleep(Duration::from_millis(50)).await;
            while !outbox.waiting.borrow().is_empty() {
                while let Some(message) = received(&receiver) {
                    assert_eq!(message, "WATCHDOG=1\n");
                }
                outbox.handle.sleep(Duration::from_millis(10)).await;
            }
        });
    }

    #[test]
    fn the_new_main_process_is_the_last_message() {
        with_manager(async |manager, receiver| {
            manager.hand_over(42, Duration::from_secs(1)).await;
            assert_eq!(received(&receiver).unwrap(), "MAINPID=42\n");
            manager.stopping("draining");
            manager.outbox.as_ref().unwrap().until_sent().await;
            assert_eq!(received(&receiver), None);
        });
    }

    #[test]
    fn the_socket_has_a_path_or_an_abstract_name() {
        let addr = |name: &str| addr_of(OsStr::new(name));
        assert_eq!(
            addr("/run/systemd/notify"),
            Some(Addr::UnixPath("/run/systemd/notify".into()))
        );
        assert_eq!(
            addr("@notify"),
            Some(Addr::UnixAbstract(b"notify".to_vec()))
        );
        assert_eq!(addr("vsock:2:1234"), None);
    }
}
