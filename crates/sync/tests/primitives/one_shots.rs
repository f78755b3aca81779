use crate::*;

#[test]
fn a_second_send_returns_the_value() {
    let one_shot = OneShot::new();
    assert_eq!(one_shot.try_get(), None);
    assert_eq!((one_shot.send(1), one_shot.send(2)), (Ok(()), Err(2)));
    assert_eq!(one_shot.try_get(), Some(1));
}

#[test]
fn later_gets_return_the_replaced_value() {
    let one_shot = OneShot::new();
    let waiting = Polled::pending(one_shot.get());
    one_shot.send(1).unwrap();
    one_shot.replace(2);
    assert_eq!(waiting.output(), 2);
    assert_eq!((now(one_shot.get()), one_shot.send(3)), (2, Err(3)));
}

#[test]
fn waiters_get_the_value_in_order_and_late_ones_at_once() {
    let one_shot: OneShot<Result<u8, &str>> = OneShot::new();
    let waiting = [0, 1].map(|_| Polled::pending(one_shot.get()));
    one_shot.send(Err("no")).unwrap();
    for waiting in waiting {
        assert_eq!(waiting.output(), Err("no"));
    }
    assert_eq!(now(one_shot.get()), Err("no"));
}

/// A value whose clone replaces it in its own one-shot.
struct Nosy(OneShot<Nosy>);

impl Clone for Nosy {
    fn clone(&self) -> Self {
        assert!(self.0.is_sent() && self.0.send(Nosy(OneShot::new())).is_err());
        self.0.replace(Nosy(OneShot::new()));
        Nosy(OneShot::new())
    }
}

#[test]
fn a_value_may_use_the_one_shot_while_it_is_cloned() {
    let one_shot = OneShot::new();
    assert!(one_shot.send(Nosy(one_shot.clone())).is_ok());
    now(one_shot.get());
}
