//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, Parser, Subcommand};

use crate::connection::MESSAGE_BYTES_MIN;
use crate::contenders::{
    BuiltIn, Comparator, HttpLoad, HttpRuntime, Kind, Protocol, Runtime, Unit,
};

/// Measures Oneloop's `main` side by side with echo servers in C, tokio and mio, and its tasks with
/// those of other runtimes.
///
/// Servers run on one CPU, the load on another, all over loopback.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Run everything below with moderate defaults
    All {
        #[command(flatten)]
        servers: ServerOptions,
        #[command(flatten)]
        rounds: RoundOptions,
    },
    /// Throughput, latency and CPU per message, for connections × message sizes
    Echo {
        #[command(flatten)]
        servers: ServerOptions,
        #[command(flatten)]
        options: EchoOptions,
    },
    /// Memory per idle connection, and busy connections beside many idle ones
    Idle {
        #[command(flatten)]
        servers: ServerOptions,
        #[command(flatten)]
        options: IdleOptions,
    },
    /// Latency of quiet connections, without and with a connection that floods
    Fair {
        #[command(flatten)]
        servers: ServerOptions,
        #[command(flatten)]
        options: FairOptions,
    },
    /// System calls per message and per short connection (needs strace)
    Syscalls {
        #[command(flatten)]
        servers: ServerOptions,
        #[command(flatten)]
        options: SyscallOptions,
    },
    /// Instructions and system calls of Oneloop's server, per unit of its work, beside recorded
    /// figures; fails where they differ by more than 2 % (needs valgrind and strace)
    Count {
        #[command(flatten)]
        options: CountOptions,
        /// The server [default: `oneloop` beside this program]
        #[arg(long, value_name = "PATH")]
        main: Option<PathBuf>,
        /// Write the results to a file as JSON, too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// HTTP by hyper, on Oneloop and on tokio: throughput, CPU, system calls, instructions, memory
    /// (needs wrk and h2load)
    Http {
        #[command(flatten)]
        options: HttpOptions,
        /// Write the results to a file as JSON, too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Green threads and async tasks: yield, spawn and join, channels, memory of sleeping tasks
    Green {
        #[command(flatten)]
        options: GreenOptions,
        /// Write the results to a file as JSON, too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Run one of the comparators
    Serve {
        /// Which one
        server: Comparator,
        /// A loopback address; port 0 takes a free one, which is printed
        #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
        listen: SocketAddr,
    },
    /// Run one of the servers of `http`
    ServeHttp {
        /// On which runtime
        runtime: HttpRuntime,
        /// What it speaks
        #[arg(long, value_enum, default_value = "http1")]
        protocol: Protocol,
        /// A loopback address; port 0 takes a free one, which is printed
        #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
        listen: SocketAddr,
    },
    /// Run one of the runtimes of `green`: do the jobs on stdin
    #[command(hide = true)]
    Tasks { runtime: BuiltIn },
    /// Pin this process, tie its life to its parent's, become the program
    #[command(name = crate::launch::LAUNCH, hide = true)]
    Launch {
        core: usize,
        parent: u32,
        #[arg(last = true)]
        program: Vec<OsString>,
    },
}

/// Which servers are measured, and where the results go.
#[derive(Debug, Args)]
pub(crate) struct ServerOptions {
    /// Servers to measure
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "main,main-callback,main-green,c,tokio,mio"
    )]
    pub(crate) servers: Vec<Kind>,
    /// Oneloop's server [default: `oneloop` beside this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) main: Option<PathBuf>,
    /// Write the results to a file as JSON, too
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// A round lasts this long for each connection at least: about three messages.
const CONNECTION_TIME_MIN: Duration = Duration::from_micros(30);

/// How many rounds, and how long each is. Many short rounds beat a few long ones: a noisy machine
/// changes its speed many times a second, and the median over more rounds sees less of that.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct RoundOptions {
    /// Rounds for each server, in rotation with the others
    #[arg(long = "rounds", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) count: u32,
    /// Milliseconds of each round, after a warm-up of a quarter of it
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub(crate) round_ms: u64,
}

impl RoundOptions {
    /// The measured part of a round: as asked, or long enough for some messages on each connection.
    pub(crate) fn duration(&self, connections: usize) -> Duration {
        let asked = Duration::from_millis(self.round_ms);
        asked.max(CONNECTION_TIME_MIN * u32::try_from(connections).unwrap_or(u32::MAX))
    }
}

/// The grid of the echo benchmark.
#[derive(Debug, Args)]
pub(crate) struct EchoOptions {
    /// Numbers of connections
    #[arg(long, value_delimiter = ',', default_value = "1,64,1000,10000", value_parser = connections)]
    pub(crate) connections: Vec<usize>,
    /// Message sizes in bytes
    #[arg(long, value_delimiter = ',', default_value = "64,16384", value_parser = message_bytes)]
    pub(crate) bytes: Vec<usize>,
    #[command(flatten)]
    pub(crate) rounds: RoundOptions,
}

