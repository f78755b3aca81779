//! What channels between loops promise: against a model with random steps, and between threads.

use crate::models::Flag;
use crate::*;
use futures_util::StreamExt;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    TrySend(u8),
    /// Polls a send that waits, whether it was woken or not.
    Poll(usize),
    /// Drops a send that waits, whether it was admitted or not.
    Drop(usize),
    Receive,
    TryReceive,
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u8>().prop_map(Step::Send),
        1 => any::<u8>().prop_map(Step::TrySend),
        3 => (0..8_usize).prop_map(Step::Poll),
        1 => (0..8_usize).prop_map(Step::Drop),
        3 => Just(Step::Receive),
        1 => Just(Step::TryReceive),
        1 => Just(Step::Drain),
    ];
    vec(step, 1..80)
}

/// A channel whose first waiting sends may continue, as many as there is room for.
struct Model {
    sender: DistantSender<u8>,
    receiver: DistantReceiver<u8>,
    receives: Option<Arc<Flag>>,
    capacity: usize,
    values: VecDeque<u8>,
    line: Vec<(u8, Polled<DistantSending<u8>>)>,
}

impl Model {
    fn take(&mut self, step: &Step) {
        match *step {
            Step::Send(value) => {
                let mut polled = Polled::new(self.sender.send(value));
                let may_pass = self.may_pass(self.line.len());
                assert_eq!(polled.poll().is_ready(), may_pass);
                match may_pass {
                    true => self.values.push_back(value),
                    false => self.line.push((value, polled)),
                }
            }
            Step::TrySend(value) => {
                let may_pass = self.may_pass(self.line.len());
                let expected = match may_pass {
                    true => Ok(()),
                    false => Err(TrySendError::Full(value)),
                };
                assert_eq!(self.sender.try_send(value), expected);
                self.values.extend(may_pass.then_some(value));
            }
            Step::Poll(any) if !self.line.is_empty() => {
                let place = any % self.line.len();
                let may_pass = self.may_pass(place);
                assert_eq!(self.line[place].1.poll().is_ready(), may_pass);
                if may_pass {
                    self.values.push_back(self.line.remove(place).0);
                }
            }
            Step::Drop(any) if !self.line.is_empty() => {
                self.line.remove(any % self.line.len());
            }
            Step::Receive => {
                let flag = Arc::new(Flag::default());
                let waker = Waker::from(Arc::clone(&flag));
                let polled = self.receiver.poll_receive(&mut Context::from_waker(&waker));
                match self.values.pop_front() {
                    Some(value) => assert_eq!(polled, Poll::Ready(Some(value))),
                    None => {
                        assert_eq!(polled, Poll::Pending);
                        self.receives = Some(flag);
                    }
                }
            }
            Step::TryReceive => {
                assert_eq!(self.receiver.try_receive().ok(), self.values.pop_front())
            }
            Step::Drain => assert!(self.receiver.drain().eq(self.values.drain(..))),
            _ => {}
        }
    }

    fn may_pass(&self, place: usize) -> bool {
        place < self.capacity - self.values.len()
    }

    /// No send and no receive sleeps that may continue.
    fn check(&self) {
        for (place, (_, polled)) in self.line.iter().enumerate() {
            assert!(
                polled.is_woken() || !self.may_pass(place),
                "the send at {place} sleeps"
            );
        }
        if let Some(flag) = &self.receives {
            let is_woken = flag.0.load(Ordering::SeqCst);
            assert!(is_woken || self.values.is_empty(), "the receiver sleeps");
        }
        assert_eq!(self.receiver.len(), self.values.len());
    }
}

proptest! {
    #[test]
    fn a_distant_channel_loses_no_value_and_no_wakeup_and_keeps_its_order(
        steps in steps(),
        capacity in 1..4_usize,
    ) {
        let (sender, receiver) = distant_channel(capacity);
        let (values, line, receives) = (VecDeque::new(), Vec::new(), None);
        let mut model = Model { sender, receiver, receives, capacity, values, line };
        for step in &steps {
            model.take(step);
            model.check();
        }
    }
}

