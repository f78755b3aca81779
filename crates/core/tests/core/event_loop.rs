//! What the loop promises: order, time, when it ends.

use oneloop::aio::{UnixStream, interval, sleep, spawn, yield_now};
use oneloop::core::{Clock, Phase, Signals};
use oneloop::{EventLoop, Handle, Options};
use std::cell::RefCell;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

fn virtual_loop() -> EventLoop {
    EventLoop::with(Options::virtual_time()).unwrap()
}

/// A list that tasks write into.
#[derive(Clone, Default)]
struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn add(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }

    fn text(&self) -> String {
        self.0.borrow().join(" ")
    }
}

#[test]
fn tasks_run_in_the_order_of_their_spawning_and_never_at_once() {
    let mut event_loop = virtual_loop();
    let (handle, log) = (event_loop.handle(), Log::default());
    for name in ["a", "b", "c"] {
        let log = log.clone();
        handle.spawn(async move {
            log.add(format!("{name}1"));
            yield_now().await;
            log.add(format!("{name}2"));
        });
    }
    log.add("spawned");
    event_loop.run().unwrap();
    assert_eq!(log.text(), "spawned a1 b1 c1 a2 b2 c2");
}

#[test]
fn a_program_full_of_sleeps_takes_no_time_on_the_virtual_clock() {
    let start = Instant::now();
    let mut event_loop = virtual_loop();
    let (handle, log) = (event_loop.handle(), Log::default());
    for (order, seconds) in [30_000, 10, 20, 10, 0].into_iter().enumerate() {
        let (log, handle) = (log.clone(), handle.clone());
        let began = handle.now();
        handle.clone().spawn(async move {
            handle.sleep(Duration::from_secs(seconds)).await;
            assert_eq!(handle.now() - began, Duration::from_secs(seconds));
            log.add(format!("{seconds}s({order})"));
        });
    }
    event_loop.run().unwrap();
    assert_eq!(log.text(), "0s(4) 10s(1) 10s(3) 20s(2) 30000s(0)");
    assert!(start.elapsed() < Duration::from_secs(8_000));
}

#[test]
fn a_turn_goes_through_its_phases_in_libuvs_order() {
    let mut event_loop = virtual_loop();
    let (handle, log) = (event_loop.handle(), Log::default());
    for phase in Phase::ALL {
        let (log, handle) = (log.clone(), handle.clone());
        handle.clone().spawn(async move {
            for turn in 1..=2 {
                handle.phase(phase).await;
                log.add(format!("{phase}{turn}"));
            }
        });
    }
    event_loop.run().unwrap();
    assert_eq!(
        log.text(),
        "pending1 idle1 prepare1 poll1 check1 closing1 timers1 \
         pending2 idle2 prepare2 poll2 check2 closing2 timers2"
    );
}

#[test]
fn a_phase_takes_a_snapshot_of_its_waiters() {
    let mut event_loop = virtual_loop();
    let (handle, log) = (event_loop.handle(), Log::default());
    for name in ["a", "b"] {
        let (log, handle) = (log.clone(), handle.clone());
        handle.clone().spawn(async move {
            handle.phase(Phase::Check).await;
            log.add(name);
            handle.phase(Phase::Check).await;
            log.add(format!("{name}'{}", handle.stats().turns));
        });
    }
    let keep_awake = handle.clone();
    handle.spawn(async move {
        for _ in 0..3 {
            keep_awake.phase(Phase::Idle).await; // so that two turns do not sleep
        }
    });
    event_loop.run().unwrap();
    assert_eq!(log.text(), "a b a'2 b'2");
}

#[test]
fn a_phase_whose_only_waiter_gave_up_is_forgotten() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    let mut reached = Box::pin(handle.phase(Phase::Prepare));
    assert!(
        reached
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(reached);
    event_loop.run().unwrap(); // would sleep forever
    assert_eq!(handle.stats().turns, 0);
}