/// The sizes of the idle benchmark.
#[derive(Debug, Args)]
pub(crate) struct IdleOptions {
    /// Idle connections to each server, for its memory
    #[arg(long, default_value = "10000", value_parser = connections)]
    pub(crate) connections: usize,
    /// Idle connections beside busy ones (0 leaves this part out)
    #[arg(long, default_value = "19000", value_parser = connections_or_none)]
    pub(crate) many: usize,
    /// Which of the servers hold that many
    #[arg(long, value_enum, value_delimiter = ',', default_value = "main,c")]
    pub(crate) many_servers: Vec<Kind>,
    /// Busy connections beside the idle ones
    #[arg(long, default_value = "64", value_parser = connections)]
    pub(crate) busy: usize,
    #[command(flatten)]
    pub(crate) rounds: RoundOptions,
}

/// The sizes of the fairness benchmark.
#[derive(Debug, Args)]
pub(crate) struct FairOptions {
    /// Quiet connections
    #[arg(long, default_value = "63", value_parser = connections)]
    pub(crate) quiet: usize,
    #[command(flatten)]
    pub(crate) rounds: RoundOptions,
}

/// Which runtimes are measured, with how many tasks.
#[derive(Debug, Args)]
pub(crate) struct GreenOptions {
    /// Runtimes to measure
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "oneloop-green,oneloop-async,tokio,may,go,gevent,eventlet"
    )]
    pub(crate) runtimes: Vec<Runtime>,
    /// Tasks that yield to each other
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub(crate) tasks: u64,
    /// Numbers of sleeping tasks, for their memory
    #[arg(long, value_delimiter = ',', default_value = "10000,100000", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub(crate) sleeping: Vec<u64>,
    #[command(flatten)]
    pub(crate) rounds: RoundOptions,
}

/// The sizes of the HTTP benchmark.
#[derive(Debug, Args)]
pub(crate) struct HttpOptions {
    /// What the clients do
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "kept,limited,many,closing,http2,tls"
    )]
    pub(crate) loads: Vec<HttpLoad>,
    /// Runs of each load against each of the two servers, in turns (0 leaves this part out)
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(crate) pairs: u32,
    /// Seconds of each run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) seconds: u32,
    /// Requests under strace and callgrind (0 leaves this part out); the second run has twice as
    /// many
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) requests: u32,
    /// Connections kept after a request, for the memory (0 leaves this part out)
    #[arg(long, default_value = "10000", value_parser = connections_or_none)]
    pub(crate) kept: usize,
}

/// The sizes of the system call count.
#[derive(Debug, Args)]
pub(crate) struct SyscallOptions {
    /// Connections at a time
    #[arg(long, default_value = "64", value_parser = connections)]
    pub(crate) connections: usize,
    /// Messages on each, or times that all connect again; the second run has twice as many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) repeats: u32,
}

/// What `count` counts.
#[derive(Debug, Args)]
pub(crate) struct CountOptions {
    /// What the servers do
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "message,connection,proxied-message,proxied-connection,delivery"
    )]
    pub(crate) units: Vec<Unit>,
    /// Record the figures, instead of comparing them
    #[arg(long)]
    pub(crate) record: bool,
}

/// The options that a command without arguments has.
pub(crate) fn defaults<A: Args>() -> A {
    let command = A::augment_args(Command::new("defaults"));
    A::from_arg_matches(&command.get_matches_from(["defaults"]))
        .expect("every option has a default: a test parses them all")
}

const CONNECTIONS_MAX: usize = 1_000_000;
const MESSAGE_BYTES_MAX: usize = 1 << 20;

fn connections(text: &str) -> Result<usize, String> {
    number_within(text, 1, CONNECTIONS_MAX)
}

fn connections_or_none(text: &str) -> Result<usize, String> {
    number_within(text, 0, CONNECTIONS_MAX)
}

fn message_bytes(text: &str) -> Result<usize, String> {
    number_within(text, MESSAGE_BYTES_MIN, MESSAGE_BYTES_MAX)
}

fn number_within(text: &str, min: usize, max: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(format!("expected a number from {min} to {max}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_within_their_bounds() {
        for task in [
            "echo", "idle", "fair", "syscalls", "count", "http", "green", "all",
        ] {
            Cli::try_parse_from(["oneloop-bench", task]).unwrap();
        }
    }

    #[test]
    fn numbers_out_of_bounds_are_refused() {
        assert!(Cli::try_parse_from(["oneloop-bench", "echo", "--bytes", "15"]).is_err());
        assert!(Cli::try_parse_from(["oneloop-bench", "echo", "--connections", "0"]).is_err());
        assert!(Cli::try_parse_from(["oneloop-bench", "fair", "--rounds", "0"]).is_err());
    }
}
