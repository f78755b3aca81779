//! What the log says of things that clients can make happen as often as they like: one line a second of each
//! kind, with a count of what it leaves out.

use oneloop::Handle;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often there is a line of one kind.
const INTERVAL: Duration = Duration::from_secs(1);

/// A kind of line. The first event has its line at once. Of those that follow within a second, the last one
/// has its line at the end of it, with a count of the others: so nothing waits for a next event to be told.
/// A threshold that grows, such as a power of two, would hide the second outage behind the first.
pub(crate) struct Notice<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    /// Logs an event, and how many more there were, if any.
    log: fn(&T, Option<u64>),
    state: Mutex<State<T>>,
}

struct State<T> {
    /// When there was a line last.
    logged: Option<Instant>,
    /// The last event that has had no line, and how many there were before it.
    waiting: Option<(T, u64)>,
}

impl<T> Notice<T> {
    pub(crate) fn new(log: fn(&T, Option<u64>)) -> Self {
        let state = State {
            logged: None,
            waiting: None,
        };
        let state = Mutex::new(state);
        Notice {
            inner: Arc::new(Inner { log, state }),
        }
    }

    /// Tells of what waits for its line: the server ends.
    pub(crate) fn flush(&self) {
        self.inner.flush(None);
    }
}

impl<T: 'static> Notice<T> {
    /// Tells of an event, now or within a second: as long as this loop runs, or at the end of the server.
    pub(crate) fn tell(&self, handle: &Handle, event: T) {
        let now = handle.now();
        let mut state = self.inner.lock();
        let next = state.logged.map(|logged| logged + INTERVAL);
        match next.filter(|next| now < *next) {
            None => {
                // Those of another loop that has not come to it yet.
                let more = state.waiting.take().map(|(_, more)| more + 1);
                state.logged = Some(now);
                drop(state);
                (self.inner.log)(&event, more);
            }
            Some(next) => {
                let before = state.waiting.take();
                let is_first = before.is_none();
                state.waiting = Some((event, before.map_or(0, |(_, more)| more + 1)));
                drop(state);
                if is_first {
                    self.flush_at(handle, next);
                }
            }
        }
    }

    fn flush_at(&self, handle: &Handle, time: Instant) {
        let (inner, handle) = (Arc::clone(&self.inner), handle.clone());
        handle.clone().spawn_detached(async move {
            handle.sleep_until(time).await;
            inner.flush(Some(handle.now()));
        });
    }
}

impl<T> Inner<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that holds the lock can leave the state half-changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self, now: Option<Instant>) {
        let mut state = self.lock();
        let Some((event, more)) = state.waiting.take() else {
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

    /// An event that notes its line.
    type Event = (Arc<Mutex<Vec<String>>>, u32);

    fn log((lines, event): &Event, more: Option<u64>) {
        let line = more.map_or(format!("{event}"), |more| {
            format!("{event} and {more} more")
        });
        lines.lock().unwrap().push(line);
    }

    #[test]
    fn a_second_has_one_line_and_a_count() {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let said = |lines: &Mutex<Vec<String>>| std::mem::take(&mut *lines.lock().unwrap());
        let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
        let (handle, notice) = (event_loop.handle(), Notice::new(log));
        let tell = |events: std::ops::Range<u32>| {
            events.for_each(|event| notice.tell(&handle, (Arc::clone(&lines), event)));
        };
        event_loop.block_on(async {
            tell(0..1);
            assert_eq!(said(&lines), ["0"], "the first one at once");
            tell(1..39);
            assert_eq!(said(&lines), [""; 0]);
            handle.sleep(INTERVAL).await;
            handle.sleep(Duration::from_millis(1)).await;
            assert_eq!(said(&lines), ["38 and 37 more"], "at the end of the second");
            tell(39..40);
            assert_eq!(said(&lines), [""; 0], "that was this second's line");
            handle.sleep(INTERVAL).await;
            assert_eq!(said(&lines), ["39"]);
            handle.sleep(INTERVAL).await;
            assert_eq!(said(&lines), [""; 0]);
            tell(40..41);
            assert_eq!(said(&lines), ["40"], "after a silence at once");
            tell(41..44);
            notice.flush();
            assert_eq!(said(&lines), ["43 and 2 more"], "at the end of the server");
            notice.flush();
            assert_eq!(said(&lines), [""; 0]);
        });
    }

    #[test]
    fn what_an_ended_loop_left_is_told_by_the_next_line() {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let notice = Notice::new(log);
        let mut first = EventLoop::with(Options::virtual_time()).unwrap();
        first.block_on(async {});
        (0..3).for_each(|event| notice.tell(&first.handle(), (Arc::clone(&lines), event)));
        let mut second = EventLoop::with(Options::virtual_time()).unwrap();
        let handle = second.handle();
        second.block_on(handle.sleep(2 * INTERVAL));
        drop(first);
        notice.tell(&handle, (Arc::clone(&lines), 3));
        assert_eq!(*lines.lock().unwrap(), ["0", "3 and 2 more"]);
    }
}
