//! Asks the serving loops how they are, from another loop. A loop that is not asked pays nothing.

use crate::admin::sample::LoopSample;
use oneloop::Handle;
use oneloop::aio::join_all;
use oneloop::core::{LoopGone, Remote};
use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Asks one serving loop.
///
/// ```text
///   quiet ──ask: sent to the loop──▶ asked ──the loop runs it: the sample, for all that wait──▶ quiet
///                                    │   ▲
///                                    └───┘ ask: waits for the same answer
/// ```
///
/// A loop that is stuck has at most one question in its inbox, however often it is asked.
#[derive(Clone, Debug)]
pub(crate) struct Probe(Arc<AskedLoop>);

#[derive(Debug)]
struct AskedLoop {
    remote: Remote,
    state: Mutex<Questions>,
}

#[derive(Debug, Default)]
struct Questions {
    /// Since when the loop has a question.
    asked: Option<Instant>,
    /// How many questions it has answered.
    answered: u64,
    last: LoopSample,
    /// The tasks that wait, by the numbers of their futures.
    waiting: Vec<(u64, Waker)>,
    /// Counts the futures.
    futures: u64,
}

/// The probes of all serving loops.
#[derive(Debug, Default)]
pub(crate) struct Probes(Mutex<BTreeMap<usize, Probe>>);

impl Probes {
    /// Adds the loop with this number.
    pub(crate) fn add(&self, number: usize, handle: &Handle) {
        self.lock().insert(number, Probe::new(handle));
    }

    /// Asks all loops at once. Their answers are in the order of their numbers.
    pub(crate) async fn ask(&self, patience: Duration) -> Vec<Result<LoopSample, Silent>> {
        let probes: Vec<Probe> = self.lock().values().cloned().collect();
        join_all(probes.iter().map(|probe| probe.ask(patience))).await
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Probe>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no sample of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Silent {
    /// It has not turned for this time.
    Stuck(Duration),
    /// Its thread has ended.
    Gone,
}

impl Probe {
    /// Asks the loop of that handle.
    pub(crate) fn new(handle: &Handle) -> Self {
        let mut remote = handle.remote();
        remote.set_referenced(false); // it is no reason for the loop to live
        Probe(Arc::new(AskedLoop {
            remote,
            state: Mutex::default(),
        }))
    }

    /// A sample of the loop, taken after this call, unless the loop takes longer than `patience`.
    pub(crate) async fn ask(&self, patience: Duration) -> Result<LoopSample, Silent> {
        let answer = self.send().map_err(|LoopGone| Silent::Gone)?;
        let answered = Handle::current().timeout(patience, answer).await;
        answered.map_err(|_| Silent::Stuck(self.silence()))
    }

    /// Sends a question, unless the loop has one already.
    fn send(&self) -> Result<Answer<'_>, LoopGone> {
        let mut state = self.0.lock();
        state.futures += 1;
        let answer = Answer {
            shared: &self.0,
            // A question that is under way is answered after this call as well.
            number: state.answered + 1,
            future: state.futures,
        };
        let is_new = state.asked.is_none();
        let asked = *state.asked.get_or_insert_with(Instant::now);
        drop(state);
        if is_new {
            let shared = Arc::clone(&self.0);
            let sent = self.0.remote.run(move |handle| {
                shared.answer(LoopSample::take(handle, asked.elapsed()));
            });
            if sent.is_err() {
                self.0.lock().asked = None;
            }
            sent?;
        }
        Ok(answer)
    }

    /// Since when the loop has a question that it has not answered.
    fn silence(&self) -> Duration {
        let asked = self.0.lock().asked;
        asked.map_or(Duration::ZERO, |asked| asked.elapsed())
    }
}

impl AskedLoop {
    fn lock(&self) -> MutexGuard<'_, Questions> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, sample: LoopSample) {
        let mut state = self.lock();
        state.asked = None;
        state.answered += 1;
        state.last = sample;
        let waiting = mem::take(&mut state.waiting);
        drop(state);
        waiting.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// The answer to a question. Dropped, it waits no longer; the loop answers nevertheless.
struct Answer<'a> {
    shared: &'a AskedLoop,
    number: u64,
    future: u64,
}

impl Future for Answer<'_> {
    type Output = LoopSample;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LoopSample> {
        let waker = cx.waker().clone(); // foreign code, so before the lock
        let mut state = self.shared.lock();
        if state.answered >= self.number {
            return Poll::Ready(state.last.clone());
        }
        let own = state.waiting.iter_mut().find(|(of, _)| *of == self.future);
        let before = match own {
            Some((_, before)) => Some(mem::replace(before, waker)),
            None => {
                state.waiting.push((self.future, waker));
                None
            }
        };
        drop(state);
        drop(before);
        Poll::Pending
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let index = state.waiting.iter().position(|(of, _)| *of == self.future);
        let waiting = index.map(|index| state.waiting.swap_remove(index));
        drop(state);
        drop(waiting); // foreign code, so after the lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop::EventLoop;
    use std::sync::mpsc;
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Runs a loop on a thread of its own, until the sender is dropped. What is sent runs on it.
    fn start_loop() -> (Probe, Remote, mpsc::Sender<()>, thread::JoinHandle<()>) {
        let (report, started) = mpsc::channel();
        let (hold, held) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            let mut event_loop = EventLoop::new().unwrap();
            let handle = event_loop.handle();
            report.send((Probe::new(&handle), handle.remote())).unwrap();
            event_loop.run().unwrap(); // until the test drops its remote
        });
        let (probe, remote) = started.recv().unwrap();
        // The loop is stuck until the test sends, or drops its sender.
        remote
            .run(move |_| {
                let _ = held.recv();
            })
            .unwrap();
        (probe, remote, hold, thread)
    }

    #[test]
    fn a_stuck_loop_has_one_question_and_answers_all_that_still_wait() {
        let (probe, remote, hold, thread) = start_loop();
        let mut event_loop = EventLoop::new().unwrap();
        event_loop.block_on(async {
            for _ in 0..3 {
                let stuck = probe.ask(Duration::from_millis(1)).await;
                assert!(matches!(stuck, Err(Silent::Stuck(_))), "{stuck:?}");
            }
            assert_eq!(probe.0.lock().waiting.len(), 0, "nothing grows");
            let answer = probe.send().unwrap();
            drop(hold);
            let sample = answer.await;
            assert!(sample.response > Duration::ZERO);
            assert_eq!(probe.0.lock().answered, 1, "the question of the first call");
        });
        drop(remote);
        thread.join().unwrap();
        let gone = event_loop.block_on(probe.ask(PATIENCE));
        assert_eq!(gone.unwrap_err(), Silent::Gone);
    }
}