#[test]
fn the_loop_ends_when_nothing_referenced_is_left() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    event_loop.run().unwrap();
    handle.spawn(pending::<()>());
    handle.spawn(async {
        let mut unreferenced = sleep(Duration::from_secs(60));
        unreferenced.set_referenced(false);
        unreferenced.await;
        unreachable!("nothing else was left to wait for");
    });
    handle.spawn(async { sleep(Duration::from_secs(1)).await });
    let start = handle.now();
    event_loop.run().unwrap();
    assert_eq!(handle.now() - start, Duration::from_secs(1));
    assert_eq!(handle.task_count(), 2);
}

#[test]
fn each_thing_that_can_happen_keeps_the_loop_alive_until_it_is_unreferenced() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let (a, b) = event_loop.block_on(async { UnixStream::pair() }).unwrap();
    let stays = |event_loop: &mut EventLoop| event_loop.run_nowait().unwrap();

    assert!(!stays(&mut event_loop));
    let guard = handle.keep_alive();
    assert!(stays(&mut event_loop));
    drop(guard);
    assert!(!stays(&mut event_loop));

    let mut remote = handle.remote();
    assert!(stays(&mut event_loop));
    remote.set_referenced(false);
    assert!(!stays(&mut event_loop));
    let clone = remote.clone();
    assert!(!stays(&mut event_loop), "a clone is as its original");
    remote.set_referenced(true);
    drop(clone);
    assert!(stays(&mut event_loop));
    drop(remote);

    let mut check = Box::pin(handle.phase(Phase::Check));
    assert!(
        check
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    check.as_mut().get_mut().set_referenced(false);
    assert!(
        !event_loop.run_nowait().unwrap(),
        "and the turn has come to that phase"
    );
    assert!(
        check
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    );

    let (source, _peer) = (oneloop::net::ByteStream::socket(&*a).source(), b);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        source
            .poll_ready(&mut cx, oneloop::core::Direction::Read)
            .is_pending()
    );
    assert!(stays(&mut event_loop));
    source.set_referenced(false);
    assert!(!stays(&mut event_loop));
    source.set_referenced(true);
    assert!(stays(&mut event_loop));
    drop(a);
    assert!(!stays(&mut event_loop));
}

#[test]
fn stop_ends_the_run_at_the_end_of_the_turn() {
    let mut event_loop = virtual_loop();
    let (handle, log) = (event_loop.handle(), Log::default());
    let inside = log.clone();
    handle.spawn(async move {
        Handle::current().stop();
        inside.add("stopped");
        sleep(Duration::from_secs(1)).await;
        inside.add("went on");
    });
    event_loop.run().unwrap();
    assert_eq!(log.text(), "stopped");
    event_loop.run().unwrap();
    assert_eq!(log.text(), "stopped went on");
}

#[test]
fn stop_from_another_thread_ends_an_endless_wait() {
    let mut event_loop = EventLoop::new().unwrap();
    let remote = event_loop.handle().remote();
    let _keep_alive = event_loop.handle().keep_alive();
    let thread = std::thread::spawn(move || remote.stop());
    event_loop.run().unwrap();
    thread.join().unwrap();
}

#[test]
fn run_once_takes_one_turn_and_run_nowait_does_not_sleep() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    handle.spawn(async {
        sleep(Duration::from_secs(1)).await;
        sleep(Duration::from_secs(1)).await;
    });
    let start = handle.now();
    assert!(
        event_loop.run_nowait().unwrap(),
        "the task has run and sleeps"
    );
    assert!(event_loop.run_nowait().unwrap());
    assert_eq!(handle.now(), start);
    assert!(event_loop.run_once().unwrap(), "the first sleep is over");
    assert_eq!(handle.now() - start, Duration::from_secs(1));
    assert!(!event_loop.run_once().unwrap());
    assert_eq!(handle.now() - start, Duration::from_secs(2));
}

#[test]
fn block_on_leaves_the_others_for_the_next_run() {
    let mut event_loop = virtual_loop();
    let log = Log::default();
    let inside = log.clone();
    event_loop.block_on(async move {
        spawn(async move {
            sleep(Duration::from_secs(5)).await;
            inside.add("later");
        });
        sleep(Duration::from_secs(1)).await;
    });
    assert_eq!(log.text(), "");
    event_loop.run().unwrap();
    assert_eq!(log.text(), "later");
}

