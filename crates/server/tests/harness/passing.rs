//! Starts the server with sockets, as a service manager does (`sd_listen_fds(3)`).

use super::command;
use super::process::Process;
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The lowest number of an fd that a shell moves to its place.
const SOURCES: i32 = 100;

/// Starts the server with these sockets from fd 3 on, in this order, and with these names.
#[track_caller]
pub(crate) fn start_with(sockets: &[(&str, &dyn AsFd)], args: &[&str]) -> Process {
    let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
    let (count, names) = (sockets.len(), names.join(":"));
    let variables = format!("LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES={names}");
    let sockets: Vec<_> = sockets.iter().map(|(_, socket)| *socket).collect();
    start_with_variables(&variables, &sockets, args)
}

/// The same, with variables of the test's choice.
#[track_caller]
pub(crate) fn start_with_variables(
    variables: &str,
    sockets: &[&dyn AsFd],
    args: &[&str],
) -> Process {
    let inherited = |socket: &&dyn AsFd| {
        let fd = fcntl_dupfd_cloexec(socket.as_fd(), SOURCES).unwrap();
        // Children of other tests may get it as well until it is closed below. They do not know.
        fcntl_setfd(&fd, FdFlags::empty()).unwrap();
        fd
    };
    let sources: Vec<OwnedFd> = sockets.iter().map(inherited).collect();
    let moves = sources.iter().zip(3..).map(|(source, target)| {
        let source = source.as_raw_fd();
        format!("exec {target}<&{source} {source}<&-; ")
    });
    let script = format!("{}export {variables}", moves.collect::<String>());
    Process::start(command::main_after_bash(&script, args))
}
