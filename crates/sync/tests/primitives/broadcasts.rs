use crate::*;
use broadcast::{ReceiveError, TryReceiveError};

#[test]
fn a_slow_receiver_learns_what_it_missed_and_continues() {
    let (sender, mut slow) = broadcast::channel(2);
    let mut fast = sender.subscribe();
    for number in 1..=5 {
        assert_eq!(sender.send(number), Ok(2));
        assert_eq!(now(fast.receive()), Ok(number));
    }
    assert_eq!((slow.len(), sender.len()), (5, 2));
    assert_eq!(now(slow.receive()), Err(ReceiveError::Lagged(3)));
    assert_eq!(now(slow.receive()), Ok(4));
    assert_eq!(slow.try_receive(), Ok(5));
    assert_eq!(slow.try_receive(), Err(TryReceiveError::Empty));
    assert!(sender.is_empty());
    drop(sender);
    assert_eq!(slow.try_receive(), Err(TryReceiveError::Closed));
    assert_eq!(now(fast.receive()), Err(ReceiveError::Closed));
}

#[test]
fn receivers_are_woken_in_the_order_in_which_they_came() {
    let text = trace(|handle, log| {
        let sender = broadcast::Sender::new(4);
        for name in ["a", "b"] {
            let (mut receiver, log) = (sender.subscribe(), log.clone());
            handle.spawn(async move {
                while let Ok(value) = receiver.receive().await {
                    log.note(format!("{name}{value}"));
                }
            });
        }
        handle.spawn(async move {
            sender.send(1).unwrap();
            sender.send(2).unwrap();
            oneloop_core::yield_now().await;
            sender.send(3).unwrap();
        });
    });
    assert_eq!(text, "a1 a2 b1 b2 a3 b3");
}

#[test]
fn the_last_receiver_of_a_value_gets_it_without_a_clone() {
    let (sender, mut one) = broadcast::channel(1);
    let mut two = sender.subscribe();
    let value = Rc::new(());
    let sent = Rc::clone(&value);
    sender.send(sent).unwrap();
    let first = now(one.receive()).unwrap();
    assert_eq!(Rc::strong_count(&value), 3);
    let last = now(two.receive()).unwrap();
    assert_eq!(Rc::strong_count(&value), 3, "it has left the channel");
    drop((first, last));
}

#[test]
fn a_receiver_that_is_dropped_lets_go_of_values_and_of_senders_that_wait() {
    let (sender, slow) = broadcast::channel(4);
    let value = Rc::new(());
    sender.send(Rc::clone(&value)).unwrap();
    let closed = Polled::pending(sender.closed());
    drop(slow);
    assert_eq!(Rc::strong_count(&value), 1);
    closed.output();
    assert!(sender.send(Rc::clone(&value)).is_err());
}

#[test]
#[should_panic(expected = "a broadcast channel needs room for a value")]
fn a_channel_without_room_is_refused() {
    broadcast::channel::<()>(0);
}

/// A value whose drop asks its channel.
#[derive(Clone)]
struct Asks(broadcast::Sender<Asks>);

impl Drop for Asks {
    fn drop(&mut self) {
        assert!(self.0.len() <= 1);
    }
}

#[test]
fn a_value_that_is_missed_may_use_the_channel_in_its_drop() {
    let (sender, receiver) = broadcast::channel(1);
    for _ in 0..2 {
        let sent = sender.send(Asks(sender.clone()));
        assert!(sent.is_ok());
    }
    drop(receiver);
    assert!(sender.is_empty());
}
