//! The options that the command line and the environment can set, with the text of `--help`.

use crate::keepalive::Keepalive;
use crate::origins::Origins;
use crate::values::{bytes, count, nonzero_time, switch, time};
use bytesize::ByteSize;
use clap::builder::styling::Styles;
use clap::{Parser, ValueEnum};
use humantime::Duration;
use std::ffi::OsString;
use std::fmt;

const EXAMPLES: &str = "\
Examples:
  oneloop                                   echo on port 8080 of this machine
  oneloop --mode chat                       pass what one client types to all the others
  oneloop --listen 0.0.0.0:7 --threads 4    echo on all addresses, with four threads
  oneloop --listen unix:/run/echo.sock      echo on a Unix socket
  oneloop --mode proxy --to example.org:80  connect each client to that server
  oneloop --mode exec -- /bin/cat -n        run a program for each client
  oneloop --idle-timeout 5m --max-conns 10000 --when-full refuse
  oneloop --trace                           log each turn of the loop

Then: telnet localhost 8080

A TIME needs a unit, as in 500ms, 10s or 5m. BYTES may have one, as in 64KiB or 16MiB.
SIGTERM, SIGINT and SIGHUP drain the server: it accepts no more, answers what it has received, and
closes. A second signal stops it at once; within 500 ms it counts as a repetition of the first.
SIGUSR1 logs the server as a whole, each client with its bytes in and out, and each task. Nothing
stops for it.
Exit codes: 0 after a clean drain, 1 when something failed or the drain took too long, 2 for a
wrong command line, 128 + N when signal N stopped the server at once.";

/// A multi-client TCP server: thousands of connections on one epoll event loop.
#[derive(Clone, Debug, Parser)]
#[command(name = "oneloop", bin_name = "oneloop", version, after_help = EXAMPLES, styles = Styles::plain())]
pub(crate) struct Options {
    /// Where to listen: HOST:PORT, PORT or unix:PATH, separated by commas; port 0 is any free port
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

    /// The servers for --mode proxy, in the format of --listen; they are tried in turn for each
    /// client
    #[arg(long, value_name = "ADDR", env = "ONELOOP_TO", value_delimiter = ',')]
    pub(crate) to: Vec<String>,

    /// How long a connection to one server of --to may take, including the look-up of its name
    #[arg(
        long,
        value_name = "TIME",
        env = "ONELOOP_CONNECT_TIMEOUT",
        default_value = "10s",
        value_parser = nonzero_time
    )]
    pub(crate) connect_timeout: Duration,

    /// The style in which each client is served
    #[arg(long, env = "ONELOOP_STYLE", default_value = "async")]
    pub(crate) style: Style,

    /// How many connections may wait in the kernel to be accepted
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_BACKLOG",
        default_value_t = oneloop::net::BACKLOG,
        value_parser = |text: &str| count(text, 1..=i32::MAX)
    )]
    pub(crate) backlog: i32,

    /// How many connections may be open at once on all threads [default: as many as there are fds
    /// for]
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_MAX_CONNS",
        value_parser = |text: &str| count(text, 1..=u32::MAX)
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

    /// Close a connection that has neither sent nor received a byte for this time
    #[arg(long, value_name = "TIME", env = "ONELOOP_IDLE_TIMEOUT", value_parser = nonzero_time)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Close a connection whose client has taken none of its waiting output for this time
    #[arg(long, value_name = "TIME", env = "ONELOOP_WRITE_TIMEOUT", value_parser = nonzero_time)]
    pub(crate) write_timeout: Option<Duration>,

    /// Close a TCP connection whose other end is silent for IDLE, and then leaves COUNT probes, one
    /// per INTERVAL, unanswered; or that acknowledges no data for the sum of these times. 0 sends
    /// no probes
    #[arg(
        long,
        value_name = "IDLE,INTERVAL,COUNT",
        env = "ONELOOP_KEEPALIVE",
        default_value = "60s,10s,6"
    )]
    pub(crate) keepalive: Keepalive,

    /// Pause reading from a client while this many bytes of output wait for it
    #[arg(
        long,
        value_name = "BYTES",
        env = "ONELOOP_OUT_SOFT",
        default_value = "64KiB",
        value_parser = bytes
    )]
    pub(crate) out_soft: ByteSize,

    /// Close a connection for which more than this many bytes of output wait
    #[arg(
        long,
        value_name = "BYTES",
        env = "ONELOOP_OUT_HARD",
        default_value = "16MiB",
        value_parser = bytes
    )]
    pub(crate) out_hard: ByteSize,

    /// Close the client with the longest queue while more than this many bytes wait for all clients
    #[arg(
        long,
        value_name = "BYTES",
        env = "ONELOOP_OUT_TOTAL",
        default_value = "64MiB",
        value_parser = bytes
    )]
    pub(crate) out_total: ByteSize,

    /// Pass on control characters as they are, in --mode chat
    #[arg(long, env = "ONELOOP_RAW", value_parser = switch)]
    pub(crate) raw: bool,

    /// How long open connections may take to finish after a signal to stop
    #[arg(
        long,
        value_name = "TIME",
        env = "ONELOOP_DRAIN",
        default_value = "10s",
        value_parser = time
    )]
    pub(crate) drain: Duration,

    /// How many threads serve, each with its own loop
    #[arg(
        long,
        value_name = "COUNT",
        env = "ONELOOP_THREADS",
        default_value_t = 1,
        value_parser = |text: &str| count(text, 1..=1024_u16)
    )]
    pub(crate) threads: u16,

    /// The format of the log lines on stderr
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
    #[arg(long, env = "ONELOOP_TRACE", value_parser = switch)]
    pub(crate) trace: bool,

    /// The program that --mode exec runs for each client, with its arguments
    #[arg(last = true, value_name = "PROGRAM ARGS")]
    pub(crate) program: Vec<OsString>,

    /// Where the values come from
    #[arg(skip)]
    pub(crate) origins: Origins,
}

/// What the server does for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    /// Send back each byte (RFC 862)
    Echo,
    /// Read and drop each byte (RFC 863)
    Discard,
    /// Send lines of characters without end (RFC 864)
    Chargen,
    /// Send the date and time, and close (RFC 867)
    Daytime,
    /// Send the lines of one client to all the others
    Chat,
    /// Connect each client to a server of --to, and pass bytes both ways
    Proxy,
    /// Run a program for each client, as inetd does, and pass bytes both ways
    Exec,
}

impl fmt::Display for ModeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no mode is hidden");
        f.write_str(value.get_name())
    }
}

/// The style of the loop in which clients are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Style {
    /// One async task per client
    Async,
    /// Callbacks, as in Node
    Callback,
    /// One green thread per client, as in gevent
    Green,
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no style is hidden");
        f.write_str(value.get_name())
    }
}

/// What happens to a connection beyond `--max-conns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenFull {
    /// It waits in the kernel's backlog until another one ends
    Wait,
    /// It is closed at once
    Refuse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One line of text per event
    Text,
    /// One JSON object per event
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
