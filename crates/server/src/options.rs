//! What the command line and the environment can set.

use crate::configuration::Origins;
use crate::keepalive::Keepalive;
use bytesize::ByteSize;
use clap::builder::BoolishValueParser;
use clap::builder::styling::Styles;
use clap::{Parser, ValueEnum};
use humantime::Duration;
use std::ffi::OsString;
use std::fmt;

const EXAMPLES: &str = "\
Examples:
  oneloop                                   echo on port 8080 of this machine
  oneloop --mode chat                       what one client types, the others see
  oneloop --listen 0.0.0.0:7 --threads 4    echo for everybody, on four threads
  oneloop --listen unix:/run/echo.sock      echo on a Unix socket
  oneloop --mode proxy --to example.org:80  connect each client to that server
  oneloop --mode exec -- /bin/cat -n        run that program for each client
  oneloop --idle-timeout 5m --max-conns 10000 --when-full refuse
  oneloop --trace                           watch the loop turn

Then: telnet localhost 8080

SIGTERM, SIGINT and SIGHUP stop accepting, finish what was received, and close; a second one stops at
once, unless it comes within 500 ms, which is taken for the same request arriving twice.
SIGUSR1 logs how the server is as a whole, each client with its bytes in and out, and what every
task is at; it stops nothing.
Exit codes: 0 after a clean drain, 1 when something failed or the drain took too long, 2 for a
wrong command line, 128 + N when stopped at once by signal N.";

