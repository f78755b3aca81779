//! What an idle connection of an HTTP server costs in memory.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::Timespec;

use super::servers::{RUNTIMES, command};
use crate::bench::Bench;
use crate::connection::open_socket;
use crate::contenders::Protocol;
use crate::listening::Listening;
use crate::memory_row::MemoryRow;
use crate::progress::Progress;

const TITLE: &str = "HTTP: a server's own memory for each connection that is kept after a request";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const BODY: &[u8] = b"hello, world\n";

/// The time that a server gets to finish deferred work before its memory is read.
const SETTLE: Duration = Duration::from_millis(100);
const ANSWER_MAX: Timespec = Timespec {
    tv_sec: 10,
    tv_nsec: 0,
};

/// Prints the table.
pub(super) fn run(bench: &mut Bench, wanted: usize) -> Result<()> {
    let count = bench.connections_that_fit(wanted);
    let progress = Progress::start(RUNTIMES.len());
    let mut rows = Vec::new();
    for runtime in RUNTIMES {
        progress.step(format!("{count} kept connections, {}", runtime.name()));
        let command = command(runtime, Protocol::Http1)?;
        let server = Listening::start(runtime.name(), &command, bench.cores)?;
        // The first connection pays for shared things: buffers, lazily bound symbols.
        drop(ask(server.address, 0)?);
        sleep(SETTLE);
        let before = server.memory()?;
        let kept = (0..u32::try_from(count)?).map(|index| ask(server.address, index));
        let kept = kept.collect::<Result<Vec<_>>>()?;
        sleep(SETTLE);
        let after = server.memory()?;
        rows.push(MemoryRow::new(runtime.name(), count, before, after));
        drop(kept);
    }
    drop(progress);
    bench.report.table("http_memory", TITLE, &rows)
}

/// Opens a connection on which one request was answered.
fn ask(address: SocketAddr, index: u32) -> Result<OwnedFd> {
    let problem = || format!("connection {index} to {address} failed");
    let fd = open_socket(address, index).with_context(problem)?;
    wait(&fd, PollFlags::OUT).with_context(problem)?;
    send(&fd, REQUEST, SendFlags::NOSIGNAL).with_context(problem)?;
    let mut answer = Vec::new();
    while !answer.ends_with(BODY) {
        wait(&fd, PollFlags::IN).with_context(problem)?;
        let mut buffer = [0; 1024];
        let (count, _) = recv(&fd, &mut buffer, RecvFlags::empty()).with_context(problem)?;
        ensure!(count > 0, "the server closed connection {index} too early");
        answer.extend_from_slice(&buffer[..count]);
    }
    Ok(fd)
}

fn wait(fd: &OwnedFd, flags: PollFlags) -> Result<()> {
    let ready = poll(&mut [PollFd::new(fd, flags)], Some(&ANSWER_MAX))?;
    ensure!(ready > 0, "nothing came for {} s", ANSWER_MAX.tv_sec);
    Ok(())
}
