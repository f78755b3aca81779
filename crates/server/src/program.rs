//! `--mode exec`: a program for each client, as inetd, tcpserver and websocketd have it.
//!
//! The program's standard input and output are pipes, and the server passes the bytes. Handing it the socket
//! itself, as inetd does, would cost nothing, and no limit would hold any more: no time-out, no drain. Nor are
//! they socket pairs, as Node has them: `/dev/stdin` cannot be opened then, and bash takes itself for a remote
//! shell. Its standard error is the server's.
//!
//! To start one takes a loop 0.4 ms, in which nothing else happens on it. A client that closes without a reset
//! cannot be told from one that only says no more: its program hears the end of its input, and goes on.

use crate::client::Broken;
use crate::limits;
use crate::options::Options;
use crate::service::{Service, Stage};
use oneloop::net::{Addr, PipeReader, PipeWriter, Socket};
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

/// How long a program has to end, once it was told to.
pub(crate) const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether a program that has ended has left others behind: of their ends nobody tells.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// It is looked less and less often.
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(160);

/// What is run for each client.
#[derive(Debug)]
pub(crate) struct Program {
    name: OsString,
    args: Vec<OsString>,
    /// What the server was started with, before it raised its own.
    open_files_max: Option<u64>,
}

impl Program {
    /// # Errors
    /// A sentence on what cannot be run.
    pub(crate) fn of(options: &Options) -> Result<Self, String> {
        let (name, args) = options.program.split_first().ok_or_else(|| {
            let mode = options.origins.setting("mode");
            format!("{mode} needs a program: oneloop --mode exec -- PROGRAM ARGS")
        })?;
        check(name)?;
        Ok(Program {
            name: name.clone(),
            args: args.to_vec(),
            open_files_max: limits::open_files_max(),
        })
    }

