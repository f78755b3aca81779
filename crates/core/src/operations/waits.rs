//! What tasks wait for, from what the loop knows anyway: sources have waiters, and timers wakers.

use crate::mechanisms::ready::Direction;
use crate::mechanisms::slots::Key;
use crate::state::{Handle, LoopState};
use crate::tasks::info::{Site, TaskInfo, WaitsFor};
use crate::tasks::key::Task;
use std::collections::HashMap;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// The timers of a loop: see [`Handle::timer_stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TimerStats {
    /// Timers that are armed.
    pub armed: usize,
    /// Those of them that keep the loop alive.
    pub referenced: usize,
    /// The time until the first one is due, or an earlier time: see
    /// [`Timers::next_deadline_ns`](crate::Timers::next_deadline_ns).
    pub next_in: Option<Duration>,
}

impl Handle {
    /// How many timers are armed, and when the first one is due.
    ///
    /// ```
    /// use std::time::Duration;
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// handle.spawn(handle.sleep(Duration::from_secs(60)));
    /// event_loop.run_nowait()?;
    /// let timers = handle.timer_stats();
    /// assert!(timers.armed == 1 && timers.next_in.unwrap() > Duration::from_secs(50));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn timer_stats(&self) -> TimerStats {
        let now_ns = self.state.clock.now_ns();
        let mut timers = self.state.timers.borrow_mut();
        let next_ns = timers.next_deadline_ns();
        TimerStats {
            armed: timers.len(),
            referenced: timers.referenced(),
            next_in: next_ns.map(|ns| Duration::from_nanos(ns.saturating_sub(now_ns))),
        }
    }

    /// What tasks wait for, as far as their loop knows: each wait for an fd or a timer whose waker is
    /// the task's own. A task that waits for another task, or by a waker that a library has put
    /// around its own, has no wait here.
    ///
    /// It walks over all sources and timers, and costs nothing at other times.
    ///
    /// ```
    /// use oneloop::core::WaitsFor;
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// handle.spawn(handle.sleep(std::time::Duration::from_secs(60)));
    /// event_loop.run_nowait()?;
    /// let task = handle.dump_tasks()[0].key;
    /// assert_eq!(handle.dump_waits(), [(task, WaitsFor::Timer)]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn dump_waits(&self) -> Vec<(Key<Task>, WaitsFor)> {
        let state = &self.state;
        let by_waker = state.tasks_by_waker();
        let mut waits = Vec::new();
        for (_, registration) in state.reactor.borrow().iter() {
            for direction in [Direction::Read, Direction::Write] {
                let task =
                    registration.waiting_task(direction, |waker| state.owner(&by_waker, waker));
                let wait = WaitsFor::Fd(registration.fd(), direction);
                waits.extend(task.map(|task| (task, wait)));
            }
        }
        for waker in state.timers.borrow().values() {
            waits.extend(
                state
                    .owner(&by_waker, waker)
                    .map(|task| (task, WaitsFor::Timer)),
            );
        }
        waits
    }

    /// The tasks of a loop that may have very many: how many each place has spawned, the largest
    /// group first, and a description of at most `each_max` tasks of each place.
    ///
    /// ```
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// (0..1000).for_each(|_| handle.spawn_detached(std::future::pending::<()>()));
    /// event_loop.run_nowait()?;
    /// let (sites, tasks) = handle.dump_sites(10);
    /// assert_eq!((sites.len(), sites[0].tasks, tasks.len()), (1, 1000, 10));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn dump_sites(&self, each_max: usize) -> (Vec<Site>, Vec<TaskInfo>) {
        let mut sites: HashMap<_, usize> = HashMap::new();
        let mut shown = Vec::new();
        for (task, spawned_at) in self.state.tasks.borrow().sites() {
            // By its text, as one place may have several `Location`s.
            let place = (spawned_at.file(), spawned_at.line());
            let tasks = sites.entry(place).or_default();
            *tasks += 1;
            if *tasks <= each_max {
                shown.push(task);
            }
        }
        let sites = sites.into_iter();
        let sites = sites.map(|((file, line), tasks)| Site { file, line, tasks });
        let mut sites: Vec<Site> = sites.collect();
        sites.sort_by_key(|site| (usize::MAX - site.tasks, site.file, site.line));
        let shown = shown.into_iter();
        (
            sites,
            shown
                .filter_map(|task| self.state.task_info(task))
                .collect(),
        )
    }
}

impl LoopState {
    fn tasks_by_waker(&self) -> HashMap<usize, Key<Task>> {
        let tasks = self.tasks.borrow();
        let addr = |key| Some((Arc::as_ptr(&tasks.get(key)?.queue).addr(), key));
        tasks.names().into_iter().filter_map(addr).collect()
    }

    /// The task whose own waker this is.
    fn owner(&self, by_waker: &HashMap<usize, Key<Task>>, waker: &Waker) -> Option<Key<Task>> {
        if !std::ptr::eq(waker.vtable(), self.waker_vtable) {
            return None;
        }
        by_waker.get(&waker.data().addr()).copied()
    }
}
