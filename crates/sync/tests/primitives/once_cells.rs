use crate::*;
use std::future::pending;
use std::pin::pin;

/// A future that has been polled once, and waits.
fn begun<'a, T>(
    future: impl Future<Output = T> + 'a,
) -> Polled<Pin<Box<dyn Future<Output = T> + 'a>>> {
    Polled::pending(Box::pin(future))
}

#[test]
fn a_value_is_created_once_and_borrowed_from_then_on() {
    let cell = OnceCell::new();
    assert_eq!(cell.get(), None);
    assert_eq!(now(pin!(cell.get_or_init(async || "tea"))), &"tea");
    let never = cell.get_or_init(|| -> std::future::Ready<&str> { unreachable!() });
    assert_eq!(now(pin!(never)), &"tea");
    assert_eq!(cell.clone().get(), Some(&"tea"));
    assert_eq!(cell.set("toast"), Err(SetError::AlreadySet("toast")));
}

#[test]
fn the_next_waiter_creates_the_value_after_one_that_fails() {
    let cell = OnceCell::new();
    let answer = OneShot::new();
    let fails = begun(cell.get_or_try_init(|| answer.get()));
    let next = begun(cell.get_or_try_init(async || Ok::<_, &str>(7)));
    assert_eq!(
        (cell.waiting(), cell.set(1)),
        (1, Err(SetError::Creating(1)))
    );
    answer.send(Err("no")).unwrap();
    assert_eq!(fails.output(), Err("no"));
    assert_eq!(next.output(), Ok(&7));
}

#[test]
fn the_next_waiter_creates_the_value_after_one_that_gives_up() {
    let cell = OnceCell::new();
    let gives_up = begun(cell.get_or_init(pending));
    let next = begun(cell.get_or_init(async || 7));
    drop(gives_up);
    assert_eq!(next.output(), &7);
}

#[test]
fn the_next_waiter_creates_the_value_after_one_that_panics() {
    let text = trace(|handle, log| {
        let cell = OnceCell::new();
        let panics = cell.clone();
        let task = handle.spawn(async move {
            let create = async || {
                oneloop_core::yield_now().await;
                panic!("on purpose")
            };
            panics.get_or_init(create).await;
        });
        let log = log.clone();
        handle.spawn(async move {
            log.note(cell.get_or_init(async || 7).await);
            log.note(task.await.is_err());
        });
    });
    assert_eq!(text, "7 true");
}

#[test]
fn the_only_handle_changes_and_returns_the_value() {
    let mut cell = OnceCell::from(1);
    *cell.get_mut().unwrap() = 2;
    let other = cell.clone();
    assert!(cell.get_mut().is_none());
    let cell = cell.into_inner().unwrap_err();
    drop(other);
    assert_eq!(
        format!("{cell:?}"),
        "OnceCell { value: Some(2), waiting: 0 }"
    );
    assert_eq!(cell.into_inner().unwrap(), Some(2));
}
