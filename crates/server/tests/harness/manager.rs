//! A service manager, as far as the server sees it: the socket of `sd_notify(3)`.

use super::{DEADLINE, eventually};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// Receives what the server says.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _directory: TempDir,
}

impl Manager {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        Manager {
            socket,
            path,
            _directory: directory,
        }
    }

    /// Makes the program notify this manager.
    pub(crate) fn watch(&self, command: &mut Command) {
        command.env("NOTIFY_SOCKET", &self.path);
    }

    /// The next message that has this line.
    #[track_caller]
    pub(crate) fn wait_for(&self, line: &str) -> String {
        self.socket.set_read_timeout(Some(DEADLINE)).unwrap();
        loop {
            let message = self.receive().unwrap_or_else(|| panic!("no {line:?} came"));
            if message.lines().any(|other| other.starts_with(line)) {
                return message;
            }
        }
    }

    /// Drops what has come, and then waits for a moment; returns what came meanwhile. There is no
    /// event to wait for: that is the point.
    pub(crate) fn messages_within(&self, moment: Duration) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        while self.receive().is_some() {}
        std::thread::sleep(moment);
        let messages = std::iter::from_fn(|| self.receive()).collect();
        self.socket.set_nonblocking(false).unwrap();
        messages
    }

    /// Waits until nothing more comes: a message that was on its way has arrived.
    #[track_caller]
    pub(crate) fn until_silent(&self, moment: Duration) {
        eventually("no message comes any more", || {
            self.messages_within(moment).is_empty()
        });
    }

    fn receive(&self) -> Option<String> {
        let mut buf = [0; 4096];
        let bytes = self.socket.recv(&mut buf).ok()?;
        Some(String::from_utf8(buf[..bytes].to_vec()).unwrap())
    }
}