    /// Starts it for a client of whom it is told this; what it prints comes out of the pipe.
    ///
    /// # Errors
    /// Those of `fork(2)` and `exec(2)`: `EAGAIN`, `EMFILE`, `ENOENT`.
    pub(crate) fn start(&self, variables: &[(&str, String)]) -> io::Result<(Running, PipeReader)> {
        let mut command = Command::new(&self.name);
        command.args(&self.args).process_group(0);
        // A sandbox that kept the server from raising it would keep the program from starting.
        if let Some(count) = self.open_files_max
            && limits::open_files_max() != Some(count)
        {
            command.open_files_max(count);
        }
        for name in env::vars_os().map(|(name, _)| name) {
            if is_of_a_client(&name) {
                command.env_remove(name); // the server may itself run for a client
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
        let stdout = child.stdout.take().expect("it was asked for");
        let process = child.process().clone();
        let running = Running {
            child,
            ended: Some(Box::pin(async move { process.wait_unreferenced().await })),
        };
        Ok((running, stdout))
    }
}

/// Looks for the program as `execvp(3)` does, so that a wrong one is no surprise for the first client.
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
    let dirs = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let found = env::split_paths(&dirs).any(|dir: PathBuf| is_program(&dir.join(path)));
    if found {
        Ok(())
    } else {
        cannot("there is no such program in PATH")
    }
}

/// True for a variable that describes a client: tcp-environ(5), and unixserver(1) for Unix sockets.
fn is_of_a_client(name: &OsStr) -> bool {
    let prefixes: [&[u8]; 3] = [b"TCP", b"UNIXLOCAL", b"UNIXREMOTE"];
    let name = name.as_bytes();
    name == b"PROTO" || prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// The groups in which processes ran, zombies aside, at some moment.
struct Look {
    at: Instant,
    took: Duration,
    groups: BTreeSet<u32>,
}

/// The last look. A walk through /proc takes 30 ms where 1,500 processes run, so all clients share it.
static LAST_LOOK: Mutex<Option<Look>> = Mutex::new(None);

impl Look {
    fn new() -> io::Result<Self> {
        let at = Instant::now();
        let is_process = |name: &OsStr| name.as_bytes().first().is_some_and(u8::is_ascii_digit);
        let processes = fs::read_dir("/proc")?.flatten();
        let processes = processes.filter(|dir| is_process(&dir.file_name()));
        let stats = processes.filter_map(|dir| fs::read(dir.path().join("stat")).ok());
        let groups = stats.filter_map(|stat| running_group(&String::from_utf8_lossy(&stat)));
        let groups = groups.collect();
        Ok(Look {
            at,
            took: at.elapsed(),
            groups,
        })
    }

    /// True when the next one may begin: looking takes a tenth of the time at most.
    fn is_old(&self) -> bool {
        self.at.elapsed() > 10 * self.took.max(Duration::from_millis(1))
    }
}

/// True unless a look that was begun since then has found no process of that group but zombies.
fn group_runs(group: u32, since: Instant) -> bool {
    let Ok(mut last) = LAST_LOOK.try_lock() else {
        return true; // another thread looks
    };
    if last.as_ref().is_none_or(Look::is_old) {
        *last = Look::new().ok();
    }
    match &*last {
        Some(look) if look.at >= since => look.groups.contains(&group),
        _ => true,
    }
}

/// proc_pid_stat(5): behind the name, which may have blanks and brackets, are the state, the parent and the
/// group. None for a zombie.
fn running_group(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

fn is_program(path: &Path) -> bool {
    let may_be_run = || match access(path, Access::EXEC_OK) {
        Ok(()) => true,
        // What a sandbox does not let us know, the first client's does.
        Err(error) => Refusal::of(error) == Some(Refusal::Everywhere),
    };
    path.is_file() && may_be_run()
}

/// What a program is told of its client.
pub(crate) fn variables_of(client: &Socket) -> Vec<(&'static str, String)> {
    let local = client.local_addr();
    let (local_inet, remote_inet) = (inet(&local), inet(&client.peer_addr()));
    match (local_inet, remote_inet, local) {
        (Some((local_ip, local_port)), Some((remote_ip, remote_port)), _) => vec![
            ("PROTO", "TCP".to_owned()),
            ("TCPLOCALIP", local_ip),
            ("TCPLOCALPORT", local_port),
            ("TCPREMOTEIP", remote_ip),
            ("TCPREMOTEPORT", remote_port),
        ],
        (_, _, Ok(Addr::UnixPath(path))) => vec![
            ("PROTO", "UNIX".to_owned()),
            ("UNIXLOCALPATH", path.display().to_string()),
        ],
        (None, _, Ok(_)) => vec![("PROTO", "UNIX".to_owned())],
        _ => Vec::new(), // it is gone already
    }
}

fn inet(addr: &io::Result<Addr>) -> Option<(String, String)> {
    let addr = addr.as_ref().ok()?.inet()?;
    let ip = match addr {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
        _ => addr.ip().to_canonical().to_string(),
    };
    Some((ip, addr.port().to_string()))
}

/// A program that runs for a client. Dropped while it does, it is killed with all that it has started.
pub(crate) struct Running {
    child: Child,
    /// None once it has ended.
    ended: Option<Pin<Box<dyn Future<Output = io::Result<ExitStatus>>>>>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.child.fmt(f)
    }
}

impl Running {
    /// Where its input goes, until that has ended.
    pub(crate) fn stdin(&self) -> Option<&PipeWriter> {
        self.child.stdin.as_ref()
    }

    /// Ends its input once it has ended itself, unless others still read that: so its client, who may have
    /// nothing more to say, is not waited for.
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

    /// Ends its input.
    pub(crate) fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Waits for its end. After a good end of its connection it has all the time that it takes, as some have
    /// things to do when their client has gone, or as much as `--idle-timeout` gives; otherwise it is told to
    /// end, and killed if it does not; and so is what it has started, unless that has left its group.
    ///
    /// # Errors
    /// Nobody knows how it ended: see [`Child::wait`].
    pub(crate) async fn end(
        mut self,
        service: &Service,
        connection: &Result<(), Broken>,
    ) -> io::Result<ExitStatus> {
        self.close_stdin();
        if connection.is_ok()
            && let Some(ended) = self.wait_in_time(service).await
        {
            return ended;
        }
        debug!(process = self.child.id(), "its program is told to end");
        self.signal(SIGTERM);
        let deadline = service.handle.now() + GRACE;
        let ended = service.handle.timeout_at(deadline, self.child.wait());
        let _ = ended.await; // the last line tells how
        let mut pause = LOOK_AGAIN;
        let since = Instant::now();
        while self.has_left_others(since) && service.handle.now() < deadline {
            service.handle.sleep(pause).await;
            pause = (2 * pause).min(LOOK_AGAIN_MAX);
        }
        self.signal(SIGKILL);
        self.child.wait().await
    }

    /// Waits for its end, but not beyond `--idle-timeout` or the end of the drain.
    async fn wait_in_time(&mut self, service: &Service) -> Option<io::Result<ExitStatus>> {
        let mut ended = pin!(self.child.wait());
        let in_time = poll_fn(|cx| match ended.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => service
                .shared
                .poll_stage(cx, Stage::CuttingOff)
                .map(|()| None),
        });
        match service.limits.idle {
            None => in_time.await,
            Some(idle) => service.handle.timeout(idle, in_time).await.ok().flatten(),
        }
    }

    /// True if processes of its group run. A zombie, which stays where nothing reaps it, can be signaled,
    /// and does not run.
    fn has_left_others(&self, since: Instant) -> bool {
        self.signal(0) && group_runs(self.child.id(), since)
    }

    /// Tells all of its group: the program and what it has started. False if nobody is left of it.
    fn signal(&self, number: i32) -> bool {
        self.child.signal_group(number).is_ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(SIGKILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_look_from_after_the_end_tells_that_nothing_is_left() {
        let own = rustix::process::getpgrp()
            .as_raw_nonzero()
            .get()
            .unsigned_abs();
        let (nobody, began) = (u32::MAX, Instant::now());
        assert!(group_runs(nobody, began + Duration::from_secs(3600)));
        while LAST_LOOK
            .lock()
            .unwrap()
            .as_ref()
            .is_none_or(|look| look.at < began)
        {
            group_runs(nobody, began);
        }
        assert!(group_runs(own, began));
        assert!(!group_runs(nobody, began));
    }

    #[test]
    fn a_zombie_runs_in_no_group() {
        assert_eq!(running_group("7 (a) Z 9) S 1 42 42 0"), Some(42));
        assert_eq!(running_group("7 (a) S 9) Z 1 42 42 0"), None);
        assert_eq!(running_group("not of proc_pid_stat(5)"), None);
    }
}
