//! Finds, starts, watches and kills the servers.

use std::ffi::OsString;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;
use rustix::time::Timespec;
use serde::Serialize;

use crate::comparators;
use crate::cores::Cores;
use crate::launch;
use crate::load::Load;
use crate::process::{CpuTime, Memory, cpu_time, memory, open_fds};
use crate::report::Report;

const LISTEN: &str = "127.0.0.1:0";
const LISTENING: &str = "listening on ";
const START_MAX: Duration = Duration::from_secs(10);
const DISCONNECT_MAX: Duration = Duration::from_secs(10);
const LINE_BYTES_MAX: usize = 256;

/// The servers under comparison, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Oneloop's own server
    Main,
    /// The same, its clients served by callbacks
    #[value(name = "main-callback")]
    #[serde(rename = "main-callback")]
    MainCallback,
    /// hand-written epoll in C: the yardstick
    C,
    /// the C server once more: how far its ratio is from 1 is noise
    #[value(name = "c-again")]
    #[serde(rename = "c-again")]
    CAgain,
    /// tokio, current-thread runtime
    Tokio,
    /// mio, one thread
    Mio,
}

impl Kind {
    /// The word on the command line and in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Main => "main",
            Kind::MainCallback => "main-callback",
            Kind::C => "c",
            Kind::CAgain => "c-again",
            Kind::Tokio => "tokio",
            Kind::Mio => "mio",
        }
    }
}

/// How to start one server.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    command: Vec<OsString>,
}

impl Program {
    /// The programs of `kinds` that can run here; what cannot is said in `report`.
    pub(crate) fn find(
        kinds: &[Kind],
        main: Option<&Path>,
        report: &mut Report,
    ) -> Result<Vec<Program>> {
        let mut kinds = kinds.to_vec();
        kinds.sort();
        kinds.dedup();
        let mut programs = Vec::new();
        for kind in kinds {
            let command = match kind {
                Kind::Main => start_main(main, "async")?,
                Kind::MainCallback => start_main(main, "callback")?,
                Kind::C | Kind::CAgain => match built_c()? {
                    Some(path) => vec![path.into(), LISTEN.into()],
                    None => {
                        let name = kind.name();
                        report.note(format!(
                            "{name} is skipped: no C compiler (`cc`, or set CC)"
                        ));
                        continue;
                    }
                },
                Kind::Tokio | Kind::Mio => {
                    vec![bench()?.into(), "serve".into(), kind.name().into()]
                }
            };
            programs.push(Program { kind, command });
        }
        ensure!(!programs.is_empty(), "no server is left to measure");
        Ok(programs)
    }

    /// The same program, run by another one, whose last arguments it becomes.
    pub(crate) fn under(&self, tracer: &[OsString]) -> Program {
        let command = tracer.iter().chain(&self.command).cloned().collect();
        Program {
            kind: self.kind,
            command,
        }
    }
}

/// Builds the C server beside this binary; `None` without a C compiler.
pub(crate) fn built_c() -> Result<Option<PathBuf>> {
    let path = bench()?.with_file_name("oneloop-bench-echo-c");
    Ok(comparators::c::build(&path)?.then_some(path))
}

fn start_main(given: Option<&Path>, style: &str) -> Result<Vec<OsString>> {
    let flags = ["--style", style, "--listen", LISTEN].map(OsString::from);
    let mut command = vec![find_main(given)?.into()];
    command.extend(flags);
    Ok(command)
}

fn find_main(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_path_buf(),
        None => bench()?.with_file_name("main"),
    };
    ensure!(
        path.is_file(),
        "there is no server at {}: build it with `cargo build --release -p oneloop-server`, \
         point to it with --main PATH, or leave it out with --servers c,tokio,mio",
        path.display()
    );
    path.canonicalize()
        .with_context(|| format!("cannot resolve {}", path.display()))
}

fn bench() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find the path of this program")
}

/// A running server on its core. Killed when dropped, and when the benchmark dies.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: Guarded,
    /// Held open, so that a second line does not kill the server.
    _stdout: ChildStdout,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(program: &Program, cores: Cores) -> Result<Server> {
        let name = program.kind.name();
        let child = launch::command(&bench()?, cores.server, &program.command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut process = Guarded(child);
        let stdout = process
            .0
            .stdout
            .take()
            .context("a piped stdout is missing")?;
        let (address, stdout) =
            read_address(stdout).with_context(|| format!("{name} did not come up"))?;
        ensure!(
            address.ip().is_loopback(),
            "{name} listens on {address}, not on loopback"
        );
        Ok(Server {
            kind: program.kind,
            address,
            process,
            _stdout: stdout,
        })
    }

    /// Opens connections to this server, each of which has echoed one message on return.
    pub(crate) fn connect(&self, connections: usize, message_bytes: usize) -> Result<Load> {
        Load::connect(self.address, connections, message_bytes)
            .with_context(|| format!("cannot open {connections} connections to {}", self.name()))
    }

    /// Ends connections to this server and waits until it has closed them too: the servers share a
    /// core, and nobody's clean-up may run in another's round.
    pub(crate) fn disconnect(&self, load: Load) -> Result<()> {
        let expected = open_fds(self.pid())?.saturating_sub(load.len());
        load.reset()?;
        let deadline = Instant::now() + DISCONNECT_MAX;
        while open_fds(self.pid())? > expected {
            let name = self.name();
            ensure!(
                Instant::now() < deadline,
                "{name} keeps connections that were reset"
            );
            sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.process.0)
    }

    /// CPU time so far; the server should be asleep.
    pub(crate) fn cpu_time(&self) -> Result<CpuTime> {
        cpu_time(self.pid()).with_context(|| format!("cannot read the CPU time of {}", self.name()))
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> Result<Memory> {
        memory(self.pid()).with_context(|| format!("cannot read the memory of {}", self.name()))
    }

    /// The server's name in the tables.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// A child that does not outlive its owner.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // Both fail only when the child is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn read_address(mut stdout: ChildStdout) -> Result<(SocketAddr, ChildStdout)> {
    let deadline = Instant::now() + START_MAX;
    let mut line = Vec::new();
    while !line.contains(&b'\n') {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left)?;
        let readable = poll(
            &mut [PollFd::new(&stdout.as_fd(), PollFlags::IN)],
            Some(&timeout),
        )?;
        ensure!(
            readable > 0,
            "it printed no `{LISTENING}ADDRESS` within {START_MAX:?}"
        );
        let mut chunk = [0; LINE_BYTES_MAX];
        let count = stdout.read(&mut chunk)?;
        line.extend_from_slice(&chunk[..count]);
        ensure!(
            count > 0 && line.len() <= LINE_BYTES_MAX,
            "it ended or printed something else"
        );
    }
    let text = String::from_utf8_lossy(&line);
    let address = parse_listening(&text)
        .with_context(|| format!("it printed {:?}, not `{LISTENING}ADDRESS`", text.trim_end()))?;
    Ok((address, stdout))
}

fn parse_listening(text: &str) -> Option<SocketAddr> {
    text.lines()
        .next()?
        .strip_prefix(LISTENING)?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_line_names_the_address() {
        let address = "127.0.0.1:4242".parse().unwrap();
        assert_eq!(
            parse_listening("listening on 127.0.0.1:4242\n"),
            Some(address)
        );
        assert_eq!(parse_listening("listening on port 4242\n"), None);
        assert_eq!(parse_listening("127.0.0.1:4242\n"), None);
    }
}
