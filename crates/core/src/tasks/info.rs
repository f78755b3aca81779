//! What a report says about tasks: one line for each, and why they are listed.

use crate::mechanisms::ready::Direction;
use crate::mechanisms::slots::Key;
use crate::tasks::key::Task;
use std::fmt;
use std::os::fd::RawFd;
use std::panic::Location;
use std::time::Duration;

/// The state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It runs right now: it is the task that called
    /// [`Handle::dump_tasks`](crate::Handle::dump_tasks).
    Running,
    /// It is in the run queue.
    Ready,
    /// It waits for a wake-up.
    Waiting,
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TaskState::Running => "runs",
            TaskState::Ready => "ready",
            TaskState::Waiting => "waits",
        })
    }
}

/// One task, as [`Handle::dump_tasks`](crate::Handle::dump_tasks) found it. It prints as one line.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskInfo {
    /// Its key.
    pub key: Key<Task>,
    /// Its description: the type of an async task, or a green thread's name and what it waits for.
    /// Empty for the running task.
    pub what: String,
    /// Its state.
    pub state: TaskState,
    /// The time since its last run, or since it was spawned.
    pub since: Duration,
    /// The place where it was spawned.
    pub spawned_at: &'static Location<'static>,
    /// The task that spawned it, which may have ended; `None` for code outside of tasks.
    pub spawned_by: Option<Key<Task>>,
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} {}", self.key, self.state)?;
        if self.state != TaskState::Running {
            write!(f, " {:.1?}", self.since)?;
        }
        if !self.what.is_empty() {
            write!(f, ": {}", self.what)?;
        }
        let at = self.spawned_at;
        write!(f, "; spawned at {}:{}", at.file(), at.line())?;
        match self.spawned_by {
            Some(by) => write!(f, " by task {by}"),
            None => Ok(()),
        }
    }
}

/// What a task waits for: see [`Handle::dump_waits`](crate::Handle::dump_waits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// An fd, to read or to write.
    Fd(RawFd, Direction),
    /// A timer.
    Timer,
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitsFor::Fd(fd, Direction::Read) => write!(f, "fd {fd} to read"),
            WaitsFor::Fd(fd, Direction::Write) => write!(f, "fd {fd} to write"),
            WaitsFor::Timer => f.write_str("a timer"),
        }
    }
}

/// A place that spawns tasks: see [`Handle::dump_sites`](crate::Handle::dump_sites).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// Its file.
    pub file: &'static str,
    /// Its line.
    pub line: u32,
    /// The number of its tasks that have not ended.
    pub tasks: usize,
}

/// Tasks that have not finished when their loop ends, or when nothing on it can wake one: see
/// [`Handle::on_unfinished`](crate::Handle::on_unfinished). It prints as a list with a line for
/// each task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unfinished {
    /// Why the tasks are reported.
    pub cause: UnfinishedCause,
    /// The tasks, in the order of their slots; without the future of `block_on`, which is none.
    pub tasks: Vec<TaskInfo>,
}

/// Why tasks are reported as unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnfinishedCause {
    /// The loop is dropped, and these tasks with it.
    LoopDropped,
    /// The `block_on` that was called here waits, and nothing on its loop can wake a task: only
    /// another thread that holds a waker could.
    Stuck(&'static Location<'static>),
    /// The `block_on` that was called here never returns: its future waits, has kept no waker, and
    /// is alone on the loop.
    Lost(&'static Location<'static>),
}

/// How many tasks a report prints; it counts the others.
const TASKS_PRINTED: usize = 50;

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cause {
            UnfinishedCause::LoopDropped => f.write_str("the loop ends while tasks still wait")?,
            UnfinishedCause::Stuck(at) => write!(
                f,
                "block_on at {at} waits, and nothing on its loop can wake a task: only another \
                 thread could"
            )?,
            UnfinishedCause::Lost(at) => write!(
                f,
                "block_on at {at} never returns: its future waits, and nothing has its waker"
            )?,
        }
        for task in self.tasks.iter().take(TASKS_PRINTED) {
            write!(f, "\n  {task}")?;
        }
        match self.tasks.len().saturating_sub(TASKS_PRINTED) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
