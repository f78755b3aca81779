//! What is tortured: the server in its modes, and examples.

use crate::cli::Cli;
use crate::traced::Start;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What the clients of a server do; or a program that ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Play {
    /// Clients get back what they send.
    Echo,
    /// What one client types reaches another.
    Chat,
    /// SIGTERM comes while one client is idle and another one has not read its answer.
    Drain,
    /// The program ends by itself, and prints the same each time.
    Program { stdin: &'static str },
}

/// One program to torture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The example; none is the server.
    pub(crate) example: Option<&'static str>,
    pub(crate) args: &'static [&'static str],
    pub(crate) play: Play,
    /// Whether faults hit the k-th call of each thread, and not only of the main thread.
    pub(crate) follows: bool,
    /// How many fds a relay may keep open for the next one: the ends of its pipes.
    pub(crate) pooled_fds: usize,
    /// A fault that is always there: strace's expression.
    pub(crate) always: Option<&'static str>,
}

const SERVER: Scenario = Scenario {
    name: "",
    example: None,
    args: &[],
    play: Play::Echo,
    follows: false,
    pooled_fds: 0,
    always: None,
};

/// One pipe for each way.
const PIPES: usize = 4;

const WORDS: &str = "one\ntwo\nthree\n";

/// All scenarios.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "echo",
        ..SERVER
    },
    Scenario {
        name: "echo-callback",
        args: &["--style", "callback"],
        ..SERVER
    },
    Scenario {
        name: "echo-green",
        args: &["--style", "green"],
        ..SERVER
    },
    Scenario {
        name: "limits",
        args: &[
            "--idle-timeout",
            "1m",
            "--write-timeout",
            "1m",
            "--max-conns",
            "2",
            "--log",
            "json",
        ],
        ..SERVER
    },
    Scenario {
        name: "threads",
        args: &["--threads", "3"],
        follows: true,
        ..SERVER
    },
    Scenario {
        name: "proxy",
        pooled_fds: PIPES,
        args: &["--mode", "proxy", "--to", "{upstream}"],
        ..SERVER
    },
    Scenario {
        name: "proxy-copy",
        args: &["--mode", "proxy", "--to", "{upstream}"],
        always: Some("inject=splice:error=ENOSYS"),
        ..SERVER
    },
    Scenario {
        name: "proxy-callback",
        pooled_fds: PIPES,
        args: &[
            "--mode",
            "proxy",
            "--to",
            "{upstream}",
            "--style",
            "callback",
        ],
        ..SERVER
    },
    Scenario {
        name: "proxy-green",
        pooled_fds: PIPES,
        args: &["--mode", "proxy", "--to", "{upstream}", "--style", "green"],
        ..SERVER
    },
    Scenario {
        name: "chat",
        args: &["--mode", "chat"],
        play: Play::Chat,
        ..SERVER
    },
    Scenario {
        name: "exec",
        pooled_fds: PIPES,
        args: &["--mode", "exec", "--", "cat"],
        ..SERVER
    },
    Scenario {
        name: "drain",
        play: Play::Drain,
        ..SERVER
    },
    Scenario {
        name: "chat-example",
        example: Some("chat"),
        args: &["127.0.0.1:0", "{dir}/stdin"],
        play: Play::Chat,
        ..SERVER
    },
    program("files", "files", &[], ""),
    program("children", "processes", &[], ""),
    program("names", "names", &[], ""),
    program("datagrams", "datagrams", &[], ""),
    program("messages", "fd_passing", &[], ""),
    program("stdin", "stdin", &["async"], WORDS),
    program("stdin-callback", "stdin", &["callback"], WORDS),
    program("stdin-green", "stdin", &["green"], WORDS),
];

const fn program(
    name: &'static str,
    example: &'static str,
    args: &'static [&'static str],
    stdin: &'static str,
) -> Scenario {
    Scenario {
        name,
        example: Some(example),
        args,
        play: Play::Program { stdin },
        ..SERVER
    }
}

impl Scenario {
    /// The program, its arguments, and the faults that are always there.
    pub(crate) fn start(&self, cli: &Cli, upstream: SocketAddr) -> Start {
        let to_upstream = |arg: &&str| arg.replace("{upstream}", &upstream.to_string());
        let mut args: Vec<String> = self.args.iter().map(to_upstream).collect();
        if self.example.is_none() {
            let listen = ["--listen", "127.0.0.1:0", "--drain", "1s"];
            args.splice(0..0, listen.map(str::to_owned));
        }
        Start {
            program: self.program(cli),
            args,
            stdin: match self.play {
                Play::Program { stdin } => stdin,
                Play::Echo | Play::Chat | Play::Drain => "",
            },
            expressions: self.always.map(str::to_owned).into_iter().collect(),
            follows: self.follows,
        }
    }

    pub(crate) fn program(&self, cli: &Cli) -> PathBuf {
        match self.example {
            Some(example) => cli.examples.join(example),
            None => cli.main.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_selects_one_scenario() {
        for (index, scenario) in SCENARIOS.iter().enumerate() {
            let earlier = &SCENARIOS[..index];
            assert!(earlier.iter().all(|other| other.name != scenario.name));
        }
    }
}
