//! Where eventlet differs from gevent. On virtual time; its programs are in `conformance/eventlet`.

mod harness;

use harness::{Log, MS, run};
use oneloop_core::Handle;
use oneloop_green::net::{TcpListener, TcpStream, UnixStream};
use oneloop_green::{
    Outcome, RunError, Wait, current, eventlet, scope, sleep, spawn, timeout, yield_now,
};
use oneloop_sync::ResourcePool;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Logs unhandled panics.
fn note_unhandled(log: &Log) {
    let log = log.clone();
    Handle::current().on_unhandled(move |unhandled| {
        log.say(format!(
            "unhandled:{}",
            unhandled.error.panic_message().unwrap_or("?")
        ));
    });
}

#[test]
fn spawn_and_spawn_after_zero_begin_in_the_order_of_their_calls() {
    let log = run(|| {
        let log = Log::default();
        let say = |name| {
            let log = log.clone();
            move || log.say(name)
        };
        eventlet::spawn_after(Duration::ZERO, say("a"));
        spawn(say("b"));
        eventlet::spawn_after(Duration::ZERO, say("c"));
        eventlet::spawn_n(say("d"));
        sleep(MS);
        log
    });
    assert_eq!(log.unwrap().lines(), "a b c d");
}

#[test]
fn the_links_of_a_thread_that_never_began_are_called_by_its_killer() {
    let log = run(|| {
        let log = Log::default();
        let victim = spawn(|| ());
        let (says, main) = (log.clone(), current());
        eventlet::link(&victim, move |victim| {
            assert!(current() == main && victim.outcome() == Some(Outcome::Killed));
            says.say("link");
        });
        let says = log.clone();
        spawn(move || says.say("behind"));
        eventlet::kill(&victim);
        log.say("killed");
        log
    });
    assert_eq!(log.unwrap().lines(), "link behind killed");
}

#[test]
fn the_links_of_a_thread_canceled_before_it_began_run_on_their_own_threads() {
    let outcome = run(|| {
        let victim = spawn(|| ());
        let notified = eventlet::Event::new();
        let sends = notified.clone();
        eventlet::link(&victim, move |victim| {
            yield_now();
            sends.send(victim.outcome()).unwrap();
        });
        victim.cancel();
        notified.get().wait()
    });
    assert_eq!(outcome.unwrap(), Some(Outcome::Canceled));
}

#[test]
fn a_result_exists_before_the_links_have_ended() {
    let log = run(|| {
        let log = Log::default();
        let thread = spawn(|| 42);
        let says = log.clone();
        eventlet::link(&thread, move |thread| {
            says.say("link");
            sleep(MS);
            says.say(format!("{}", thread.is_finished()));
        });
        let id = thread.thread().clone();
        log.say(format!("{}", thread.join().unwrap()));
        assert!(!id.is_finished() && id.outcome() == Some(Outcome::Returned));
        let says = log.clone();
        eventlet::link(&id, move |_| says.say("late"));
        log.say("joined");
        sleep(2 * MS);
        log.say(format!("{}", id.is_finished()));
        log
    });
    assert_eq!(log.unwrap().lines(), "link 42 late joined false true");
}

#[test]
fn a_link_that_panics_is_reported_and_ends_the_links() {
    let log = run(|| {
        let log = Log::default();
        note_unhandled(&log);
        let thread = spawn(|| ());
        let says = log.clone();
        eventlet::link(&thread, |_| resume_unwind(Box::new("broken")));
        eventlet::link(&thread, move |_| says.say("never"));
        log.say(format!("{:?}", thread.join()));
        sleep(MS);
        log
    });
    assert_eq!(log.unwrap().lines(), "unhandled:broken Ok(())");
}

#[test]
fn a_waiter_for_the_end_waits_for_the_links() {
    let log = run(|| {
        let log = Log::default();
        let thread = spawn(|| ());
        let says = log.clone();
        eventlet::link(&thread, move |_| {
            sleep(MS);
            says.say("link");
        });
        let says = log.clone();
        thread.on_exit(move |_| says.say("exit"));
        thread.finished().wait();
        log.say("finished");
        log
    });
    assert_eq!(log.unwrap().lines(), "link exit finished");
}

#[test]
fn a_scope_waits_for_the_links() {
    let log = run(|| {
        let log = Log::default();
        let says = log.clone();
        scope(|scope| {
            let thread = scope.spawn(|| ());
            eventlet::link(thread.thread(), move |_| {
                sleep(MS);
                says.say("link");
            });
        });
        log.say("scope");
        log
    });
    assert_eq!(log.unwrap().lines(), "link scope");
}

#[test]
fn a_thread_can_be_killed_in_a_link() {
    let log = run(|| {
        let log = Log::default();
        note_unhandled(&log);
        let thread = spawn(|| ());
        let says = log.clone();
        eventlet::link(&thread, move |_| {
            sleep(1000 * MS);
            says.say("never");
        });
        eventlet::wait(&thread, |result| assert!(result.is_ok()));
        assert!(!thread.is_finished());
        eventlet::kill(&thread);
        assert!(thread.is_finished() && thread.join().is_ok());
        log
    });
    assert_eq!(log.unwrap().lines(), "");
}

