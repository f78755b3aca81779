//! What waits in one style waits in all: each primitive, with a waiter in each style, and with the
//! style in which it is signaled.

use crate::*;
use oneloop::aio;
use oneloop::callback::{run, set_timeout, spawn_micro};
use oneloop::green::{self, Wait};

/// Waits in each style, acts in one style after the other, and checks what each wait returned.
fn in_each_style<P, F>(
    primitive: impl Fn() -> P,
    wait: fn(P) -> F,
    act: fn(&P),
    expected: [&'static str; 3],
) where
    P: Clone + 'static,
    F: Future<Output = &'static str> + 'static,
{
    for style in ["async", "green", "callback"] {
        let (primitive, log) = (primitive(), Log::default());
        let (seen, acts) = (log.clone(), primitive.clone());
        let code = run(move || {
            let (of_async, to) = (wait(primitive.clone()), log.clone());
            aio::spawn(async move { to.note(of_async.await) });
            let (of_thread, to) = (wait(primitive.clone()), log.clone());
            green::spawn(move || to.note(of_thread.wait()));
            let (of_callback, to) = (wait(primitive), log);
            set_timeout(
                move || drop(spawn_micro(async move { to.note(of_callback.await) })),
                1,
            );
            set_timeout(
                move || match style {
                    "async" => drop(aio::spawn(async move { act(&acts) })),
                    "green" => drop(green::spawn(move || act(&acts))),
                    _ => act(&acts),
                },
                5,
            );
        });
        assert_eq!(code.unwrap(), 0);
        assert_eq!(seen.text(), expected.join(" "), "signaled in {style}");
    }
}

#[test]
fn a_notification_reaches_every_style() {
    in_each_style(
        Notify::new,
        |notify| {
            let notified = notify.notified();
            async {
                notified.await;
                "notified"
            }
        },
        Notify::notify_waiters,
        ["notified"; 3],
    );
}

#[test]
fn tasks_of_every_style_meet_at_a_barrier() {
    in_each_style(
        || Barrier::new(4),
        |barrier| async move {
            match barrier.wait().await.is_leader() {
                true => "leader",
                false => "met",
            }
        },
        |barrier| assert!(now(barrier.wait()).is_leader()),
        ["met"; 3],
    );
}

#[test]
fn tasks_of_every_style_read_what_a_writer_leaves() {
    let locked = || {
        let lock = RwLock::new("before");
        let guard = Rc::new(RefCell::new(lock.try_write()));
        (lock, guard)
    };
    in_each_style(
        locked,
        |(lock, _)| async move { *lock.read().await },
        |(_, guard)| {
            let mut guard = guard.take().unwrap();
            *guard = "after";
        },
        ["after"; 3],
    );
}

#[test]
fn tasks_of_every_style_wait_for_the_one_that_creates_a_value() {
    let created = || (OnceCell::new(), OneShot::new());
    in_each_style(
        created,
        |(cell, created): (OnceCell<&str>, OneShot<&str>)| async move {
            *cell.get_or_init(|| created.get()).await
        },
        |(cell, created)| {
            assert!(cell.set("another").is_err(), "a task creates it");
            created.send("created").unwrap();
        },
        ["created"; 3],
    );
}

#[test]
fn a_watched_value_reaches_every_style() {
    in_each_style(
        || watch::Sender::new("before"),
        |sender| {
            let mut receiver = sender.subscribe();
            drop(sender);
            async move {
                receiver.changed().await.unwrap();
                *receiver.borrow()
            }
        },
        |sender| sender.send("after").unwrap(),
        ["after"; 3],
    );
}

#[test]
fn a_broadcast_reaches_every_style() {
    in_each_style(
        || broadcast::Sender::new(1),
        |sender| {
            let mut receiver = sender.subscribe();
            async move { receiver.receive().await.unwrap() }
        },
        |sender| assert_eq!(sender.send("news").unwrap(), 3),
        ["news"; 3],
    );
}

#[test]
fn other_threads_reach_each_of_them_through_a_name() {
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let (notify, (latest, mut receiver)) = (Notify::new(), watch::channel(0));
        let names = (notify.remote(), latest.remote());
        let thread = std::thread::spawn(move || {
            let (notify, latest) = names;
            latest.run(|latest| latest.send(7).unwrap()).unwrap();
            notify.run(Notify::notify_one).unwrap();
        });
        assert_eq!(*receiver.wait_for(|value| *value == 7).await.unwrap(), 7);
        notify.notified().await;
        thread.join().unwrap();
    });
}