#[test]
fn block_on_may_borrow() {
    let text = String::from("borrowed");
    let length = virtual_loop().block_on(async {
        sleep(MS).await;
        text.len()
    });
    assert_eq!(length, text.len());
}

#[test]
fn a_main_future_that_panics_leaves_a_usable_loop() {
    let mut event_loop = virtual_loop();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        event_loop.block_on(async { panic!("main") })
    }));
    assert!(panicked.is_err());
    assert!(Handle::try_current().is_none());
    assert_eq!(event_loop.block_on(async { 7 }), 7);
}

#[test]
fn an_interval_skips_ticks_without_a_waiter() {
    virtual_loop().block_on(async {
        let start = Handle::current().now();
        let mut ticks = interval(10 * MS);
        assert_eq!(ticks.tick().await - start, 10 * MS);
        sleep(35 * MS).await;
        assert_eq!(
            ticks.tick().await - start,
            20 * MS,
            "the one that was missed, at once"
        );
        assert_eq!(ticks.tick().await - start, 50 * MS);
        assert_eq!(Handle::current().now() - start, 50 * MS);
    });
}

#[test]
fn statistics_tell_what_a_turn_did() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    event_loop.block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        spawn(async move { a.write_all(b"x").await });
        b.read(&mut [0; 8]).await.unwrap();
        sleep(Duration::from_secs(1)).await;
    });
    let stats = handle.stats();
    assert_eq!(
        (stats.events, stats.timers_fired, stats.tasks_spawned),
        (1, 1, 1)
    );
    assert_eq!(stats.tasks_run, 4, "main thrice, the writer once");
    assert_eq!(
        (stats.idle, stats.busy()),
        (Duration::from_secs(1), Duration::ZERO)
    );
    assert_eq!(stats.lag_max, Duration::ZERO);
}

#[test]
fn lag_is_how_late_a_timer_fires() {
    let clock = Clock::new_virtual();
    let mut event_loop = EventLoop::with(Options {
        clock: clock.clone(),
        ..Options::default()
    })
    .unwrap();
    event_loop.block_on(async {
        let timer = spawn(sleep(10 * MS));
        yield_now().await;
        clock.advance(25 * MS); // as a task that computes for so long
        timer.await.unwrap();
    });
    assert_eq!(event_loop.handle().stats().lag_max, 15 * MS);
}

#[test]
fn an_observer_sees_each_phase_of_each_turn() {
    let mut event_loop = virtual_loop();
    let (handle, log) = (event_loop.handle(), Log::default());
    let inside = log.clone();
    handle.observe(Some(move |report: &oneloop::core::PhaseReport| {
        inside.add(format!(
            "{}{}:{}/{}",
            report.phase,
            report.turn,
            report.woke.len(),
            report.ran.len()
        ));
    }));
    handle.spawn(async { sleep(MS).await });
    event_loop.run().unwrap();
    assert_eq!(
        log.text(),
        "timers0:0/1 pending1:0/0 idle1:0/0 prepare1:0/0 poll1:0/0 check1:0/0 closing1:0/0 timers1:1/1"
    );
}

#[test]
fn a_signal_reaches_every_listener() {
    let mut event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(async {
        use oneloop::signal::number::{SIGUSR1, SIGUSR2};
        let first = Signals::new(&handle, &[SIGUSR1, SIGUSR2]).unwrap();
        let second = Signals::new(&handle, &[SIGUSR2]).unwrap();
        let own = rustix::process::getpid();
        rustix::process::kill_process(own, rustix::process::Signal::USR2).unwrap();
        assert_eq!(first.recv().await.unwrap(), SIGUSR2);
        assert_eq!(second.recv().await.unwrap(), SIGUSR2);
        rustix::process::kill_process(own, rustix::process::Signal::USR1).unwrap();
        assert_eq!(first.recv().await.unwrap(), SIGUSR1);
    });
}

