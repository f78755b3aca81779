//! Databases, as programs of their own: each on a port of its own, until its last test ends.

use crate::https_server::MADE;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use tempfile::TempDir;

/// A user without privileges: PostgreSQL refuses to run as root.
const UNPRIVILEGED: u32 = 65_534;

/// A server, which ends when this is dropped, also by a panic.
pub(crate) struct Server {
    _process: Process,
    pub(crate) port: u16,
    /// Its files, and its Unix socket. Declared last: they go once the process has ended.
    pub(crate) dir: TempDir,
}

/// The server that the running tests share, if there are any.
pub(crate) struct CurrentServer(Mutex<Weak<Server>>);

pub(crate) static POSTGRES: CurrentServer = CurrentServer(Mutex::new(Weak::new()));
pub(crate) static REDIS: CurrentServer = CurrentServer(Mutex::new(Weak::new()));

impl CurrentServer {
    /// The server, started by `start` if no test has it.
    fn get(&self, start: fn() -> Option<Server>) -> Option<Arc<Server>> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = current.upgrade() {
            return Some(server);
        }
        let server = Arc::new(start()?);
        *current = Arc::downgrade(&server);
        Some(server)
    }
}

/// A PostgreSQL that trusts the user `postgres`. `None`, with a printed line, where it is not
/// installed.
pub(crate) fn postgres() -> Option<Arc<Server>> {
    POSTGRES.get(|| {
        let dir = tempfile::tempdir().unwrap();
        if geteuid().is_root() {
            chown(dir.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        let mut initdb = postgres_program("initdb", dir.path());
        initdb.args(["--auth=trust", "--username=postgres"]);
        initdb.args(["--no-sync", "--locale=C"]);
        let output = found(initdb.output(), "initdb")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "initdb: {errors}");
        // The names of files that it takes for TLS (`-l`).
        write_identity(&dir.path().join("data"), "server.crt", "server.key");
        let command = |dir: &Path, port: u16| {
            let mut command = postgres_program("postgres", dir);
            command.args(["-h", "127.0.0.1", "-l", "-F", "-p", &port.to_string(), "-k"]);
            command.arg(dir);
            command
        };
        Server::start(dir, command, "ready to accept connections")
    })
}

/// Writes a certificate of `localhost` and its key, which only the servers may read.
fn write_identity(folder: &Path, certificate: &str, key: &str) {
    for (name, text) in [(certificate, &MADE.0), (key, &MADE.1)] {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if geteuid().is_root() {
            chown(&path, Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
    }
}

/// A program of PostgreSQL, on data in this folder. Debian keeps the programs of each version apart.
fn postgres_program(name: &str, dir: &Path) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let folders = versions.map(|version| version.unwrap().path().join("bin"));
    let newest = folders.filter(|folder| folder.join(name).exists()).max();
    let mut command = Command::new(newest.unwrap_or_default().join(name));
    command.arg("-D").arg(dir.join("data"));
    if geteuid().is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

/// A Redis, empty but for what other tests have left. `None`, with a printed line, where it is not
/// installed.
pub(crate) fn redis() -> Option<Arc<Server>> {
    REDIS.get(|| {
        let command = |path: &Path, port: u16| {
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
            command.args(["--save", "", "--unixsocket"]);
            command.arg(path.join("redis.sock")).arg("--dir").arg(path);
            command
        };
        let dir = tempfile::tempdir().unwrap();
        Server::start(dir, command, "Ready to accept connections")
    })
}

/// A Redis that speaks TLS only. `None`, with a printed line, where it is not installed.
pub(crate) fn redis_over_tls() -> Option<Server> {
    let dir = tempfile::tempdir().unwrap();
    write_identity(dir.path(), "tls.crt", "tls.key");
    let command = |path: &Path, port: u16| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", "0", "--save", ""]);
        command.args(["--tls-port", &port.to_string(), "--tls-auth-clients", "no"]);
        command.arg("--tls-cert-file").arg(path.join("tls.crt"));
        command.arg("--tls-key-file").arg(path.join("tls.key"));
        command.arg("--dir").arg(path);
        command
    };
    Server::start(dir, command, "Ready to accept connections")
}

impl Server {
    /// Starts a program, and waits until it prints that it is ready.
    fn start(dir: TempDir, command: impl Fn(&Path, u16) -> Command, ready: &str) -> Option<Server> {
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            let command = command(dir.path(), port);
            let name = command.get_program().to_string_lossy().into_owned();
            let started = match Process::start(command, ready) {
                // Another program was faster.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                started => started,
            };
            return Some(Server {
                _process: found(started, &name)?,
                port,
                dir,
            });
        }
    }
}

/// The result of starting a program; `None`, and a printed line, if there is no such program.
fn found<T>(started: io::Result<T>, program: &str) -> Option<T> {
    match started {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            None
        }
        started => Some(started.unwrap()),
    }
}

/// A program that ends when this is dropped.
struct Process(Child);

impl Process {
    /// Starts a program, and waits until it prints a line that contains `ready`.
    fn start(mut command: Command, ready: &str) -> io::Result<Process> {
        let (output, writer) = io::pipe()?;
        command.stdin(Stdio::null());
        command.stdout(writer.try_clone()?).stderr(writer);
        let process = Process(command.spawn()?);
        drop(command); // it holds the pipe open
        let (mut lines, mut log) = (BufReader::new(output).lines(), String::new());
        for line in &mut lines {
            let line = line?;
            if line.contains(ready) {
                // Read to the end, as the server would wait for room in a full pipe.
                thread::spawn(move || lines.for_each(drop));
                return Ok(process);
            }
            log += &format!("{line}\n");
        }
        match log.contains("Address already in use") {
            true => Err(io::ErrorKind::AddrInUse.into()),
            false => Err(io::Error::other(log)),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // PostgreSQL and Redis close their connections then, and end.
        let _ = kill_process(Pid::from_child(&self.0), Signal::INT);
        let _ = self.0.wait();
    }
}
