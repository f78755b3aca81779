//! A child process that cannot outlive its test.

use super::eventually;
use super::lines::Lines;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use std::fs;
use std::io::PipeReader;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A running program, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) stdout: Lines,
    pub(crate) stderr: Lines,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program is installed");
        let stderr = Lines::of(child.stderr.take().expect("stderr is a pipe"));
        Process::watch(child, stderr)
    }

    /// Starts it with a stderr whose other end is closed: each write fails with `EPIPE`.
    pub(crate) fn start_unheard(mut command: Command) -> Self {
        let (unread, stderr) = std::io::pipe().unwrap();
        drop(unread);
        command.stdout(Stdio::piped()).stderr(stderr);
        let child = command.spawn().expect("the program is installed");
        Process::watch(child, Lines::of(std::io::empty()))
    }

    /// Starts it with a stderr that stays open and is not read, so that it fills up.
    pub(crate) fn start_ignored(mut command: Command) -> (Self, PipeReader) {
        let (unread, stderr) = std::io::pipe().unwrap();
        command.stdout(Stdio::piped()).stderr(stderr);
        let child = command.spawn().expect("the program is installed");
        (Process::watch(child, Lines::of(std::io::empty())), unread)
    }

    /// Sets the running program's limit of open files.
    pub(crate) fn limit_files(&self, files: u64) {
        self.limit(Resource::Nofile, files);
    }

    /// Limits the running program to the address space that it has now, and to hardly any more
    /// heap.
    pub(crate) fn limit_memory(&self) {
        self.limit(Resource::As, self.status_kib("VmSize:") * 1024);
    }

    fn limit(&self, resource: Resource, most: u64) {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        prlimit(Some(Pid::from_child(&self.child)), resource, limit).unwrap();
    }

    fn watch(mut child: Child, stderr: Lines) -> Self {
        let stdout = Lines::of(child.stdout.take().expect("stdout is a pipe"));
        Process {
            child,
            stdout,
            stderr,
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops all its threads, until [`thaw`](Process::thaw).
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
        eventually("all threads stopped", || self.states().all(|c| c == 'T'));
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn states(&self) -> impl Iterator<Item = char> {
        let threads = fs::read_dir(self.proc("task")).unwrap();
        threads.map(|thread| {
            let stat = fs::read_to_string(thread.unwrap().path().join("stat")).unwrap();
            stat_fields(&stat)[0].chars().next().unwrap()
        })
    }

    fn proc(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.child.id())
    }

    /// The memory that it holds, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// Its private memory in KiB: pages that it has written to (proc_pid_smaps(5)).
    pub(crate) fn private_kib(&self) -> u64 {
        kib_in(&self.proc("smaps_rollup"), "Private_Dirty:")
    }

    fn status_kib(&self, field: &str) -> u64 {
        kib_in(&self.proc("status"), field)
    }

    /// The CPU time that it has used, in ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(self.proc("stat")).unwrap();
        let fields = stat_fields(&stat);
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Expects that it uses no CPU time for a while. There is no event to wait for: that is the
    /// point.
    #[track_caller]
    pub(crate) fn expect_rest(&self) {
        let before = self.cpu_ticks();
        std::thread::sleep(Duration::from_secs(1));
        let ticks = self.cpu_ticks() - before;
        assert!(ticks <= 8, "{ticks}0 ms of 1 s spent on waiting");
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(self.proc("fd")).unwrap().count()
    }

    /// Waits for its end. A process that ends closes its pipes.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.stdout.read_to_end();
        self.stderr.read_to_end();
        self.child.wait().unwrap()
    }
}

fn kib_in(path: &str, field: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with(field));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.expect("it is in proc(5)").parse().unwrap()
}

/// The fields of proc_pid_stat(5) after the name, which is in brackets; the first is the state.
fn stat_fields(stat: &str) -> Vec<&str> {
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    fields.split_whitespace().collect()
}

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("its stderr: {:#?}", self.stderr.read_to_end());
        }
    }
}

/// All processes that /proc shows: the ID, the state (`Z` for a zombie) and the parent of each.
pub(crate) fn processes() -> Vec<(u32, char, u32)> {
    let dirs = fs::read_dir("/proc").unwrap().flatten();
    let ids = dirs.filter_map(|dir| dir.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (_, fields) = stat.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        let state = fields.next()?.chars().next()?;
        Some((id, state, fields.next()?.parse().ok()?))
    })
    .collect()
}

/// The children of a process: the ID and the state of each.
pub(crate) fn children_of(parent: u32) -> Vec<(u32, char)> {
    let all = processes().into_iter();
    let children = all.filter(|(_, _, of)| *of == parent);
    children.map(|(id, state, _)| (id, state)).collect()
}
