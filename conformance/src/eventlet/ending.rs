//! Kills, and what the end of a green thread notifies.

use super::{ValueError, ms, py, raised};
use oneloop::Handle;
use oneloop::green::{
    ExitLink, JoinError, JoinHandle, Outcome, Thread, Wait, catch_unwind, current, eventlet, sleep,
    spawn,
};
use std::rc::Rc;
use std::time::Duration;

/// The cleanup of a killed thread, which may wait.
struct Dies {
    name: &'static str,
    wait: Option<Duration>,
}

impl Drop for Dies {
    fn drop(&mut self) {
        println!("{} dies", self.name);
        if let Some(wait) = self.wait {
            sleep(wait);
            println!("{} has cleaned up", self.name);
        }
    }
}

pub(super) fn kill_runs_now() {
    fn victim(name: &'static str, wait: Option<Duration>) -> JoinHandle<()> {
        spawn(move || {
            let _dies = Dies { name, wait };
            sleep(ms(1000));
        })
    }
    let a = victim("a", None);
    let b = victim("b", Some(Duration::ZERO));
    let c = victim("c", Some(ms(20)));
    sleep(Duration::ZERO);
    spawn(|| println!("spawned before the kill"));
    println!("kill a");
    eventlet::kill(&a);
    println!("killed a, dead: {}", py(a.is_finished()));
    println!("kill b");
    eventlet::kill(&b);
    println!("killed b, dead: {}", py(b.is_finished()));
    sleep(Duration::ZERO);
    println!("a turn later, dead: {}", py(b.is_finished()));
    eventlet::kill(&c);
    println!("killed c, dead: {}", py(c.is_finished()));
    sleep(ms(40));
    println!("later, dead: {}", py(c.is_finished()));
    eventlet::kill(&c);
    println!("kill of the dead does nothing");

    struct KilledItself;
    impl Drop for KilledItself {
        fn drop(&mut self) {
            println!("killed itself");
        }
    }
    spawn(|| {
        let _prints = KilledItself;
        eventlet::kill(&current());
    });
    sleep(ms(20));
}

pub(super) fn kill_unstarted() {
    fn print_end(thread: &Thread, name: &str) {
        thread.finished().wait();
        match thread.outcome() {
            Some(Outcome::Killed) => println!("{name} hears of the kill"),
            outcome => println!("{name} hears of {outcome:?}"),
        }
    }
    let victim = spawn(|| println!("never printed"));
    eventlet::link(&victim, |thread| print_end(thread, "link"));
    spawn(|| println!("spawned behind the victim"));
    println!("kill");
    eventlet::kill(&victim);
    println!("killed, dead: {}", py(victim.is_finished()));
    print_end(&victim, "a wait");

    let later = eventlet::spawn_after(ms(20), || println!("never printed"));
    eventlet::link(&later, |thread| print_end(thread, "second link"));
    eventlet::kill(&later);
    sleep(ms(40));
    println!("its time came");
}

pub(super) fn cancel() {
    fn works(name: &'static str) -> &'static str {
        println!("{name} begins");
        sleep(ms(20));
        println!("{name} ends");
        name
    }
    let unstarted = spawn(|| works("unstarted"));
    eventlet::cancel(&unstarted);
    println!("cancelled, dead: {}", py(unstarted.is_finished()));
    let started = spawn(|| works("started"));
    sleep(Duration::ZERO);
    eventlet::cancel(&started);
    println!("began already, dead: {}", py(started.is_finished()));
    let later = eventlet::spawn_after(ms(20), || works("later"));
    eventlet::cancel(&later);
    let ended = started.thread().clone();
    for thread in [unstarted, started, later] {
        match thread.join() {
            Err(JoinError::Killed) => println!("cancelled"),
            result => println!("{}", result.expect("it has ended")),
        }
    }
    eventlet::cancel(&ended);
    println!("cancel of the dead does nothing");
}

pub(super) fn links() {
    type Worker = Rc<JoinHandle<&'static str>>;
    fn result(thread: &Worker) -> &'static str {
        eventlet::wait(thread, |result| *result.as_ref().expect("it works"))
    }
    fn link(thread: &Worker, name: &'static str, more: &'static str) -> ExitLink {
        let worker = Rc::clone(thread);
        eventlet::link(thread, move |thread| {
            let is_inside = current() == *thread;
            let place = if is_inside {
                "in the dying one"
            } else {
                "in another"
            };
            println!("{name} {} {place} {more}", result(&worker));
        })
    }
    fn works() -> &'static str {
        println!("works");
        "done"
    }
    let ended = spawn(|| ());
    ended.finished().wait();
    let unknown = eventlet::link(&ended, |_| ());

    let thread = Rc::new(spawn(works));
    link(&thread, "link 1", "nothing more");
    link(&thread, "link 2", "an argument");
    let never = link(&thread, "never printed", "");
    println!("unlinked: {} {}", py(never.remove()), py(unknown.remove()));
    result(&thread);
    println!("waited");
    link(&thread, "late link", "nothing more");
    println!("the late link ran at once");

    let thread = Rc::new(spawn(works));
    eventlet::link(&thread, |_| {
        println!("a link may wait");
        sleep(ms(20));
        println!("it has waited");
    });
    link(&thread, "the link behind it", "nothing more");
    println!(
        "result: {} dead: {}",
        result(&thread),
        py(thread.is_finished())
    );
    sleep(ms(40));
    println!("dead: {}", py(thread.is_finished()));
}

pub(super) fn wait() {
    fn works() -> u32 {
        sleep(ms(20));
        42
    }
    fn outcome(thread: &JoinHandle<u32>) -> String {
        eventlet::wait(thread, |result| match result {
            Ok(value) => value.to_string(),
            Err(JoinError::Killed) => "was killed".to_owned(),
            Err(error) => format!("raised {}", raised(error).expect("a ValueError").0),
        })
    }
    Handle::current().on_unhandled(|_| ());
    let (good, bad) = (spawn(works), spawn(|| ValueError("broken").raise()));
    let (killed, own) = (spawn(works), spawn(works));
    sleep(Duration::ZERO);
    eventlet::kill(&killed);
    own.throw(Box::new(ValueError("of my own")));
    for (name, thread) in [
        ("good", good),
        ("bad", bad),
        ("killed", killed),
        ("own", own),
    ] {
        println!("{name} {} and again {}", outcome(&thread), outcome(&thread));
    }

    let stubborn = spawn(|| {
        if catch_unwind(|| sleep(ms(1000))).is_err() {
            println!("swallowed");
        }
        sleep(ms(20));
        "lived on"
    });
    sleep(Duration::ZERO);
    eventlet::kill(&stubborn);
    println!(
        "stubborn {}",
        stubborn.join().expect("it swallowed the kill")
    );
}
