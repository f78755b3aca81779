//! `--mode exec`: a program for each client, as inetd, tcpserver and websocketd run it.
//!
//! The program's standard input and output are pipes, and the server passes the bytes on. Handing
//! it the socket itself, as inetd does, would cost nothing, but no limit would apply any more: no
//! timeout, and no drain. The pipes are not socket pairs, as in Node: open(2) fails on `/dev/stdin`
//! then, and bash takes itself for a remote shell. The program's standard error is the server's.
//!
//! To start a program takes 0.4 ms, in which nothing else runs on the loop. A client that closes
//! without a reset looks like one that only ends its input: the program reads its end of file, and
//! keeps running.

use crate::close_reason::CloseReason;
use crate::introduction::Introduction;
use crate::open_files;
use crate::options::Options;
use crate::process_stat::running_group;
use crate::server::Lifecycle;
use crate::service::Service;
use oneloop::net::{Addr, PipeReader, PipeWriter};
use oneloop::process::{Child, Command, ExitStatus, Stdio};
use oneloop::signal::number::{SIGKILL, SIGTERM};
use oneloop_posix::Refusal;
use rustix::fs::{Access, access};
use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tracing::debug;

/// How long a program has to end after SIGTERM.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// The first pause between two checks whether a program that ended has left processes behind. They
/// are not our children, so the kernel does not report their ends to us.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The longest pause; each is twice the one before.
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(160);

/// The program that is run for each client.
#[derive(Debug)]
pub(crate) struct Program {
    name: OsString,
    args: Vec<OsString>,
    /// The limit that the server was started with, before it raised its own.
    open_files_max: Option<u64>,
}

impl Program {
    /// # Errors
    /// A sentence that says why the program cannot be run.
    pub(crate) fn of(options: &Options) -> Result<Self, String> {
        let (name, args) = options.service.program.split_first().ok_or_else(|| {
            let mode = options.origins.setting("mode");
            format!("{mode} needs a program: oneloop --mode exec -- PROGRAM ARGS")
        })?;
        check(name).map_err(|problem| options.origins.blame("program", problem))?;
        Ok(Program {
            name: name.clone(),
            args: args.to_vec(),
            open_files_max: open_files::limit(),
        })
    }

    /// Starts the program with environment variables that describe its client. The pipe is its
    /// output.
    ///
    /// # Errors
    /// Those of `fork(2)` and `exec(2)`: `EAGAIN`, `EMFILE`, `ENOENT`.
    pub(crate) fn start(&self, variables: &[(&str, String)]) -> io::Result<(Running, PipeReader)> {
        let mut command = Command::new(&self.name);
        // Its own group, so that a signal reaches the program with all that it has started, and a
        // SIGINT from the terminal of the server does not.
        command.args(&self.args).process_group(0);
        // Only if the server has raised it: a sandbox that refuses the change to the server would
        // refuse it between fork and exec as well, and the program would not start.
        if let Some(count) = self.open_files_max
            && open_files::limit() != Some(count)
        {
            command.open_files_max(count);
        }
        for name in env::vars_os().map(|(name, _)| name) {
            if is_of_a_client(&name) || is_of_this_process(&name) {
                command.env_remove(name); // the server itself may run for a client of tcpserver
            }
        }
        for (name, value) in variables {
            command.env(name, value);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            let name = self.name.display();
            io::Error::new(error.kind(), format!("cannot run '{name}': {error}"))
        })?;
        let stdout = child.stdout.take().expect("stdout is piped");
        // Unreferenced, as a program that runs on is no reason for the loop to live.
        let process = child.process().clone();
        let running = Running {
            child,
            // Unreferenced: a drain waits for connections, which hold permits, and not for
            // processes.
            ended: Some(Box::pin(async move { process.wait_unreferenced().await })),
        };
        Ok((running, stdout))
    }
}

/// Searches for the program as `execvp(3)` does, so that a wrong one fails at the start, and not
/// for the first client.
fn check(name: &OsString) -> Result<(), String> {
    let cannot = |why: &str| Err(format!("cannot run '{}': {why}", name.display()));
    let path = Path::new(name);
    if path.components().count() > 1 || path.is_absolute() {
        return match path.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                cannot("there is no such file")
            }
            _ if is_program(path) => Ok(()),
            _ => cannot("it may not be executed"),
        };
    }
    // execvp(3) has this default where PATH is unset.
    let dirs = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let found = env::split_paths(&dirs).any(|dir: PathBuf| is_program(&dir.join(path)));
    if found {
        Ok(())
    } else {
        cannot("there is no such program in PATH")
    }
}

