use crate::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn a_borrowed_value_stays_while_others_are_sent() {
    let (sender, mut receiver) = watch::channel(vec![1]);
    let before = receiver.borrow_and_update();
    sender.send(vec![2]).unwrap();
    sender.send_modify(|value| value.push(3));
    assert_eq!(*before, [1]);
    let after = receiver.borrow();
    assert!(after.has_changed() && !before.has_changed());
    assert_eq!(*after, [2, 3]);
    sender.send_modify(|value| value.clear());
    assert_eq!(*after, [2, 3]);
}

#[test]
fn the_last_value_is_seen_before_the_end() {
    let (sender, mut receiver) = watch::channel(0);
    let waits = Polled::pending(receiver.changed());
    sender.send(1).unwrap();
    drop(sender);
    assert_eq!(waits.output(), Ok(()));
    assert_eq!(*receiver.borrow(), 1);
    assert_eq!(now(receiver.changed()), Err(watch::SendersGone));
    receiver.mark_changed();
    assert_eq!(now(receiver.changed()), Ok(()));
}

#[test]
fn without_receivers_a_value_comes_back_and_a_replacement_stays() {
    let (sender, receiver) = watch::channel('a');
    let closed = Polled::pending(sender.closed());
    drop(receiver);
    assert!(closed.is_woken());
    assert_eq!(sender.send('b'), Err(Closed('b')));
    assert_eq!(*sender.send_replace('c'), 'a');
    let receiver = sender.subscribe();
    assert!(
        !receiver.has_changed(),
        "a receiver has seen what was there"
    );
    assert_eq!(*receiver.borrow(), 'c');
    drop(Polled::pending(closed.future)); // there is a receiver again
}

#[test]
fn a_closure_that_panics_wakes_no_receiver_and_leaves_the_channel_in_use() {
    let (sender, mut receiver) = watch::channel(1);
    let waits = Polled::pending(receiver.changed());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        sender.send_modify(|_| panic!("on purpose"));
    }));
    assert!(panicked.is_err() && !waits.is_woken());
    drop(waits);
    sender.send(2).unwrap();
    assert_eq!(*receiver.borrow(), 2);
}

#[test]
fn a_closure_that_uses_the_channel_that_it_changes_panics_with_the_reason() {
    let (sender, receiver) = watch::channel(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        sender.send_modify(|value| *value = *receiver.borrow());
    }));
    let message = panicked.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("must not look at it"), "{message}");
}

/// A value whose drop sends another one.
#[derive(Clone)]
struct Sends(Option<watch::Sender<Sends>>);

impl Drop for Sends {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.send_replace(Sends(None));
        }
    }
}

#[test]
fn a_value_that_is_replaced_may_send_in_its_drop() {
    let (sender, receiver) = watch::channel(Sends(None));
    let first = Sends(Some(sender.clone()));
    sender.send(first).unwrap_or_else(|_| unreachable!());
    sender.send(Sends(None)).unwrap_or_else(|_| unreachable!());
    assert!(receiver.has_changed());
}

#[test]
fn debug_shows_the_value_and_its_version() {
    let (sender, receiver) = watch::channel(1);
    sender.send(2).unwrap();
    assert_eq!(
        format!("{sender:?} {receiver:?}"),
        "Sender { value: 2, version: 1 } Receiver { value: 2, version: 1 }"
    );
    assert!(sender.same_channel(&sender.clone()) && receiver.same_channel(&receiver.clone()));
    assert_eq!((sender.sender_count(), sender.receiver_count()), (1, 1));
}
