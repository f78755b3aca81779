//! The options that the command line, the environment and the file of `--config` can set, with the
//! text of `--help`.
//!
//! The struct that an option stands in decides its scope: one value for the process, or one for
//! each service.

#[cfg(feature = "access")]
mod access;
#[cfg(feature = "admin")]
mod admin;
mod log_format;
pub(crate) mod process;
pub(crate) mod service;

#[cfg(feature = "access")]
pub(crate) use access::{AccessOptions, PrivilegeOptions, ProxyProtocol};
#[cfg(feature = "admin")]
pub(crate) use admin::AdminOptions;
pub(crate) use process::ProcessOptions;
pub(crate) use service::{ModeName, ServiceOptions};

use crate::origins::Origins;
use clap::Parser;
use clap::builder::styling::Styles;

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
SIGTERM and SIGINT drain the server: it accepts no more, answers what it has received, and closes.
A second signal stops it at once; within 500 ms it counts as a repetition of the first.
SIGHUP reads the file of --config again: limits, timeouts, the log level and --to change, for open
connections as well. What needs a restart is logged, and a wrong file changes nothing.
SIGUSR1 logs the server as a whole, each client with its bytes in and out, and each task. Nothing
stops for it.
Exit codes: 0 after a clean drain, 1 when something failed or the drain took too long, 2 for a
wrong command line, 128 + N when signal N stopped the server at once.";

/// What the part `systemd` adds.
const RESTART: &str = "
SIGUSR2 restarts the server: the program's file, as it is then, is started with the sockets, and no
client is refused. The old process serves its clients to their end, for the time of --drain, and
then drains.";

fn after_help() -> String {
    let restart = if cfg!(feature = "systemd") {
        RESTART
    } else {
        ""
    };
    EXAMPLES.replace("\nExit codes:", &format!("{restart}\nExit codes:"))
}

/// A multi-client TCP server: thousands of connections on one epoll event loop.
#[derive(Clone, Debug, Parser)]
#[command(name = "oneloop", bin_name = "oneloop", version, after_help = after_help(), styles = Styles::plain())]
pub(crate) struct Options {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,

    #[command(flatten)]
    pub(crate) process: ProcessOptions,

    /// The service's name in the file; `None` for the only service of a command line.
    #[arg(skip)]
    pub(crate) name: Option<String>,

    /// Where the values come from.
    #[arg(skip)]
    pub(crate) origins: Origins,
}