/// True for a variable by which a service manager tells this process something.
fn is_of_this_process(name: &OsStr) -> bool {
    let variables = [
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "NOTIFY_SOCKET",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
    ];
    variables.iter().any(|variable| name == *variable)
}

/// True for a variable that describes a client: tcp-environ(5), and unixserver(1) for Unix sockets.
fn is_of_a_client(name: &OsStr) -> bool {
    let prefixes: [&[u8]; 3] = [b"TCP", b"UNIXLOCAL", b"UNIXREMOTE"];
    let name = name.as_bytes();
    name == b"PROTO" || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// A walk through /proc: the process groups that had members other than zombies.
struct ProcessScan {
    at: Instant,
    took: Duration,
    groups: BTreeSet<u32>,
}

/// The last scan. It takes 30 ms where 1,500 processes run, so all clients share it.
static LAST_SCAN: Mutex<Option<ProcessScan>> = Mutex::new(None);

impl ProcessScan {
    fn new() -> io::Result<Self> {
        let at = Instant::now();
        let is_process = |name: &OsStr| name.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let processes = fs::read_dir("/proc")?.flatten();
        let processes = processes.filter(|dir| is_process(&dir.file_name()));
        let stats = processes.filter_map(|dir| fs::read(dir.path().join("stat")).ok());
        let groups = stats.filter_map(|stat| running_group(&String::from_utf8_lossy(&stat)));
        let groups = groups.collect();
        Ok(ProcessScan {
            at,
            took: at.elapsed(),
            groups,
        })
    }

    /// True when the next scan may begin: at most a tenth of the time is spent on scans.
    fn is_old(&self) -> bool {
        self.at.elapsed() > 10 * self.took.max(Duration::from_millis(1))
    }
}

/// True unless a scan that began after `since` has found only zombies in that group.
fn group_runs(group: u32, since: Instant) -> bool {
    let Ok(mut last) = LAST_SCAN.try_lock() else {
        return true; // another thread scans
    };
    if last.as_ref().is_none_or(ProcessScan::is_old) {
        *last = ProcessScan::new().ok();
    }
    match &*last {
        Some(scan) if scan.at >= since => scan.groups.contains(&group),
        _ => true,
    }
}

fn is_program(path: &Path) -> bool {
    let may_be_run = || match access(path, Access::EXEC_OK) {
        Ok(()) => true,
        // A sandbox refuses the question. If the program cannot be run, the first client will show
        // it.
        Err(error) => Refusal::of(error) == Some(Refusal::Everywhere),
    };
    path.is_file() && may_be_run()
}

/// The variables that describe a client to its program, as tcpserver sets them: tcp-environ(5).
pub(crate) fn variables_of(client: &Introduction) -> Vec<(&'static str, String)> {
    match (inet(&client.to), inet(&client.from)) {
        // tcpserver's names, so that scripts written for it work unchanged. TCPREMOTEHOST is left
        // out: a reverse look-up per client would delay each start.
        (Some((local_ip, local_port)), Some((remote_ip, remote_port))) => vec![
            ("PROTO", "TCP".to_owned()),
            ("TCPLOCALIP", local_ip),
            ("TCPLOCALPORT", local_port),
            ("TCPREMOTEIP", remote_ip),
            ("TCPREMOTEPORT", remote_port),
        ],
        _ => {
            let mut variables = vec![("PROTO", "UNIX".to_owned())];
            if let Addr::UnixPath(path) = &client.to {
                variables.push(("UNIXLOCALPATH", path.display().to_string()));
            }
            if let Addr::UnixPath(path) = &client.from {
                variables.push(("UNIXREMOTEPATH", path.display().to_string()));
            }
            variables
        }
    }
}

fn inet(addr: &Addr) -> Option<(String, String)> {
    let addr = addr.inet()?;
    let ip = match addr {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => addr.ip().to_canonical().to_string(),
    };
    Some((ip, addr.port().to_string()))
}

/// A program that runs for a client. If this is dropped meanwhile, the program is killed together
/// with the processes of its group.
///
/// ```text
///   relaying ──clean end of the connection──▶ has time ──the program exits──▶ reaped
///      │                                         │                             ▲
///      │ the connection failed                   │ --idle-timeout, or --drain  │
///      └──────────────▶ SIGTERM ◀────────────────┘                             │
///                          └──GRACE, or nothing left of the group──▶ SIGKILL ──┘
/// ```
pub(crate) struct Running {
    child: Child,
    /// `None` once the program has ended.
    ended: Option<Pin<Box<dyn Future<Output = io::Result<ExitStatus>>>>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.child.fmt(f)
    }
}

