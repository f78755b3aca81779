//! Watching a loop: its counters, a report of each phase, each task, and its heartbeat for another
//! thread.

use crate::mechanisms::guard::guarded;
use crate::mechanisms::slots::Key;
use crate::mechanisms::workers::{Class, PoolStats};
use crate::state::{Handle, LoopState, Observer};
use crate::tasks::heartbeat::Heartbeat;
use crate::tasks::key::Task;
use crate::tasks::observed::{SpawnedTask, TaskObserver, observe};
use crate::tasks::stats::{PhaseReport, Stats};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

impl Handle {
    /// The loop's counts so far.
    #[doc(alias("metrics", "RuntimeMetrics", "uv_metrics_info"))]
    pub fn stats(&self) -> Stats {
        self.state.counters.snapshot()
    }

    /// What the loop's worker threads of a class do at this moment.
    ///
    /// ```
    /// use oneloop::{EventLoop, core::Class};
    /// let mut event_loop = EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// event_loop.block_on(async { handle.offload(|| ()).await }).unwrap();
    /// let stats = handle.pool_stats(Class::Cpu);
    /// assert_eq!((stats.threads, stats.queued), (1, 0));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[doc(alias = "blocking_queue_depth")]
    pub fn pool_stats(&self, class: Class) -> PoolStats {
        self.state.workers.stats(class)
    }

    /// Counts the tasks that have not ended by the types of their futures. A walk over all tasks
    /// that looks into none of them: ten thousand take some tens of microseconds, where
    /// [`Handle::dump_tasks`] describes each.
    ///
    /// A task that runs has no type here, as its future is out of the list: `None`.
    ///
    /// ```
    /// async fn serve() {
    ///     std::future::pending().await
    /// }
    ///
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// (0..3).for_each(|_| handle.spawn_detached(serve()));
    /// event_loop.run_nowait()?;
    /// let counts = handle.count_tasks_by_type();
    /// assert!(matches!(counts[..], [(Some(name), 3)] if name.contains("serve")), "{counts:?}");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn count_tasks_by_type(&self) -> Vec<(Option<&'static str>, usize)> {
        let mut counts: Vec<(Option<&'static str>, usize)> = Vec::new();
        for name in self.state.tasks.borrow().type_names() {
            // A program has few types of tasks, and those of one type are often neighbors.
            match counts.iter_mut().find(|(counted, _)| *counted == name) {
                Some((_, count)) => *count += 1,
                None => counts.push((name, 1)),
            }
        }
        counts
    }

    /// Calls `observer` with a report of each phase of each turn; `None` ends that. Meanwhile each
    /// run of a task costs two looks at the clock. It takes the place of the observer of an earlier
    /// call; [`Handle::observe_also`] adds one.
    pub fn observe<F: FnMut(&PhaseReport) + 'static>(&self, observer: Option<F>) {
        let before = self.state.remove_observer(THE_PROGRAMS);
        drop(before); // foreign code, so after the borrow (rule 1)
        if let Some(observer) = observer {
            self.state.add_observer(THE_PROGRAMS, observer);
        }
    }

    /// Calls `observer` with a report of each phase of each turn until the returned value is
    /// dropped, beside all other observers: for a tool that watches for a while.
    ///
    /// ```
    /// use std::{cell::Cell, rc::Rc};
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let (handle, runs) = (event_loop.handle(), Rc::new(Cell::new(0)));
    /// let counted = Rc::clone(&runs);
    /// let observing = handle.observe_also(move |report| {
    ///     counted.set(counted.get() + report.ran.len());
    /// });
    /// handle.spawn(async {});
    /// event_loop.run()?;
    /// drop(observing);
    /// assert_eq!(runs.get(), 1);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn observe_also(&self, observer: impl FnMut(&PhaseReport) + 'static) -> Observing {
        let number = self.state.next_observer.get();
        self.state.next_observer.set(number + 1);
        self.state.add_observer(number, observer);
        Observing {
            handle: self.clone(),
            number,
        }
    }

    /// Shows `observer` each task that is spawned from now on, its runs, its wakes and its end;
    /// `None` ends that for later tasks. `oneloop::tracing` is such an observer.
    ///
    /// A task that the observer does not see costs nothing more, not even in a run. One that it
    /// sees costs two allocations, and the observer's functions for each run and each wake.
    ///
    /// ```
    /// use oneloop::core::{ObservedTask, ObservedWaker, SpawnedTask, TaskObserver, yield_now};
    /// use std::{cell::Cell, rc::Rc};
    ///
    /// struct CountRuns(Rc<Cell<u32>>);
    /// struct NoWakes;
    ///
    /// impl TaskObserver for CountRuns {
    ///     fn spawned(&self, _: &SpawnedTask<'_>) -> Option<Box<dyn ObservedTask>> {
    ///         Some(Box::new(CountRuns(Rc::clone(&self.0))))
    ///     }
    /// }
    /// impl ObservedTask for CountRuns {
    ///     fn run_begins(&mut self) {}
    ///     fn run_ends(&mut self, _wakers: usize) {
    ///         self.0.set(self.0.get() + 1);
    ///     }
    ///     fn waker(&self) -> Box<dyn ObservedWaker> {
    ///         Box::new(NoWakes)
    ///     }
    /// }
    /// impl ObservedWaker for NoWakes {
    ///     fn wakes(&self, _by_value: bool) {}
    /// }
    ///
    /// let mut event_loop = oneloop::EventLoop::new()?;
    /// let (handle, runs) = (event_loop.handle(), Rc::default());
    /// handle.observe_tasks(Some(CountRuns(Rc::clone(&runs))));
    /// handle.spawn(async { yield_now().await });
    /// event_loop.run()?;
    /// assert_eq!(runs.get(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn observe_tasks(&self, observer: Option<impl TaskObserver + 'static>) {
        let observer = observer.map(|observer| Rc::new(observer) as Rc<dyn TaskObserver>);
        let before = self.state.task_observer.replace(observer);
        drop(before); // foreign code, so after the borrow (rule 1)
    }

    /// The loop's heartbeat, for a thread that watches it. While it is held, each run of a task
    /// costs two uncontended locks.
    pub fn heartbeat(&self) -> Arc<Heartbeat> {
        self.state.is_watched.set(true);
        let mut heartbeat = self.state.heartbeat.borrow_mut();
        Arc::clone(heartbeat.get_or_insert_default())
    }
}

