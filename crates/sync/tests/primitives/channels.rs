use crate::*;

#[test]
fn got_comes_before_put_returns() {
    let text = trace(|handle, log| {
        let (sender, receiver) = channel(Some(0));
        let (sending, receiving) = (log.clone(), log.clone());
        handle.spawn(async move {
            for n in 1..=2 {
                sender.send(n).await.unwrap();
                sending.note(format!("sent{n}"));
            }
        });
        handle.spawn(async move {
            while let Some(n) = receiver.receive().await {
                receiving.note(format!("got{n}"));
            }
            receiving.note("end");
        });
    });
    assert_eq!(text, "got1 sent1 got2 sent2 end");
}

#[test]
fn each_send_completes_before_the_next_value_is_got() {
    let text = trace(|handle, log| {
        let (sender, receiver) = channel(Some(0));
        for name in ["a", "b"] {
            let (sender, log) = (sender.clone(), log.clone());
            handle.spawn(async move {
                for n in 1..=2 {
                    sender.send(format!("{name}{n}")).await.unwrap();
                    log.note(format!("sent-{name}{n}"));
                }
            });
        }
        let log = log.clone();
        handle.spawn(async move {
            for _ in 0..4 {
                log.note(format!("got-{}", receiver.receive().await.unwrap()));
            }
        });
    });
    // As gevent's Channel does.
    assert_eq!(
        text,
        "got-a1 sent-a1 got-b1 sent-b1 got-a2 sent-a2 got-b2 sent-b2"
    );
}

#[test]
fn a_channel_ends_after_the_last_value_when_all_senders_are_gone() {
    let (sender, receiver) = channel(None);
    let other = sender.clone();
    let waiting = [0, 1, 2].map(|_| Polled::pending(receiver.receive()));
    now(sender.send(1)).unwrap();
    drop(sender);
    now(other.send(2)).unwrap();
    drop(other);
    assert!(receiver.is_closed());
    let got = waiting.map(Polled::output);
    assert_eq!(got, [Some(1), Some(2), None]);
    assert_eq!(now(receiver.receive()), None);
    assert_eq!(receiver.try_receive(), Err(TryReceiveError::Closed));
}

#[test]
fn a_value_that_a_dropped_receive_leaves_comes_before_the_end() {
    let (sender, receiver) = channel(None);
    let [first, second] = [0, 1].map(|_| Polled::pending(receiver.receive()));
    now(sender.send(1)).unwrap();
    drop(sender);
    drop(first);
    assert_eq!(second.output(), Some(1));
}

#[test]
fn the_end_wakes_all_receivers() {
    let (sender, receiver) = channel::<()>(Some(1));
    let waiting = [0, 1].map(|_| Polled::pending(receiver.receive()));
    drop(sender);
    let [first, second] = waiting;
    drop(first);
    assert_eq!(second.output(), None);
}

#[test]
fn values_come_back_when_all_receivers_are_gone() {
    for capacity in [Some(0), Some(1)] {
        let (sender, receiver) = channel(capacity);
        let in_it = Rc::new(());
        let _ = sender.try_send(Rc::clone(&in_it));
        let waiting = [0, 1].map(|_| Polled::pending(sender.send(Rc::default())));
        drop(receiver);
        assert_eq!(Rc::strong_count(&in_it), 1, "no receiver can get it");
        for waiting in waiting {
            assert_eq!(waiting.output(), Err(Closed(Rc::new(()))));
        }
        assert!(sender.is_closed());
        let tried = sender.try_send(Rc::default());
        assert_eq!(tried, Err(TrySendError::Closed(Rc::new(()))));
        assert!(now(sender.send(Rc::default())).is_err());
    }
}

#[test]
fn a_send_succeeds_if_its_receiver_took_the_value_and_then_went_away() {
    let (sender, receiver) = channel(Some(0));
    let sending = Polled::pending(sender.send(1));
    assert_eq!(receiver.try_receive(), Ok(1));
    drop(receiver);
    assert_eq!(sending.output(), Ok(()));
}

#[test]
fn a_future_counts_as_a_handle_of_its_side() {
    let (sender, receiver) = channel(Some(0));
    let sending = Polled::pending(sender.send(1));
    drop(sender);
    let receiving = receiver.receive();
    drop(receiver);
    assert_eq!(Polled::pending(receiving).output(), Some(1));
    assert_eq!(sending.output(), Ok(()));
}
