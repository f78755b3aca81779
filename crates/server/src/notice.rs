//! Log lines for events that clients can cause as often as they like: one line per second of each
//! kind, with a count of the events that it leaves out.

use oneloop::Handle;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time between two lines of one kind.
const INTERVAL: Duration = Duration::from_secs(1);

/// A kind of line. The first event is logged at once. Of the events within the next second, the
/// last one is logged at the end of the second, with a count of the others; so no event waits for
/// another one to be logged. A threshold that grows, such as a power of two, would hide the second
/// outage behind the first.
///
/// ```text
///   quiet ──event: log it──▶ within a second ──event: keep the last, count──▶ pending
///     ▲                        │                                                │
///     └───── the second ends ──┘◀──────────── the second ends: log it ──────────┘
/// ```
pub(crate) struct Notice<T> {
    core: Arc<NoticeCore<T>>,
}

struct NoticeCore<T> {
    /// Logs an event, and how many others it stands for, if any.
    log: fn(&T, Option<u64>),
    state: Mutex<NoticeState<T>>,
}

struct NoticeState<T> {
    /// When the last line was logged.
    logged: Option<Instant>,
    /// The last event that is not logged yet, and how many there were before it.
    pending: Option<(T, u64)>,
}

impl<T> Notice<T> {
    pub(crate) fn new(log: fn(&T, Option<u64>)) -> Self {
        let state = NoticeState {
            logged: None,
            pending: None,
        };
        let state = Mutex::new(state);
        Notice {
            core: Arc::new(NoticeCore { log, state }),
        }
    }

    /// Logs the pending event, if any: the server ends.
    pub(crate) fn flush(&self) {
        self.core.flush(None);
    }
}

impl<T: 'static> Notice<T> {
    /// Logs an event now or within a second; at the end of the server, if this loop ends before.
    pub(crate) fn log(&self, handle: &Handle, event: T) {
        let now = handle.now();
        let mut state = self.core.lock();
        let next = state.logged.map(|logged| logged + INTERVAL);
        // No timer runs while events are rare: a single event costs a line, and nothing later.
        match next.filter(|next| now < *next) {
            None => {
                // The events of another loop, whose timer has not fired yet.
                let more = state.pending.take().map(|(_, more)| more + 1);
                state.logged = Some(now);
                drop(state);
                (self.core.log)(&event, more);
            }
            Some(next) => {
                let before = state.pending.take();
                let is_first = before.is_none();
                state.pending = Some((event, before.map_or(0, |(_, more)| more + 1)));
                drop(state);
                // One timer per second and kind: the events that follow only replace the pending
                // one.
                if is_first {
                    self.flush_at(handle, next);
                }
            }
        }
    }

    fn flush_at(&self, handle: &Handle, time: Instant) {
        let (core, handle) = (Arc::clone(&self.core), handle.clone());
        handle.clone().spawn_detached(async move {
            handle.sleep_until(time).await;
            core.flush(Some(handle.now()));
        });
    }
}

impl<T> NoticeCore<T> {
    fn lock(&self) -> MutexGuard<'_, NoticeState<T>> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self, now: Option<Instant>) {
        let mut state = self.lock();
        let Some((event, more)) = state.pending.take() else {
            return;
        };
        state.logged = now.or(state.logged);
        drop(state);
        (self.log)(&event, Some(more).filter(|more| *more > 0));
    }
}

impl<T> fmt::Debug for Notice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notice")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop::{EventLoop, Options};

    /// An event whose line goes to a list.
    type NumberedEvent = (Arc<Mutex<Vec<String>>>, u32);

    fn log((lines, event): &NumberedEvent, more: Option<u64>) {
        let line = more.map_or(format!("{event}"), |more| {
            format!("{event} and {more} more")
        });
        lines.lock().unwrap().push(line);
    }

    #[test]
    fn a_second_has_one_line_and_a_count() {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let logged = |lines: &Mutex<Vec<String>>| std::mem::take(&mut *lines.lock().unwrap());
        let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
        let (handle, notice) = (event_loop.handle(), Notice::new(log));
        let tell = |events: std::ops::Range<u32>| {
            events.for_each(|event| notice.log(&handle, (Arc::clone(&lines), event)));
        };
        event_loop.block_on(async {
            tell(0..1);
            assert_eq!(logged(&lines), ["0"], "the first one at once");
            tell(1..39);
            assert_eq!(logged(&lines), [""; 0]);
            handle.sleep(INTERVAL).await;
            handle.sleep(Duration::from_millis(1)).await;
            assert_eq!(
                logged(&lines),
                ["38 and 37 more"],
                "at the end of the second"
            );
            tell(39..40);
            assert_eq!(logged(&lines), [""; 0], "that was this second's line");
            handle.sleep(INTERVAL).await;
            assert_eq!(logged(&lines), ["39"]);
            handle.sleep(INTERVAL).await;
            assert_eq!(logged(&lines), [""; 0]);
            tell(40..41);
            assert_eq!(logged(&lines), ["40"], "after a silence at once");
            tell(41..44);
            notice.flush();
            assert_eq!(
                logged(&lines),
                ["43 and 2 more"],
                "at the end of the server"
            );
            notice.flush();
            assert_eq!(logged(&lines), [""; 0]);
        });
    }

    #[test]
    fn the_next_line_counts_what_an_ended_loop_left() {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let notice = Notice::new(log);
        let mut first = EventLoop::with(Options::virtual_time()).unwrap();
        first.block_on(async {});
        (0..3).for_each(|event| notice.log(&first.handle(), (Arc::clone(&lines), event)));
        let mut second = EventLoop::with(Options::virtual_time()).unwrap();
        let handle = second.handle();
        second.block_on(handle.sleep(2 * INTERVAL));
        drop(first);
        notice.log(&handle, (Arc::clone(&lines), 3));
        assert_eq!(*lines.lock().unwrap(), ["0", "3 and 2 more"]);
    }
}