#[test]
fn futures_io_works_over_the_streams() -> io::Result<()> {
    use futures_lite::{AsyncBufReadExt, AsyncWriteExt, StreamExt, io::BufReader};
    virtual_loop().block_on(async {
        let (mut a, b) = UnixStream::pair()?;
        let writer = spawn(async move {
            a.write_all(b"one\ntwo\n").await?;
            a.close().await
        });
        let lines: Vec<_> = BufReader::new(b)
            .lines()
            .map(|line| line.unwrap())
            .collect()
            .await;
        assert_eq!(lines, ["one", "two"]);
        writer.await.unwrap()
    })
}

#[test]
fn a_sleep_can_be_reset_and_polled_by_another_task() {
    virtual_loop().block_on(async {
        let start = Handle::current().now();
        let mut once = Box::pin(sleep(10 * MS));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(
            pin!(&mut once).poll(&mut cx).is_pending(),
            "with a waker that wakes no task"
        );
        once.as_mut().get_mut().reset(30 * MS);
        spawn(async move {
            assert!(
                pin!(&mut once)
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            once.await;
            assert_eq!(Handle::current().now() - start, 30 * MS);
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_stop_that_block_on_ignored_does_not_end_the_next_run() {
    let mut event_loop = virtual_loop();
    let log = Log::default();
    event_loop.block_on(async { Handle::current().stop() });
    let inside = log.clone();
    event_loop.handle().spawn(async move { inside.add("ran") });
    event_loop.run().unwrap();
    assert_eq!(log.text(), "ran");
}

#[test]
fn a_wait_for_a_phase_alone_does_not_sleep() {
    for phase in Phase::ALL {
        let mut event_loop = virtual_loop();
        let handle = event_loop.handle();
        handle.spawn(handle.phase(phase));
        event_loop.run().unwrap(); // would sleep forever
        assert_eq!(handle.task_count(), 0, "{phase}");
    }
}

#[test]
fn run_once_does_not_wait_after_something_ran() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    let _keep_alive = handle.keep_alive();
    handle.spawn(async {});
    assert!(event_loop.run_once().unwrap()); // would sleep forever
    assert_eq!(handle.task_count(), 0);
}

#[test]
fn time_outside_of_the_loop_is_not_counted() {
    let clock = Clock::new_virtual();
    let mut event_loop = EventLoop::with(Options {
        clock: clock.clone(),
        ..Options::default()
    })
    .unwrap();
    clock.advance(Duration::from_secs(9));
    event_loop.block_on(async { sleep(MS).await });
    assert_eq!(event_loop.handle().stats().busy_max, Duration::ZERO);
}

#[test]
fn a_loop_may_live_in_a_thread_local() {
    thread_local! {
        static HUB: RefCell<EventLoop> = RefCell::new(EventLoop::new().unwrap());
    }
    let thread = std::thread::spawn(|| HUB.with_borrow_mut(|hub| hub.block_on(async { 7 })));
    assert_eq!(thread.join().unwrap(), 7);
}

#[test]
fn waiters_for_the_poll_run_before_the_tasks_that_it_found() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    let log = Log::default();
    let (reads, waits) = (log.clone(), log.clone());
    let waiter = handle.clone();
    event_loop.block_on(async {
        let (a, b) = UnixStream::pair().unwrap();
        let reader = handle.spawn(async move {
            b.read_chunk().await.unwrap();
            reads.add("found");
        });
        yield_now().await; // it waits for the socket
        a.write(b"x").await.unwrap();
        let poll = waiter.phase(Phase::Poll);
        let waits = handle.spawn(async move {
            poll.await;
            waits.add("waited");
        });
        reader.await.unwrap();
        waits.await.unwrap();
    });
    assert_eq!(log.text(), "waited found");
}

#[test]
fn all_tasks_that_a_phase_woke_run_in_it_however_long_that_takes() {
    let mut event_loop = virtual_loop();
    let handle = event_loop.handle();
    let phases = Rc::new(RefCell::new(Vec::new()));
    for _ in 0..30 {
        let (handle, phases) = (handle.clone(), Rc::clone(&phases));
        event_loop.handle().spawn(async move {
            handle.phase(Phase::Check).await;
            handle.clock().advance(Duration::from_millis(5)); // 150 ms for all of them
            phases.borrow_mut().push(handle.current_phase());
        });
    }
    event_loop.run().unwrap();
    assert_eq!(*phases.borrow(), [Phase::Check; 30]);
}
