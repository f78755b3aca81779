//! Channels between loops.

use loom::thread;
use oneloop_core::{EventLoop, Handle};
use oneloop_models::check;
use oneloop_sync::{Closed, TrySendError, distant_channel};

#[test]
fn a_value_reaches_a_loop_that_waits_for_it() {
    check(|| {
        let (sender, mut receiver) = distant_channel(1);
        let other = thread::spawn(move || sender.try_send(1).unwrap());
        let received = EventLoop::new()
            .unwrap()
            .block_on(async { (receiver.receive().await, receiver.receive().await) });
        assert_eq!(received, (Some(1), None));
        other.join().unwrap();
    });
}

#[test]
fn sends_that_wait_for_room_continue_in_their_order() {
    check(|| {
        let (sender, mut receiver) = distant_channel(1);
        let other = thread::spawn(move || {
            EventLoop::new().unwrap().block_on(async {
                // The second one may wait for room, and the third one come when there is some.
                let sends = [1, 2, 3].map(|value| Handle::current().spawn(sender.send(value)));
                drop(sender);
                for send in sends {
                    send.await.unwrap().unwrap();
                }
            });
        });
        let received = [(); 4].map(|()| receiver.receive_blocking());
        assert_eq!(received, [Some(1), Some(2), Some(3), None]);
        other.join().unwrap();
    });
}

#[test]
fn two_threads_that_send_at_once_lose_no_value() {
    check(|| {
        let (sender, mut receiver) = distant_channel(1);
        let others = [1, 2].map(|value| {
            let sender = sender.clone();
            thread::spawn(move || sender.send_blocking(value).unwrap())
        });
        drop(sender);
        let received = [(); 3].map(|()| receiver.receive_blocking());
        assert!(received == [Some(1), Some(2), None] || received == [Some(2), Some(1), None]);
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_value_is_sent_before_the_close_or_returned() {
    check(|| {
        let (sender, mut receiver) = distant_channel(2);
        let other = thread::spawn(move || sender.try_send(1));
        receiver.close();
        let received = receiver.drain().next();
        match other.join().unwrap() {
            Ok(()) => assert_eq!(received, Some(1)),
            Err(TrySendError::Closed(1)) => assert_eq!(received, None),
            refused => panic!("{refused:?}"),
        }
    });
}

#[test]
fn a_send_that_waits_learns_that_the_receiver_is_gone() {
    check(|| {
        let (sender, receiver) = distant_channel(1);
        sender.try_send(1).unwrap();
        let other = thread::spawn(move || sender.send_blocking(2));
        drop(receiver);
        assert_eq!(other.join().unwrap(), Err(Closed(2)));
    });
}

#[test]
fn a_send_that_waits_learns_that_the_channel_was_closed() {
    check(|| {
        let (sender, mut receiver) = distant_channel(1);
        sender.try_send(1).unwrap();
        let other = thread::spawn(move || sender.send_blocking(2));
        receiver.close();
        assert_eq!(other.join().unwrap(), Err(Closed(2)));
        assert_eq!(receiver.try_receive(), Ok(1));
    });
}
