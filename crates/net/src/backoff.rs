//! How a socket that takes in whatever comes goes on after an error of `accept(2)` or
//! `recvfrom(2)`.

use oneloop_core::{Direction, Sleep, Source};
use rustix::io::Errno;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The first shortage is tried again this soon: connections whose clients have left close
/// meanwhile.
const RETRY: Duration = Duration::from_millis(1);
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// This many failures pass before a pause: the error of one connection says nothing about the next.
const FAILURES_AT_ONCE: u32 = 8;

/// True for the errors that say that the fd itself is unusable, so that every other try fails the
/// same way: `EBADF`, `EINVAL`, `ENOTSOCK`, `EFAULT`.
///
/// accept(2) passes on what went wrong on a connection's network, what a firewall forbids, and
/// whatever the protocol makes up; the list of those is the kernel's and longer than ours, so all
/// of them pass.
pub fn is_fatal(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::BADF | Errno::INVAL | Errno::NOTSOCK | Errno::FAULT)
    )
}

/// True if the process or the system has run out of fds, of memory, or of epoll's watches.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC)
    )
}

/// When to try again after failures in a row: the pauses are 10 ms, 20 ms, … up to 1 s.
#[derive(Debug, Default)]
pub struct Backoff {
    pause: Option<Sleep>,
    /// How long the next pause is; none before the first one.
    next_pause: Option<Duration>,
    /// How many failures passed since the last pause.
    passed: u32,
    is_short: bool,
}

impl Backoff {
    /// Ready unless there is a pause.
    pub fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Counts one more failure in a row; true if it begins a pause. Most failures need none: only
    /// every eighth has one, so that an error that stays costs no processor time, and a few bad
    /// connections do not delay the good one behind them.
    pub fn fail(&mut self, source: &Source) -> bool {
        let duration = self.pause_after_failure();
        self.pause = duration.map(|duration| pause(source, duration));
        duration.is_some()
    }

    /// Counts one more failure for want of fds or memory, which begins a pause. False for the first
    /// one, which is tried again after a millisecond.
    pub fn fall_short(&mut self, source: &Source) -> bool {
        self.is_short = true;
        let lasts = self.next_pause.is_some();
        let duration = if lasts { self.double() } else { RETRY };
        self.next_pause.get_or_insert(PAUSE_MIN);
        self.pause = Some(pause(source, duration));
        lasts
    }

    /// True while there is a pause for another reason than a shortage.
    pub(crate) fn is_failing(&self) -> bool {
        self.pause.is_some() && !self.is_short
    }

    fn pause_after_failure(&mut self) -> Option<Duration> {
        self.passed += 1;
        (self.passed >= FAILURES_AT_ONCE).then(|| self.double())
    }

    fn double(&mut self) -> Duration {
        self.passed = 0;
        let pause = self.next_pause.unwrap_or(PAUSE_MIN);
        self.next_pause = Some((pause * 2).min(PAUSE_MAX));
        pause
    }

    /// Ends the row of failures.
    pub fn succeed(&mut self) {
        self.next_pause = None;
        self.passed = 0;
        self.is_short = false;
    }

    /// Hears of `EAGAIN`: the socket works, and is empty. That ends a row of failures, but no
    /// shortage.
    pub fn rest(&mut self) {
        if !self.is_short {
            self.succeed();
        }
    }

    /// Polls an operation until it succeeds or meets a fatal error. `on_failure` hears of the
    /// others that were passed over, and whether a pause follows.
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

/// A pause keeps the loop alive if waiting on the socket does.
fn pause(source: &Source, duration: Duration) -> Sleep {
    let mut pause = source.handle().sleep(duration);
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
