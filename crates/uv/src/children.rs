//! Children: processes that the loop has started, and whose ends it reports.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::call::Call;
use crate::handle;
use crate::layout::{ExitCallback, Loop, Process, kind};
use crate::state::LoopState;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, waitpid};
use std::collections::VecDeque;

/// The children of a loop.
#[derive(Debug, Default)]
pub(crate) struct Children {
    /// Those that run, in the order of their starts.
    running: Vec<Live<Process>>,
    /// Those that have ended and wait for their callbacks.
    ended: VecDeque<Live<Process>>,
}

pub(crate) fn begin(owner: Live<Loop>, process: Live<Process>) {
    handle::begin(owner, process.as_handle(), kind::PROCESS);
    process.exit_callback.set(None);
    process.pid.set(0);
    process.status.set(0);
}

/// Begins to listen to the ends of children: before the first one starts, so that none is missed.
pub(crate) fn listen(state: &LoopState) -> Result<(), Errno> {
    let mut signals = state.signals.borrow_mut();
    let started = signals.listen_to_children(&mut state.reactor.borrow_mut());
    started.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Notes a child that runs.
pub(crate) fn start(process: Live<Process>, pid: i32, callback: Option<ExitCallback>) {
    process.pid.set(pid);
    process.exit_callback.set(callback);
    let state = process.handle.state();
    state.children.borrow_mut().running.push(process);
    process.handle.activate();
}

/// Forgets a child, which may still run.
pub(crate) fn close(process: Live<Process>) {
    let state = process.handle.state();
    let mut children = state.children.borrow_mut();
    children.running.retain(|other| *other != process);
    children.ended.retain(|other| *other != process);
    process.handle.deactivate();
    if children.running.is_empty() {
        let mut signals = state.signals.borrow_mut();
        signals.ignore_children(&mut state.reactor.borrow_mut());
    }
}

impl Children {
    /// Moves those that have ended. Others of the process's children are not its business.
    pub(crate) fn collect(&mut self) {
        let ended = &mut self.ended;
        self.running.retain(|process| {
            let pid = Pid::from_raw(process.pid.get());
            match pid.map(|pid| waitpid(Some(pid), WaitOptions::NOHANG)) {
                Some(Ok(Some((_, status)))) => {
                    process.status.set(status.as_raw());
                    ended.push_back(*process);
                    false
                }
                _ => true, // it runs, or the program has waited for it
            }
        });
    }
}

/// The call of the next child that has ended.
pub(crate) fn next_call(state: &LoopState) -> Option<Call> {
    loop {
        let process = state.children.borrow_mut().ended.pop_front()?;
        process.handle.deactivate();
        if let Some(callback) = process.exit_callback.get() {
            let status = process.status.get();
            let (code, signal) = if libc::WIFEXITED(status) {
                (libc::WEXITSTATUS(status), 0)
            } else {
                (0, libc::WTERMSIG(status))
            };
            return Some(Call::Exit(callback, process, code.into(), signal));
        }
    }
}
