//! The server, from its first line to its exit code.

use super::client::{connect, echo};
use super::process::Process;
use super::{command, eventually};
use rustix::process::Signal;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long after a stop request a signal counts as its repetition.
pub(crate) const REPEAT: Duration = Duration::from_millis(500);

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    /// Its addresses, as its first line names them.
    pub(crate) listens: Vec<String>,
}

impl Server {
    /// Starts it on any free port.
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Self {
        let listen = ["--listen", "127.0.0.1:0"];
        Server::run(command::main(&[&listen, args].concat()))
    }

    #[track_caller]
    pub(crate) fn run(command: Command) -> Self {
        Server::from_process(Process::start(command))
    }

    #[track_caller]
    pub(crate) fn from_process(mut process: Process) -> Self {
        let first = process.stdout.next();
        let listens = first
            .as_ref()
            .and_then(|line| line.strip_prefix("listening on "));
        let listens = listens.map(|list| list.split(", ").map(str::to_owned).collect());
        Server {
            listens: listens.unwrap_or_else(|| panic!("not a server's first line: {first:?}")),
            process,
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.listens[0].parse().expect("it listens on TCP")
    }

    #[track_caller]
    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.addr())
    }

    /// Clients that are accepted, and have had their first echo.
    #[track_caller]
    pub(crate) fn connect_echoed(&self, count: usize) -> Vec<TcpStream> {
        let clients: Vec<_> = (0..count).map(|_| self.connect()).collect();
        clients.iter().for_each(|client| echo(client, b"hello"));
        clients
    }

    /// How many bytes of this client the kernel holds unread for the server.
    pub(crate) fn unread_from(&self, client: &TcpStream) -> usize {
        let (_, unread) = queues(self.addr(), client.local_addr().unwrap());
        unread
    }

    /// How many bytes of this client are not acknowledged by the server's kernel side.
    pub(crate) fn on_their_way_from(&self, client: &TcpStream) -> usize {
        let (unacknowledged, _) = queues(client.local_addr().unwrap(), self.addr());
        unacknowledged
    }

    /// Ends a test of an echo server: a new client is served, and the drain is clean.
    #[track_caller]
    pub(crate) fn finish(self) {
        self.still_echoes();
        self.drain();
    }

    #[track_caller]
    pub(crate) fn still_echoes(&self) {
        self.try_echo().expect("a fresh client is served");
    }

    /// The error of a new client that is not served.
    #[track_caller]
    pub(crate) fn try_echo(&self) -> io::Result<()> {
        let (mut client, words) = (self.connect(), b"a fresh client");
        client.write_all(words)?;
        let mut received = [0; 14];
        client.read_exact(&mut received)?;
        assert_eq!(received, *words, "it is echoed");
        Ok(())
    }

    /// Ends any other test: the drain is clean. Returns everything that was logged.
    #[track_caller]
    pub(crate) fn drain(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        self.expect_exit(0);
        std::mem::take(&mut self.stderr.seen)
    }

    /// Signals until the server ends. It must not end while a signal counts as a repetition of the
    /// first request, which was made after `start`.
    #[track_caller]
    pub(crate) fn insist(&mut self, signal: Signal, start: Instant) {
        eventually("a second signal stops it", || {
            self.signal(signal);
            self.child.try_wait().unwrap().is_some()
        });
        assert!(start.elapsed() >= REPEAT, "{:?}", start.elapsed());
    }

    /// Expects the end of the server, with this exit code and nothing more on stdout.
    #[track_caller]
    pub(crate) fn expect_exit(&mut self, code: i32) {
        let status = self.wait();
        assert_eq!(status.code(), Some(code), "{status}");
        assert_eq!(
            self.stdout.seen.len(),
            1,
            "on stdout: {:#?}",
            self.stdout.seen
        );
        let panics = self
            .stderr
            .seen
            .iter()
            .any(|line| line.contains("panicked"));
        assert!(!panics, "it panicked");
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// The bytes at the first end of a connection that are not acknowledged, and that are not read.
fn queues(here: SocketAddr, there: SocketAddr) -> (usize, usize) {
    // proc_net_tcp: 127.0.0.1 and the port, in hexadecimal digits of the machine's order.
    let in_table = |addr: SocketAddr| format!("0100007F:{:04X}", addr.port());
    let ends = (in_table(here), in_table(there));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let mut rows = table.lines().map(|row| row.split_whitespace().collect());
    let row = rows.find(|row: &Vec<&str>| (row[1], row[2]) == (&ends.0, &ends.1));
    let queues = row.expect("this end is in the table")[4];
    let (sent, unread) = queues.split_once(':').expect("tx_queue:rx_queue");
    let bytes = |digits| usize::from_str_radix(digits, 16).unwrap();
    (bytes(sent), bytes(unread))
}
