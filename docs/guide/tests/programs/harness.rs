//! The pairs of programs, and how a test runs one of them.

use std::fs;
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

/// What another program is written for.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The ending of its files, behind the name of the program.
    ending: &'static str,
    /// The goal: the most lines of ours for each line of the peer's program.
    pub(crate) ratio_max: f64,
}

const PEERS: [Peer; 3] = [
    Peer {
        name: "tokio",
        ending: "_tokio.rs",
        ratio_max: 1.0,
    },
    Peer {
        name: "Node",
        ending: "_node.js",
        ratio_max: 1.3,
    },
    Peer {
        name: "gevent",
        ending: "_gevent.py",
        ratio_max: 1.3,
    },
];

/// A program of Oneloop, and the one that does the same for a peer. The paths start at the guide.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) peer: &'static Peer,
    pub(crate) ours: String,
    pub(crate) peers: String,
}

pub(crate) fn guide() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(guide().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn pair(file: &str) -> Option<Pair> {
    let mut peers = PEERS.iter();
    let (name, peer) = peers.find_map(|peer| Some((file.strip_suffix(peer.ending)?, peer)))?;
    Some(Pair {
        name: name.to_owned(),
        peer,
        ours: format!("../../crates/oneloop/examples/{name}.rs"),
        peers: format!("peers/{file}"),
    })
}

/// The pairs, by name: every program in the folder `peers` has an example of its name.
pub(crate) fn pairs() -> Vec<Pair> {
    let files = fs::read_dir(guide().join("peers")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut pairs: Vec<_> = names.filter_map(|name| pair(&name)).collect();
    pairs.sort_by(|a, b| a.name.cmp(&b.name));
    pairs
}

/// The commands that run a program and its peer, for a test that both pass. A peer whose
/// interpreter is not installed is skipped, with a printed line.
pub(crate) fn both(name: &str) -> Vec<Command> {
    let pair = pairs().into_iter().find(|pair| pair.name == name).unwrap();
    // Cargo builds the programs of this package before its tests.
    let built = |name: &str| {
        let program = Path::new(env!("CARGO_BIN_EXE_reminders_async")).with_file_name(name);
        assert!(
            program.exists(),
            "docs/guide/Cargo.toml has no program {name}"
        );
        Command::new(program)
    };
    let mut commands = vec![built(name)];
    let (interpreter, check) = match pair.peer.name {
        "Node" => ("node", "0"),
        "gevent" => ("python3", "import gevent"),
        _ => {
            commands.push(built(&format!("{name}_tokio")));
            return commands;
        }
    };
    let flag = if interpreter == "node" { "-e" } else { "-c" };
    let probe = Command::new(interpreter).args([flag, check]).output();
    if probe.is_ok_and(|output| output.status.success()) {
        let mut command = Command::new(interpreter);
        command.arg(guide().join(&pair.peers));
        commands.push(command);
    } else {
        println!(
            "skipped: {} is not installed here, so {name} has no peer",
            pair.peer.name
        );
    }
    commands
}

/// A program that runs, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    /// What it prints.
    pub(crate) stdout: Lines<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, stdout }
    }

    /// The rest of the next line, which begins with these words: `listening on `.
    pub(crate) fn printed(&mut self, start: &str) -> String {
        let line = self.stdout.next().unwrap().unwrap();
        let rest = line.strip_prefix(start);
        rest.unwrap_or_else(|| panic!("{line:?} does not begin with {start:?}"))
            .to_owned()
    }
}

impl Running {
    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        let mut kill = Command::new("kill");
        let killed = kill.arg(self.child.id().to_string()).status();
        assert!(killed.unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client; a server that does not answer fails the test instead of hanging it.
pub(crate) struct Client(pub(crate) BufReader<TcpStream>);

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).unwrap();
        Client(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn receive(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    pub(crate) fn expect(&mut self, line: &str) {
        assert_eq!(self.receive(), line);
    }

    pub(crate) fn expect_end(mut self) {
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0);
    }
}