#[test]
fn a_removed_link_is_not_called() {
    let removed = run(|| {
        let thread = spawn(|| ());
        let link = eventlet::link(&thread, |_| unreachable!("it was removed"));
        let removed = link.remove();
        thread.finished().wait();
        (removed, eventlet::link(&thread, |_| ()).remove())
    });
    assert_eq!(removed.unwrap(), (true, false));
}

#[test]
fn killing_a_thread_that_has_ended_does_not_yield() {
    run(|| {
        let thread = spawn(|| ());
        thread.finished().wait();
        let other = spawn(|| ());
        eventlet::kill(&thread);
        assert!(!other.is_finished());
    })
    .unwrap();
}

#[test]
fn a_waiter_woken_by_an_event_gets_its_value_although_it_was_reset() {
    let got = run(|| {
        let event = eventlet::Event::new();
        assert_eq!(event.reset(), Err(eventlet::NotSent));
        let waits = event.clone();
        let waiter = spawn(move || waits.get().wait());
        yield_now();
        event.send(1).unwrap();
        assert_eq!(event.send(2), Err(2));
        event.reset().unwrap();
        event.send(3).unwrap();
        (waiter.join().unwrap(), event.try_get())
    });
    assert_eq!(got.unwrap(), (1, Some(3)));
}

#[test]
fn a_waiter_for_a_returned_resource_runs_first() {
    let log = run(|| {
        let log = Log::default();
        let pool = ResourcePool::new(1, || ());
        let lent = pool.get().wait();
        let (waits, says) = (pool.clone(), log.clone());
        spawn(move || {
            let _lent = waits.get().wait();
            says.say("got");
        });
        yield_now();
        eventlet::put(&pool, lent);
        log.say("put");
        log
    });
    assert_eq!(log.unwrap().lines(), "got put");
}

/// Serves clients that each send one letter.
fn serve(
    handler: impl Fn(u8) -> ControlFlow<()> + 'static,
    letters: &[u8],
) -> Result<io::Result<()>, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    for letter in letters.iter().copied() {
        spawn(move || {
            let mut client = TcpStream::connect(addr).unwrap();
            client.write_all(&[letter]).unwrap();
            client.read_to_end(&mut Vec::new()).unwrap();
        });
    }
    let handler = move |mut stream: TcpStream, _peer| {
        let mut letter = [0];
        stream.read_exact(&mut letter).unwrap();
        handler(letter[0])
    };
    let serve = || eventlet::serve(&listener, 10, handler);
    let served = catch_unwind(AssertUnwindSafe(serve));
    sleep(100 * MS); // a handler that ends later interrupts nothing
    served.map_err(|payload| *payload.downcast::<String>().unwrap())
}

#[test]
fn serving_ends_with_the_first_handler_that_breaks() {
    run(|| {
        let handler = |letter| match letter {
            b's' => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        };
        assert!(matches!(serve(handler, b"xsss"), Ok(Ok(()))));
    })
    .unwrap();
}

#[test]
fn a_panic_of_a_handler_panics_in_serve() {
    run(|| {
        let handler = |letter| match letter {
            b'p' => resume_unwind(Box::new("broken".to_owned())),
            _ => ControlFlow::Continue(()),
        };
        assert_eq!(serve(handler, b"xppp").unwrap_err(), "broken");
    })
    .unwrap();
}

#[test]
fn a_reader_of_a_stream_that_eventlet_closes_stays_parked() {
    let got = run(|| {
        let (mut a, mut b) = UnixStream::pair().unwrap();
        let closes = a.clone();
        spawn(move || eventlet::close(&closes));
        let waits = timeout(MS, || a.read(&mut [0])).is_err();
        (waits, b.read(&mut [0]).unwrap(), a.read(&mut [0]).is_err())
    });
    assert_eq!(got.unwrap(), (true, 0, true));
}

#[test]
fn a_silently_closed_stream_does_not_keep_the_loop_alive() {
    let ended = run(|| {
        let (mut a, _b) = UnixStream::pair().unwrap();
        let closes = a.clone();
        spawn(move || eventlet::close(&closes));
        a.read(&mut [0])
    });
    assert!(matches!(ended, Err(RunError::Deadlock(_))));
}

#[test]
fn a_stop_that_comes_after_serve_has_failed_interrupts_nothing_else() {
    run(|| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        spawn(move || TcpStream::connect(addr).map(|_| sleep(MS)));
        let closes = listener.clone();
        let served = eventlet::serve(&listener, 1, move |_, _| {
            closes.close();
            ControlFlow::Break(())
        });
        assert!(served.is_err());
        sleep(MS);
    })
    .unwrap();
}
