//! The pauses after errors of `accept(2)` and `recvfrom(2)`, on sockets that keep receiving.

use oneloop_core::{Direction, Sleep, Source};
use rustix::io::Errno;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The pause after the first shortage: connections whose clients have left close meanwhile and free
/// fds.
const RETRY: Duration = Duration::from_millis(1);
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The number of failures in a row that end in a pause. The error of one connection says nothing
/// about the next one.
const FAILURES_AT_ONCE: u32 = 8;

/// True for the errors of an unusable fd, on which every further call fails the same way: `EBADF`,
/// `EINVAL`, `ENOTSOCK`, `EFAULT`.
///
/// This is a list of what is fatal, not of what is harmless: accept(2) also returns errors of the
/// network, of firewall rules, and of the protocol, and the kernel's list of those is longer than
/// ours would be.
pub fn is_fatal(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT)
    )
}

/// True if the process or the system has run out of fds, of memory, or of epoll watches.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        // ENFILE is the limit of the system. ENOSPC comes from epoll_ctl(2): the user has reached
        // `/proc/sys/fs/epoll/max_user_watches`.
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC)
    )
}

/// When to call again after failures in a row. The pauses are 10 ms, 20 ms, … up to 1 s.
///
/// ```text
///            fail, 8 in a row, or fall_short
///  calling ───────────────────────────────────▶ pausing
///   ▲   ▲ └─ fewer failures: calls again at once   │
///   │   └──────────── the pause ends ──────────────┘
///   └─ succeed: the next pause is the first one again
/// ```
///
/// `EAGAIN` (`rest`) ends a row of failures, because the socket works and is empty. It does not end
/// a shortage, because a socket without connections says nothing about fds.
#[derive(Debug, Default)]
pub struct Backoff {
    pause: Option<Sleep>,
    /// The length of the next pause; none before the first one.
    next_pause: Option<Duration>,
    /// The number of failures since the last pause.
    passed: u32,
    is_short: bool,
}

impl Backoff {
    /// Waits for the end of the pause, if there is one.
    pub fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Counts one more failure in a row. Returns true if it starts a pause, as every eighth failure
    /// does: a lasting error costs no processor time, and a few bad connections do not delay the
    /// good one behind them.
    pub fn fail(&mut self, source: &Source) -> bool {
        let duration = self.pause_after_failure();
        self.pause = duration.map(|duration| pause(source, duration));
        duration.is_some()
    }

    /// Counts one more failure for lack of fds or memory, and starts a pause. Returns false for the
    /// first one, whose pause is just a millisecond.
    pub fn fall_short(&mut self, source: &Source) -> bool {
        self.is_short = true;
        let lasts = self.next_pause.is_some();
        // Not a full pause at first: the client at the front of the backlog would notice 10 ms.
        let duration = if lasts { self.double() } else { RETRY };
        self.next_pause.get_or_insert(PAUSE_MIN);
        self.pause = Some(pause(source, duration));
        lasts
    }

    /// True during a pause for any reason other than a shortage.
    pub(crate) fn is_failing(&self) -> bool {
        self.pause.is_some() && !self.is_short
    }

    fn pause_after_failure(&mut self) -> Option<Duration> {
        self.passed += 1;
        (self.passed >= FAILURES_AT_ONCE).then(|| self.double())
    }

    fn double(&mut self) -> Duration {
        // Eight more failures before the next pause: some connections may be good by then.
        self.passed = 0;
        let pause = self.next_pause.unwrap_or(PAUSE_MIN);
        self.next_pause = Some((pause * 2).min(PAUSE_MAX));
        pause
    }

    /// Ends the row of failures, after a success.
    pub fn succeed(&mut self) {
        self.next_pause = None;
        self.passed = 0;
        self.is_short = false;
    }

    /// Ends the row of failures after `EAGAIN`, unless there is a shortage.
    pub fn rest(&mut self) {
        if !self.is_short {
            self.succeed();
        }
    }

    /// Polls an operation until it succeeds or fails fatally. Calls `on_failure` with each error
    /// that it passes over, and with true if a pause follows.
    pub fn poll_past_failures<T>(
        &mut self,
        cx: &mut Context<'_>,
        source: &Source,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
        mut on_failure: impl FnMut(&io::Error, bool),
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(self.poll_pause(cx));
            let error = match poll(cx) {
                Poll::Ready(Err(error)) if !is_fatal(&error) => error,
                // The task's I/O budget is spent (rule 4). The row of failures continues in the
                // next turn.
                Poll::Pending if source.is_ready(Direction::Read) => return Poll::Pending,
                Poll::Pending => {
                    self.rest();
                    return Poll::Pending;
                }
                ready => {
                    self.succeed();
                    return ready;
                }
            };
            let pauses = self.fail(source);
            on_failure(&error, pauses);
        }
    }
}

/// Starts a pause, which keeps the loop alive if waiting on the socket does.
fn pause(source: &Source, duration: Duration) -> Sleep {
    let mut pause = source.handle().sleep(duration);
    // A loop that ignores the socket must not stay alive for its pause.
    pause.set_referenced(source.is_referenced());
    pause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_eighth_failure_in_a_row_pauses_for_twice_as_long() {
        let mut backoff = Backoff::default();
        let pauses = |backoff: &mut Backoff, failures| -> Vec<u128> {
            let pauses = (0..failures).filter_map(|_| backoff.pause_after_failure());
            pauses.map(|pause| pause.as_millis()).collect()
        };
        assert_eq!(pauses(&mut backoff, 7), []);
        assert_eq!(
            pauses(&mut backoff, 72),
            [10, 20, 40, 80, 160, 320, 640, 1000, 1000]
        );
        backoff.succeed();
        assert_eq!(pauses(&mut backoff, 8), [10]);
    }

    #[test]
    fn only_an_fd_that_is_unusable_is_fatal() {
        let fatal: Vec<i32> = (1..=133)
            .filter(|errno| is_fatal(&io::Error::from_raw_os_error(*errno)))
            .collect();
        let expected = [Errno::BADF, Errno::FAULT, Errno::INVAL, Errno::NOTSOCK];
        assert_eq!(fatal, expected.map(Errno::raw_os_error));
        assert!(!is_fatal(&io::Error::other("without a number")));
    }
}
