use crate::*;
use oneloop_core::{Options, yield_now};
use std::cell::Cell;
use std::future::{pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::Duration;

#[test]
fn a_trigger_wakes_all_waiters_in_order_and_later_waits_complete_at_once() {
    let token = ShutdownToken::new();
    let text = trace(|handle, log| {
        for name in ["a", "b"] {
            let (token, log) = (token.clone(), log.clone());
            handle.spawn(async move {
                token.requested().await;
                log.note(name);
            });
        }
        let (token, log) = (token.clone(), log.clone());
        handle.spawn(async move {
            log.note(token.is_requested());
            token.trigger();
            token.trigger();
            log.note(token.is_requested());
        });
    });
    assert_eq!(text, "false true a b");
    now(token.requested());
}

#[test]
fn a_child_is_triggered_with_its_parent_and_alone_without_effect_on_it() {
    let parent = ShutdownToken::new();
    let (child, sibling) = (parent.child(), parent.child());
    let grandchild = child.child();
    let waits = Polled::pending(grandchild.requested());
    child.trigger();
    waits.output();
    assert!(grandchild.is_requested() && !parent.is_requested() && !sibling.is_requested());
    let waits = Polled::pending(sibling.requested());
    parent.trigger();
    waits.output();
    assert!(
        parent.child().child().is_requested(),
        "made after the request"
    );
}

#[test]
fn a_parent_triggers_a_child_that_only_a_waiter_holds_and_forgets_one_that_is_gone() {
    let parent = ShutdownToken::new();
    let requested = parent.child().requested();
    let waits = Polled::pending(requested);
    drop(parent.child());
    assert!(
        format!("{parent:?}").ends_with("children: 1 }"),
        "{parent:?}"
    );
    parent.trigger();
    waits.output();
    assert!(
        format!("{parent:?}").ends_with("children: 0 }"),
        "{parent:?}"
    );
}

#[test]
fn a_chain_of_a_hundred_thousand_children_is_triggered_and_dropped() {
    let first = ShutdownToken::new();
    let mut last = first.child();
    for _ in 0..100_000 {
        last = last.child();
    }
    first.trigger();
    assert!(last.is_requested());
    drop(first);
    drop(last);
}

#[test]
fn run_returns_what_completes_first_and_drops_the_future() {
    let token = ShutdownToken::new();
    assert_eq!(now(token.run(ready(1))), Some(1));
    let dropped = Rc::new(Cell::new(false));
    let noted = DropNoted(Rc::clone(&dropped));
    let mut run = Box::pin(token.run(async move {
        let _noted = noted;
        pending::<()>().await;
    }));
    let mut polled = Polled::pending(run.as_mut());
    token.trigger();
    assert!(polled.is_woken());
    assert_eq!(polled.poll(), Poll::Ready(None));
    drop(run);
    assert!(dropped.get());
}

struct DropNoted(Rc<Cell<bool>>);

impl Drop for DropNoted {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn run_of_a_triggered_token_never_polls_the_future() {
    let token = ShutdownToken::new();
    token.trigger();
    assert_eq!(
        now(token.run(poll_fn(|_| -> Poll<()> { panic!("polled") }))),
        None
    );
}

#[test]
fn a_result_that_comes_with_the_request_is_not_lost() {
    let (token, queue) = (ShutdownToken::new(), Queue::unbounded());
    let mut run = pin!(token.run(queue.get()));
    let mut polled = Polled::pending(run.as_mut());
    queue.try_put(5).unwrap();
    token.trigger();
    assert_eq!(polled.poll(), Poll::Ready(Some(5)));
}

#[test]
fn a_run_that_is_dropped_or_panics_leaves_no_waiter() {
    let token = ShutdownToken::new();
    let waiting = |token: &ShutdownToken| format!("{token:?}").contains("waiting: 1");
    let run = Polled::pending(Box::pin(token.run(pending::<()>())));
    assert!(waiting(&token));
    drop(run);
    assert!(!waiting(&token));
    let mut polls = 0;
    let panics = poll_fn(move |_| -> Poll<()> {
        polls += 1;
        assert_eq!(polls, 1, "on purpose");
        Poll::Pending
    });
    let mut run = Polled::pending(Box::pin(token.run(panics)));
    assert!(catch_unwind(AssertUnwindSafe(|| run.poll())).is_err());
    drop(run);
    assert!(!waiting(&token));
}

#[test]
fn the_guard_triggers_on_a_panic_unless_it_is_disarmed() {
    let token = ShutdownToken::new();
    token.trigger_on_drop().disarm();
    assert!(!token.is_requested());
    let guard = token.trigger_on_drop();
    let panicked = catch_unwind(AssertUnwindSafe(move || {
        let _guard = guard;
        panic!("on purpose");
    }));
    assert!(panicked.is_err() && token.is_requested());
}

#[test]
fn waiting_for_a_token_does_not_keep_the_loop_alive_and_a_timer_that_triggers_it_does() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let handle = event_loop.handle();
    let token = ShutdownToken::new();
    let waits = token.clone();
    let waiter = handle.spawn(async move { waits.requested().await });
    event_loop.run().unwrap();
    assert!(!waiter.is_finished(), "the loop ended first");
    let timer = handle.clone();
    handle.spawn(async move {
        timer.sleep(Duration::from_secs(1)).await;
        token.trigger();
    });
    event_loop.run().unwrap();
    assert!(waiter.is_finished());
}

#[test]
fn a_trigger_within_a_task_reaches_the_task_itself_at_its_next_wait() {
    let text = trace(|handle, log| {
        let (token, log) = (ShutdownToken::new(), log.clone());
        handle.spawn(async move {
            let inner = token.clone();
            let cut = token.run(async {
                inner.trigger();
                log.note("continues");
                yield_now().await;
                log.note("never");
            });
            log.note(cut.await.is_none());
        });
    });
    assert_eq!(text, "continues true");
}
