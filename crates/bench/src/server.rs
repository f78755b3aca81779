//! Finds and starts the echo servers, and connects to them.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::comparators;
use crate::contenders::Kind;
use crate::cores::Cores;
use crate::listening::{LISTEN, Listening};
use crate::load::Load;
use crate::program::{Found, bench};
use crate::report::Report;

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

    /// The same program with more arguments.
    pub(crate) fn with(mut self, arguments: &[String]) -> Program {
        self.command.extend(arguments.iter().map(OsString::from));
        self
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

/// A running echo server.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    listening: Listening,
}

impl Deref for Server {
    type Target = Listening;

    fn deref(&self) -> &Listening {
        &self.listening
    }
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(program: &Program, cores: Cores) -> Result<Server> {
        Ok(Server {
            kind: program.kind,
            listening: Listening::start(program.kind.name(), &program.command, cores)?,
        })
    }

    /// The process, once it matters no more which kind it is.
    pub(crate) fn into_listening(self) -> Listening {
        self.listening
    }

    /// Opens connections to this server, each of which has echoed one message on return.
    pub(crate) fn connect(&self, connections: usize, message_bytes: usize) -> Result<Load> {
        Load::connect(self.address, connections, message_bytes)
            .with_context(|| format!("cannot open {connections} connections to {}", self.name()))
    }

    /// Resets connections to this server, and waits until the server has closed them, too: the
    /// servers share a core, and the cleanup of one must not run in the round of another.
    pub(crate) fn disconnect(&self, load: Load) -> Result<()> {
        let expected = self.open_fds()?.saturating_sub(load.len());
        load.reset()?;
        self.wait_for_fds(expected)
    }
}
