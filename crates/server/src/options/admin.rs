//! The options that say how operators look at the server.

use crate::endpoint::Endpoint;
use crate::options::log_format::LogFormat;
use clap::Args;
use oneloop::net::Addr;
use std::path::PathBuf;
use std::process;

// A doc comment would become the text of `--help`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of the process")]
pub(crate) struct AdminOptions {
    /// Show operators what the server does: a live page about its loops and connections, traces
    /// at /trace?secs=5, /metrics, /healthz and /readyz. HOST:PORT, PORT or unix:PATH, or without a value an abstract socket,
    /// unix:@oneloop-PID, that only this user and root can use
    #[arg(
        long,
        value_name = "ADDR",
        env = "ONELOOP_ADMIN",
        num_args = 0..=1,
        default_missing_value = OWN_SOCKET,
        value_parser = addr
    )]
    pub(crate) admin: Option<Addr>,

    /// What each request to --admin must show, as `Authorization: Bearer TOKEN` or ?token=TOKEN;
    /// required where other machines can connect. Better given by the variable: other users see
    /// command lines
    #[arg(
        long,
        value_name = "TOKEN",
        env = "ONELOOP_ADMIN_TOKEN",
        hide_env_values = true
    )]
    pub(crate) admin_token: Option<String>,

    /// Write a trace of each turn of all loops to this file: in Chrome's format if its name ends in
    /// .json, else for https://ui.perfetto.dev
    #[arg(long, value_name = "FILE", env = "ONELOOP_TRACE_FILE")]
    pub(crate) trace_file: Option<PathBuf>,

    /// Write a line for each connection that has ended into this file; - is standard output. A file
    /// that was moved away, as logrotate does, is opened again within a second
    #[arg(long, value_name = "FILE", env = "ONELOOP_ACCESS_LOG")]
    pub(crate) access_log: Option<String>,

    /// The format of the lines of --access-log
    #[arg(
        long,
        value_name = "FORMAT",
        env = "ONELOOP_ACCESS_LOG_FORMAT",
        default_value = "text"
    )]
    pub(crate) access_log_format: LogFormat,
}

/// Stands for the abstract socket of this process.
const OWN_SOCKET: &str = "unix:@";

/// An address for operators.
fn addr(text: &str) -> Result<Addr, String> {
    if text == OWN_SOCKET {
        let name = format!("oneloop-{}", process::id());
        return Ok(Addr::UnixAbstract(name.into_bytes()));
    }
    match Endpoint::parse(text) {
        // A port alone means this machine; one address is enough for operators.
        Some(Endpoint::Addrs(addrs)) => Ok(addrs[0].clone()),
        Some(Endpoint::Name(host, _)) => Err(format!("give an IP address instead of '{host}'")),
        None => Err(Endpoint::what_is_wrong(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::addr;

    #[test]
    fn a_port_alone_is_on_this_machine_and_no_address_at_all_is_a_socket_of_this_process() {
        assert_eq!(addr("9000").unwrap().to_string(), "127.0.0.1:9000");
        assert_eq!(addr("[::1]:9000").unwrap().to_string(), "[::1]:9000");
        let own = format!("unix:@oneloop-{}", std::process::id());
        assert_eq!(addr("unix:@").unwrap().to_string(), own);
        assert_eq!(
            addr("unix:/run/a.sock").unwrap().to_string(),
            "unix:/run/a.sock"
        );
        assert_eq!(
            addr("example.org:9000").unwrap_err(),
            "give an IP address instead of 'example.org'"
        );
        assert!(addr("9000x").is_err());
    }
}
