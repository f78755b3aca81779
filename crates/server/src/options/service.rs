//! The options of one service: where it listens, and what its clients get.

use crate::keepalive::Keepalive;
#[cfg(feature = "access")]
use crate::options::AccessOptions;
use crate::values::{bytes, count, nonzero_time, switch};
use bytesize::ByteSize;
use clap::{Args, ValueEnum};
use humantime::Duration;
use std::ffi::OsString;
use std::fmt;

// A doc comment would become the text of `--help`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of each service")]
pub(crate) struct ServiceOptions {
    /// Where to listen: HOST:PORT, PORT or unix:PATH, separated by commas; port 0 is any free port.
    /// fd:NAME is a socket that the service manager passes; without --listen, all of these are taken
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

    /// Pass on control characters as they are, in --mode chat
    #[arg(long, env = "ONELOOP_RAW", value_parser = switch)]
    pub(crate) raw: bool,

    #[cfg(feature = "access")]
    #[command(flatten)]
    pub(crate) access: AccessOptions,

    /// The program that --mode exec runs for each client, with its arguments
    #[arg(last = true, value_name = "PROGRAM ARGS")]
    pub(crate) program: Vec<OsString>,
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
