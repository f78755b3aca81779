//! A question to all loops of the server, each of which answers from a turn of its own.

use crate::waiters::Waiters;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

/// A question to all loops. The asking task waits until each loop that lives has answered: a loop
/// that is stuck keeps it waiting.
///
/// ```text
///   first loop:  ask ── a new round ──▶ asked wakes each loop ──▶ answers ──▶ all answers
///   each loop:   member.asked().await ──▶ member.answer(…)
/// ```
#[derive(Debug)]
pub(crate) struct RollCall<T> {
    round: Mutex<Round<T>>,
    /// Woken by a new round.
    asked: Waiters,
    /// Woken by an answer, and by a loop that ends.
    answered: Waiters,
}

#[derive(Debug)]
struct Round<T> {
    number: u64,
    /// The loops that live, and what each has answered in this round.
    members: BTreeMap<usize, Option<T>>,
}

impl<T> Default for RollCall<T> {
    fn default() -> Self {
        RollCall {
            round: Mutex::new(Round {
                number: 0,
                members: BTreeMap::new(),
            }),
            asked: Waiters::default(),
            answered: Waiters::default(),
        }
    }
}

impl<T> RollCall<T> {
    /// Adds a loop, until the member is dropped.
    pub(crate) fn join(self: &Arc<Self>, index: usize) -> RollCallMember<T> {
        let mut round = self.lock();
        round.members.insert(index, None);
        let answered = round.number;
        drop(round);
        RollCallMember {
            roll_call: Arc::clone(self),
            index,
            answered,
        }
    }

    /// Asks all loops; returns their answers.
    pub(crate) async fn ask(&self) -> Vec<T> {
        self.begin();
        poll_fn(|cx| {
            self.answered.add(cx.waker()); // before the look: see `Waiters`
            let mut round = self.lock();
            if round.members.values().any(Option::is_none) {
                return Poll::Pending;
            }
            Poll::Ready(round.members.values_mut().filter_map(mem::take).collect())
        })
        .await
    }

    fn begin(&self) {
        let mut round = self.lock();
        round.number += 1;
        let before: Vec<_> = round.members.values_mut().map(Option::take).collect();
        drop(round);
        drop(before); // answers of a round that was given up
        self.asked.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Round<T>> {
        // No code that holds the lock can panic half-way through a change.
        self.round.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One loop, among those that are asked.
#[derive(Debug)]
pub(crate) struct RollCallMember<T> {
    roll_call: Arc<RollCall<T>>,
    index: usize,
    /// The last round in which this loop has answered.
    answered: u64,
}

impl<T> RollCallMember<T> {
    /// Waits for the next question.
    pub(crate) async fn asked(&mut self) {
        let answered = self.answered;
        self.answered = poll_fn(|cx| {
            self.roll_call.asked.add(cx.waker());
            let round = self.roll_call.lock().number;
            if round == answered {
                Poll::Pending
            } else {
                Poll::Ready(round)
            }
        })
        .await;
    }

    pub(crate) fn answer(&self, answer: T) {
        let mut round = self.roll_call.lock();
        // A question that came since then wants an answer of its own.
        if round.number == self.answered {
            round.members.insert(self.index, Some(answer));
        }
        drop(round);
        self.roll_call.answered.wake();
    }
}

impl<T> Drop for RollCallMember<T> {
    fn drop(&mut self) {
        let left = self.roll_call.lock().members.remove(&self.index);
        drop(left);
        // Without this one, the others may have answered already.
        self.roll_call.answered.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oneloop::{EventLoop, Options};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn every_loop_answers_and_one_that_ends_is_not_waited_for() {
        let mut event_loop = EventLoop::new().unwrap();
        let handle = event_loop.handle();
        let roll_call = Arc::new(RollCall::default());
        let answering = |name: &'static str| {
            let mut member = roll_call.join(name.len());
            let answering = handle.spawn(async move {
                loop {
                    member.asked().await;
                    member.answer(name);
                }
            });
            answering.cancel_handle()
        };
        let (one, three) = (answering("1"), answering("333"));
        event_loop.block_on(async {
            assert_eq!(roll_call.ask().await, ["1", "333"]);
            assert_eq!(roll_call.ask().await, ["1", "333"]);
            one.cancel();
            assert_eq!(roll_call.ask().await, ["333"]);
            three.cancel();
            assert!(roll_call.ask().await.is_empty(), "no loop is left");
        });
    }

    #[test]
    fn a_loop_that_is_stuck_answers_only_once_it_turns_again() {
        let roll_call = Arc::new(RollCall::default());
        let mut member = roll_call.join(1);
        let (unstick, stuck) = mpsc::channel::<()>();
        let other = thread::spawn(move || {
            EventLoop::new().unwrap().block_on(async move {
                stuck.recv().unwrap(); // blocks the loop, as a bug would
                member.asked().await;
                member.answer(());
            });
        });
        let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
        let handle = event_loop.handle();
        event_loop.block_on(async {
            let hours = Duration::from_secs(3600);
            assert!(handle.timeout(hours, roll_call.ask()).await.is_err());
        });
        unstick.send(()).unwrap();
        EventLoop::new().unwrap().block_on(roll_call.ask());
        other.join().unwrap();
    }
}