#[test]
fn values_reach_a_loop_from_several_threads_in_the_order_of_each() {
    let (sender, mut receiver) = distant_channel(4);
    let senders = [(); 3].map(|()| sender.clone());
    drop(sender);
    let threads = senders.map(|sender| {
        thread::spawn(move || {
            EventLoop::new().unwrap().block_on(async move {
                for number in 0..1000 {
                    sender.send((thread::current().id(), number)).await.unwrap();
                }
            });
        })
    });
    let received = EventLoop::new().unwrap().block_on(async {
        let mut received = Vec::new();
        while let Some(value) = receiver.receive().await {
            received.push(value);
        }
        received
    });
    assert_eq!(received.len(), 3000);
    for thread in threads {
        let of = received
            .iter()
            .filter(|(id, _)| *id == thread.thread().id());
        assert!(of.map(|(_, number)| *number).eq(0..1000));
        thread.join().unwrap();
    }
}

#[test]
fn threads_without_a_loop_send_and_receive() {
    let (sender, mut receiver) = distant_channel(1);
    let thread = thread::spawn(move || {
        let numbers = std::iter::from_fn(|| receiver.receive_blocking());
        numbers.sum::<i32>()
    });
    for number in 1..=100 {
        sender.send_blocking(number).unwrap();
    }
    drop(sender);
    assert_eq!(thread.join().unwrap(), 5050);
}

#[test]
fn a_loop_that_ends_closes_its_side_of_a_channel() {
    let (sender, mut receiver) = distant_channel(1);
    let event_loop = EventLoop::new().unwrap();
    event_loop.handle().spawn(async move {
        let _receives = receiver.receive().await;
    });
    sender.try_send(1).unwrap();
    let waits = Polled::pending(sender.send(2));
    drop(event_loop);
    assert_eq!(waits.output(), Err(Closed(2)));
    assert_eq!(sender.try_send(3), Err(TrySendError::Closed(3)));
    assert!(sender.is_closed());

    let (sender, mut receiver) = distant_channel(1);
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.handle().spawn(async move {
        sender.send(1).await.unwrap();
        sender.send(2).await.unwrap(); // waits until the loop is dropped
    });
    event_loop.run_nowait().unwrap();
    drop(event_loop);
    assert_eq!(receiver.receive_blocking(), Some(1));
    assert_eq!(receiver.receive_blocking(), None);
    assert_eq!(receiver.try_receive(), Err(TryReceiveError::Closed));
}

#[test]
fn a_closed_channel_still_returns_what_was_sent() {
    let (sender, mut receiver) = distant_channel(2);
    sender.try_send(1).unwrap();
    receiver.close();
    assert_eq!(sender.send_blocking(2), Err(Closed(2)));
    assert_eq!(receiver.receive_blocking(), Some(1));
    assert_eq!(receiver.receive_blocking(), None);
}

#[test]
fn a_receiver_that_waits_keeps_its_loop_alive_unless_it_is_not_referenced() {
    let (sender, mut receiver) = distant_channel(1);
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.handle().spawn(async move {
        assert_eq!(receiver.receive().await, Some(1));
        receiver.set_referenced(false);
        receiver.receive().await // the loop does not wait for it
    });
    let thread = thread::spawn(move || {
        sender.send_blocking(1).unwrap();
        sender
    });
    event_loop.run().unwrap();
    assert_eq!(
        event_loop.handle().task_count(),
        1,
        "it waits for the second value"
    );
    drop(thread.join().unwrap());
    event_loop.run().unwrap(); // with the end of the channel, if that has come
}

#[test]
fn a_blocking_end_of_a_channel_is_refused_inside_a_loop() {
    let (sender, mut receiver) = distant_channel::<i32>(1);
    let event_loop = EventLoop::new().unwrap();
    let refused = |function: &mut dyn FnMut()| {
        let function = std::panic::AssertUnwindSafe(|| event_loop.enter(function));
        let payload = std::panic::catch_unwind(function).unwrap_err();
        payload.downcast_ref::<String>().unwrap().clone()
    };
    let said = refused(&mut || sender.send_blocking(1).unwrap());
    assert!(said.contains("await send instead"), "{said}");
    let said = refused(&mut || assert_eq!(receiver.receive_blocking(), None));
    assert!(said.contains("await receive instead"), "{said}");
}

#[test]
fn a_receiver_is_a_stream_that_ends_with_the_senders() {
    let (sender, receiver) = distant_channel(1);
    let thread = thread::spawn(move || {
        (0..100).for_each(|number| sender.send_blocking(number).unwrap());
    });
    let mut event_loop = EventLoop::new().unwrap();
    let received: Vec<_> = event_loop.block_on(receiver.collect());
    assert_eq!(received, (0..100).collect::<Vec<_>>());
    thread.join().unwrap();
}
