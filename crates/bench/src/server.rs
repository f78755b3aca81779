//! Finds, starts, watches and kills the servers.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Pid;

use crate::comparators;
use crate::contenders::Kind;
use crate::cores::Cores;
use crate::load::Load;
use crate::process::{CpuTime, Memory, cpu_time, memory, open_fds};
use crate::program::{Found, Running, bench};
use crate::report::Report;

const LISTEN: &str = "127.0.0.1:0";
const LISTENING: &str = "listening on ";
const START_MAX: Duration = Duration::from_secs(10);
const DISCONNECT_MAX: Duration = Duration::from_secs(10);

/// How to start one server.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    command: Vec<OsString>,
}

impl Program {
    /// Returns the programs of `kinds` that can run here. `report` notes the others.
    pub(crate) fn find(
        kinds: &[Kind],
        main: Option<&Path>,
        report: &mut Report,
    ) -> Result<Vec<Program>> {
        let mut kinds = kinds.to_vec();
        kinds.sort();
        kinds.dedup();
        let asked = kinds.len();
        let mut programs = Vec::new();
        for kind in kinds {
            let found = match kind {
                Kind::Main => start_main(main, "async")?,
                Kind::MainCallback => start_main(main, "callback")?,
                Kind::MainGreen => start_main(main, "green")?,
                Kind::C | Kind::CAgain => find_c()?.with(&[LISTEN]),
                Kind::Tokio | Kind::Mio | Kind::May => {
                    Found::Command(vec![bench()?.into()]).with(&["serve", kind.name()])
                }
                Kind::Go => comparators::go::find()?.with(&["echo", LISTEN]),
                Kind::Gevent | Kind::Eventlet => {
                    comparators::python::find(kind.name()).with(&["echo", LISTEN])
                }
            };
            match found {
                Found::Command(command) => programs.push(Program { kind, command }),
                Found::Missing(why) => report.skip(kind.name(), &why),
            }
        }
        ensure!(
            asked == 0 || !programs.is_empty(),
            "no server is left to measure"
        );
        Ok(programs)
    }

    /// The same program under a tracer, which gets the command as its last arguments.
    pub(crate) fn under(&self, tracer: &[OsString]) -> Program {
        let command = tracer.iter().chain(&self.command).cloned().collect();
        Program {
            kind: self.kind,
            command,
        }
    }
}

/// Builds the C server beside this binary.
pub(crate) fn find_c() -> Result<Found> {
    let path = bench()?.with_file_name("oneloop-bench-echo-c");
    Ok(if comparators::c::build(&path)? {
        Found::Command(vec![path.into()])
    } else {
        Found::Missing("no C compiler (`cc`, or set CC)".into())
    })
}

fn start_main(given: Option<&Path>, style: &str) -> Result<Found> {
    let main = Found::Command(vec![find_main(given)?.into()]);
    Ok(main.with(&["--style", style, "--listen", LISTEN]))
}

fn find_main(given: Option<&Path>) -> Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_path_buf(),
        None => bench()?.with_file_name("oneloop"),
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

/// A running server on its core. Killed when dropped, and when the benchmark dies.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    process: Running,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(program: &Program, cores: Cores) -> Result<Server> {
        let name = program.kind.name();
        let mut process = Running::start(cores.server, &program.command, Stdio::null())
            .with_context(|| format!("cannot start {name}"))?;
        let line = process
            .read_line(START_MAX)
            .with_context(|| format!("{name} did not come up"))?;
        let address = parse_listening(&line)
            .with_context(|| format!("{name} printed {line:?}, not `{LISTENING}ADDRESS`"))?;
        ensure!(
            address.ip().is_loopback(),
            "{name} listens on {address}, not on loopback"
        );
        Ok(Server {
            kind: program.kind,
            address,
            process,
        })
    }

    /// Opens connections to this server, each of which has echoed one message on return.
    pub(crate) fn connect(&self, connections: usize, message_bytes: usize) -> Result<Load> {
        Load::connect(self.address, connections, message_bytes)
            .with_context(|| format!("cannot open {connections} connections to {}", self.name()))
    }

    /// Resets connections to this server, and waits until the server has closed them, too: the
    /// servers share a core, and the cleanup of one must not run in the round of another.
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
        self.process.pid()
    }

    /// The CPU time so far. It is exact only while the server sleeps: see [`cpu_time`].
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

fn parse_listening(text: &str) -> Option<SocketAddr> {
    text.strip_prefix(LISTENING)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_line_names_the_address() {
        let address = "127.0.0.1:4242".parse().unwrap();
        assert_eq!(
            parse_listening("listening on 127.0.0.1:4242"),
            Some(address)
        );
        assert_eq!(parse_listening("listening on port 4242"), None);
        assert_eq!(parse_listening("127.0.0.1:4242"), None);
    }
}