impl Running {
    /// The pipe to its input, until that is closed.
    pub(crate) fn stdin(&self) -> Option<&PipeWriter> {
        self.child.stdin.as_ref()
    }

    /// Closes its input once the program has ended, unless another process still reads it. The
    /// relay would otherwise wait for the end of a client that may have nothing more to send.
    pub(crate) fn poll_ended(&mut self, cx: &mut Context<'_>) {
        if let Some(ended) = &mut self.ended
            && ended.as_mut().poll(cx).is_ready()
        {
            self.ended = None;
            let has_reader = self.stdin().map(PipeWriter::has_reader);
            if !matches!(has_reader, Some(Ok(true))) {
                self.close_stdin();
            }
        }
    }

    /// Closes its input.
    pub(crate) fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Waits for the program's end. After a clean end of its connection it may take its time, as
    /// some programs have work to do when their client is gone: up to `--idle-timeout`, if that is
    /// set. Otherwise the program gets SIGTERM and, if it does not end, SIGKILL; so do the
    /// processes that it has started, unless they have left its group.
    ///
    /// # Errors
    /// The exit status is lost: see [`Child::wait`].
    pub(crate) async fn end(
        mut self,
        service: &Service,
        connection: &Result<(), CloseReason>,
    ) -> io::Result<ExitStatus> {
        self.close_stdin();
        if connection.is_ok()
            && let Some(ended) = self.wait_in_time(service).await
        {
            return ended;
        }
        // The group is signaled, not only the program: a shell would leave its children behind.
        debug!(process = self.child.id(), "its program gets SIGTERM");
        self.signal(SIGTERM);
        let deadline = service.handle.now() + GRACE;
        let ended = service.handle.timeout_at(deadline, self.child.wait());
        let _ = ended.await; // the last line returns how
        // The program itself has ended, and what is left are grandchildren, for which there is no
        // pidfd to wait for.
        let mut pause = LOOK_AGAIN;
        let since = Instant::now();
        while self.has_left_others(since) && service.handle.now() < deadline {
            service.handle.sleep(pause).await;
            pause = (2 * pause).min(LOOK_AGAIN_MAX);
        }
        // Sent even if nothing seems left, as the scan is a guess. It goes by pidfd or, once the
        // leader is reaped, not at all; so it never reaches another group.
        self.signal(SIGKILL);
        self.child.wait().await
    }

    /// Waits for the program's end, but not beyond `--idle-timeout` or the end of the drain.
    async fn wait_in_time(&mut self, service: &Service) -> Option<io::Result<ExitStatus>> {
        let mut ended = pin!(self.child.wait());
        let in_time = poll_fn(|cx| match ended.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => service
                .server
                .poll_lifecycle(cx, Lifecycle::CuttingOff)
                .map(|()| None),
        });
        match service.limits().idle {
            None => in_time.await,
            Some(idle) => service.handle.timeout(idle, in_time).await.ok().flatten(),
        }
    }

    /// True if processes of its group run. kill(2) succeeds for a zombie as well, which stays where
    /// no process reaps it, so /proc must be scanned, too.
    fn has_left_others(&self, since: Instant) -> bool {
        self.signal(0) && group_runs(self.child.id(), since)
    }

    /// Signals its group: the program, and what it has started. False if the group is empty.
    fn signal(&self, number: i32) -> bool {
        self.child.signal_group(number).is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A program that was waited for has been through all of this in `end`.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_scan_that_began_later_shows_that_a_group_is_empty() {
        let own = rustix::process::getpgrp()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let (unused, began) = (u32::MAX, Instant::now());
        assert!(group_runs(unused, began + Duration::from_secs(3600)));
        while LAST_SCAN
            .lock()
            .unwrap()
            .as_ref()
            .is_none_or(|scan| scan.at < began)
        {
            group_runs(unused, began);
        }
        assert!(group_runs(own, began));
        assert!(!group_runs(unused, began));
    }
}