/// A multi-client TCP server: thousands of connections on one epoll event loop.
#[derive(Clone, Debug, Parser)]
#[command(name = "oneloop", bin_name = "oneloop", version, after_help = EXAMPLES, styles = Styles::plain())]
pub(crate) struct Options {
    /// Where to listen: HOST:PORT, PORT or unix:PATH, several with commas; port 0 lets the kernel choose
    #[arg(
        long,
        short,
        value_name = "ADDR",
        env = "ONELOOP_LISTEN",
        value_delimiter = ',',
        default_values = ["127.0.0.1:8080", "[::1]:8080"]
    )]
    pub(crate) listen: Vec<String>,

    /// What to do for each client
    #[arg(long, short, env = "ONELOOP_MODE", default_value = "echo")]
    pub(crate) mode: ModeName,

    /// Where --mode proxy connects each client to, written as --listen is; several are tried in turn
    #[arg(long, value_name = "ADDR", env = "ONELOOP_TO", value_delimiter = ',')]
    pub(crate) to: Vec<String>,

    /// How long connecting to one place of --to may take, the look-up of its name included
    #[arg(
        long,
        value_name = "TIME",
        env = "ONELOOP_CONNECT_TIMEOUT",
        default_value = "10s",
        value_parser = some_time
    )]
    pub(crate) connect_timeout: Duration,

    /// How each client is served: by an async task, by callbacks, or by a green thread
    #[arg(long, env = "ONELOOP_STYLE", default_value = "async")]
    pub(crate) style: Style,

    /// How many connections may wait to be accepted
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_BACKLOG",
        default_value_t = oneloop::net::BACKLOG,
        value_parser = clap::value_parser!(i32).range(1..)
    )]
    pub(crate) backlog: i32,

    /// How many connections may be open at once, all threads together [default: as many as fds]
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_MAX_CONNS",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) max_conns: Option<u32>,

    /// What happens to a connection beyond --max-conns
    #[arg(
        long,
        value_name = "WHAT",
        env = "ONELOOP_WHEN_FULL",
        default_value = "wait"
    )]
    pub(crate) when_full: WhenFull,

    /// Close a connection on which nothing was sent or received for so long
    #[arg(long, value_name = "TIME", env = "ONELOOP_IDLE_TIMEOUT", value_parser = some_time)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Close a connection whose client took none of the waiting output for so long
    #[arg(long, value_name = "TIME", env = "ONELOOP_WRITE_TIMEOUT", value_parser = some_time)]
    pub(crate) write_timeout: Option<Duration>,

    /// Close a connection whose other end says nothing for so long and then does not answer so often, so
    /// far apart, or does not acknowledge what was sent for as long as all that takes; 0 for never
    #[arg(
        long,
        value_name = "IDLE,INTERVAL,COUNT",
        env = "ONELOOP_KEEPALIVE",
        default_value = "60s,10s,6"
    )]
    pub(crate) keepalive: Keepalive,

    /// Pause reading from a client while so much output waits for it
    #[arg(
        long,
        value_name = "BYTES",
        env = "ONELOOP_OUT_SOFT",
        default_value = "64KiB"
    )]
    pub(crate) out_soft: ByteSize,

    /// Close a connection for which more than so much output waits
    #[arg(
        long,
        value_name = "BYTES",
        env = "ONELOOP_OUT_HARD",
        default_value = "16MiB"
    )]
    pub(crate) out_hard: ByteSize,

    /// Never let more than so much output wait for all clients together: close the slowest
    #[arg(
        long,
        value_name = "BYTES",
        env = "ONELOOP_OUT_TOTAL",
        default_value = "64MiB"
    )]
    pub(crate) out_total: ByteSize,

    /// In --mode chat, pass on control characters as they are
    #[arg(long, env = "ONELOOP_RAW", value_parser = BoolishValueParser::new())]
    pub(crate) raw: bool,

    /// How long connections may take to finish once the server is told to stop
    #[arg(
        long,
        value_name = "TIME",
        env = "ONELOOP_DRAIN",
        default_value = "10s"
    )]
    pub(crate) drain: Duration,

    /// How many threads, each with a loop of its own
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_THREADS",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub(crate) threads: u16,

    /// How to write log lines, on stderr
    #[arg(
        long,
        value_name = "FORMAT",
        env = "ONELOOP_LOG",
        default_value = "text"
    )]
    pub(crate) log: LogFormat,

    /// The least important events to log
    #[arg(
        long,
        value_name = "LEVEL",
        env = "ONELOOP_LOG_LEVEL",
        default_value = "info"
    )]
    pub(crate) log_level: LogLevel,

    /// Log every phase of every turn of the loop: what woke, what ran, how long it took
    #[arg(long, env = "ONELOOP_TRACE", value_parser = BoolishValueParser::new())]
    pub(crate) trace: bool,

    /// What --mode exec runs for each client
    #[arg(last = true, value_name = "PROGRAM ARGS")]
    pub(crate) program: Vec<OsString>,

    /// Where all of these come from
    #[arg(skip)]
    pub(crate) origins: Origins,
}

/// A duration that is not zero: to be switched off, a time-out is left out.
fn some_time(text: &str) -> Result<Duration, String> {
    let time: Duration = text.parse().map_err(|error| format!("{error}"))?;
    if time.is_zero() {
        Err("it would pass at once; leave it out for none".to_owned())
    } else {
        Ok(time)
    }
}

/// What a client is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    /// Send back what comes (RFC 862)
    Echo,
    /// Read and forget (RFC 863)
    Discard,
    /// Send lines of characters without end (RFC 864)
    Chargen,
    /// Send the date and time, and close (RFC 867)
    Daytime,
    /// Send what one client types to all the others
    Chat,
    /// Connect each client to the server that --to names, and pass on what both say
    Proxy,
    /// Run a program for each client, as inetd does, and pass on what both say
    Exec,
}

impl fmt::Display for ModeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no mode is hidden");
        f.write_str(value.get_name())
    }
}

/// In which of the loop's styles clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// A task that awaits
    Async,
    /// Callbacks, as in Node
    Callback,
    /// A green thread that seems to block, as in gevent
    Green,
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no style is hidden");
        f.write_str(value.get_name())
    }
}

/// What happens to a connection beyond the most that may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenFull {
    /// It waits in the backlog until another one ends
    Wait,
    /// It is closed at once
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text an event
    Text,
    /// One JSON object an event
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}