/// Keeps an observer of [`Handle::observe_also`] until it is dropped.
#[must_use = "the observer ends when this is dropped"]
pub struct Observing {
    handle: Handle,
    number: u64,
}

impl fmt::Debug for Observing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observing").field(&self.number).finish()
    }
}

impl Drop for Observing {
    fn drop(&mut self) {
        let observer = self.handle.state.remove_observer(self.number);
        drop(observer); // foreign code, so after the borrow (rule 1)
    }
}

/// The number of the observer of [`Handle::observe`].
const THE_PROGRAMS: u64 = 0;
/// The number of the first observer of [`Handle::observe_also`].
pub(crate) const FIRST_ADDED: u64 = 1;

impl LoopState {
    fn add_observer(&self, number: u64, observer: impl FnMut(&PhaseReport) + 'static) {
        let observer = Rc::new(RefCell::new(observer));
        self.observers.borrow_mut().push((number, observer));
    }

    fn remove_observer(&self, number: u64) -> Option<Observer> {
        let mut observers = self.observers.borrow_mut();
        let index = observers.iter().position(|(other, _)| *other == number)?;
        Some(observers.remove(index).1)
    }

    /// The heartbeat, unless the last thread that watched has let it go: then the loop does so, too,
    /// and further runs cost nothing more.
    pub(crate) fn heartbeat_if_watched(&self) -> Option<Arc<Heartbeat>> {
        let mut heartbeat = self.heartbeat.borrow_mut();
        if heartbeat
            .as_ref()
            .is_some_and(|beat| Arc::strong_count(beat) == 1)
        {
            *heartbeat = None;
            self.is_watched.set(false);
        }
        heartbeat.clone()
    }

    /// Shows the observer a task that was just spawned.
    #[cold]
    pub(crate) fn observe_spawned(&self, key: Key<Task>) {
        let Some(observer) = self.task_observer.borrow().clone() else {
            return;
        };
        let mut tasks = self.tasks.borrow_mut();
        let Some(task) = tasks.get_mut(key) else {
            return;
        };
        let (spawned_at, spawned_by) = (task.spawned_at, task.spawned_by);
        // Out of its slot, as in a run: the description and the observer are foreign code (rule 1).
        let Some(body) = task.body.take() else {
            return;
        };
        drop(tasks);
        let observed = guarded(|| {
            observer.spawned(&SpawnedTask {
                key,
                body: &*body,
                spawned_at,
                spawned_by: Some(spawned_by).filter(|by| *by != Task::NONE),
            })
        });
        let body = match observed.flatten() {
            Some(task) => observe(body, task),
            None => body,
        };
        // The slot is still there even if the observer has canceled the task: see `task_info`.
        if let Some(task) = self.tasks.borrow_mut().get_mut(key) {
            task.body = Some(body);
        }
    }
}
