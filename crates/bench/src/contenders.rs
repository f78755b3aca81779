//! The names of the servers and runtimes under comparison.

use clap::ValueEnum;
use serde::Serialize;

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
    /// The same, its clients served by green threads
    #[value(name = "main-green")]
    #[serde(rename = "main-green")]
    MainGreen,
    /// hand-written epoll in C: the yardstick
    C,
    /// the C server again: the distance of its ratio from 1 is noise
    #[value(name = "c-again")]
    #[serde(rename = "c-again")]
    CAgain,
    /// tokio, current-thread runtime
    Tokio,
    /// mio, one thread
    Mio,
    /// may, stackful coroutines in Rust, one worker thread
    May,
    /// goroutines, one thread (needs `go`)
    Go,
    /// gevent (needs it in $ONELOOP_PYTHON or python3)
    Gevent,
    /// eventlet (needs it in $ONELOOP_PYTHON or python3)
    Eventlet,
}

impl Kind {
    /// The word on the command line and in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Main => "main",
            Kind::MainCallback => "main-callback",
            Kind::MainGreen => "main-green",
            Kind::C => "c",
            Kind::CAgain => "c-again",
            Kind::Tokio => "tokio",
            Kind::Mio => "mio",
            Kind::May => "may",
            Kind::Go => "go",
            Kind::Gevent => "gevent",
            Kind::Eventlet => "eventlet",
        }
    }
}

/// The runtimes under comparison, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Runtime {
    /// Oneloop's green threads: the yardstick
    OneloopGreen,
    /// Oneloop's async tasks
    OneloopAsync,
    /// tokio, current-thread runtime
    Tokio,
    /// may, stackful coroutines in Rust, one worker thread
    May,
    /// goroutines, one thread (needs `go`)
    Go,
    /// gevent (needs it in $ONELOOP_PYTHON or python3)
    Gevent,
    /// eventlet (needs it in $ONELOOP_PYTHON or python3)
    Eventlet,
}

impl Runtime {
    /// The word on the command line and in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Runtime::OneloopGreen => "oneloop-green",
            Runtime::OneloopAsync => "oneloop-async",
            Runtime::Tokio => "tokio",
            Runtime::May => "may",
            Runtime::Go => "go",
            Runtime::Gevent => "gevent",
            Runtime::Eventlet => "eventlet",
        }
    }
}

/// The servers inside this program.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Comparator {
    /// Hand-written epoll in C, built with `cc`
    C,
    /// tokio, current-thread runtime
    Tokio,
    /// mio, one thread
    Mio,
    /// may, one worker thread
    May,
}

/// The runtimes of tasks inside this program.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BuiltIn {
    /// Oneloop's green threads
    OneloopGreen,
    /// Oneloop's async tasks
    OneloopAsync,
    /// tokio, current-thread runtime
    Tokio,
    /// may, one worker thread
    May,
}

/// What `count` counts: one unit of the work of Oneloop's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unit {
    /// 64 bytes there and back
    Message,
    /// Connect, one message, FIN, close
    Connection,
    /// The same through a proxy, on connections that stay
    ProxiedMessage,
    /// The same through a proxy
    ProxiedConnection,
    /// A line of a chat to one of its members
    Delivery,
}

impl Unit {
    /// The word in the tables and in the record.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Message => "message",
            Unit::Connection => "connection",
            Unit::ProxiedMessage => "proxied message",
            Unit::ProxiedConnection => "proxied connection",
            Unit::Delivery => "delivery",
        }
    }
}

/// The runtimes of `http`, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HttpRuntime {
    /// Oneloop's async tasks
    Oneloop,
    /// tokio, current-thread runtime
    Tokio,
}

impl HttpRuntime {
    /// The word on the command line and in the tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            HttpRuntime::Oneloop => "oneloop",
            HttpRuntime::Tokio => "tokio",
        }
    }
}

/// What the clients of `http` do, in the order of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HttpLoad {
    /// One request after the other on 64 connections
    Kept,
    /// The same; the server limits the time for each head
    Limited,
    /// One request after the other on 1,000 connections
    Many,
    /// A connection for each request, 64 at a time
    Closing,
    /// HTTP/2: 16 requests at a time on 16 connections
    Http2,
    /// HTTP/1 over TLS 1.3 on 64 connections
    Tls,
}

/// What the servers of `http` speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    /// HTTP/1
    Http1,
    /// HTTP/1, with a limited time for each head
    Http1Limited,
    /// HTTP/2 without TLS
    Http2,
    /// HTTP/1 over TLS 1.3
    Tls,
}

impl Protocol {
    /// The word on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "http1",
            Protocol::Http1Limited => "http1-limited",
            Protocol::Http2 => "http2",
            Protocol::Tls => "tls",
        }
    }
}
