//! Green-locals, and OS threads.

use super::{ValueError, attempt, ms, py};
use oneloop::green::{Wait, green_local, join_all, offload, sleep, spawn};
use oneloop::sync::Semaphore;
use std::cell::{Cell, RefCell};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

/// The maximum time for which a job waits for what has to be printed before its end. Only a job
/// that blocks the loop waits that long.
const JOB_MAX: Duration = Duration::from_secs(10);

struct Value(&'static str);

impl Drop for Value {
    fn drop(&mut self) {
        println!("the value of {} is dropped", self.0);
    }
}

green_local! {
    static NAME: Cell<Option<&'static str>> = Cell::new(None);
    static VALUE: RefCell<Option<Value>> = RefCell::new(None);
    static COUNTER: Cell<u32> = Cell::new(10);
}

pub(super) fn local() {
    fn name() -> Option<&'static str> {
        NAME.with(Cell::get)
    }
    fn child(own: &'static str, wait_ms: u64) {
        println!("{own} begins with {}", name().unwrap_or("nothing"));
        NAME.with(|name| name.set(Some(own)));
        VALUE.with(|value| value.replace(Some(Value(own))));
        sleep(ms(wait_ms));
        println!("{own} still has {}", name().unwrap_or("nothing"));
    }
    NAME.with(|name| name.set(Some("main")));
    spawn(|| child("a", 20));
    spawn(|| child("b", 40));
    sleep(ms(60));
    println!("main still has {}", name().unwrap_or("nothing"));
    NAME.with(Cell::take);
    println!("deleted: {}", py(name().is_none()));

    COUNTER.with(|counter| counter.set(counter.get() + 1));
    let elsewhere = spawn(|| COUNTER.with(Cell::get)).join();
    let elsewhere = elsewhere.expect("it only reads");
    println!("elsewhere {elsewhere} here {}", COUNTER.with(Cell::get));
}

pub(super) fn thread_pool() {
    fn place(main: ThreadId) -> &'static str {
        if thread::current().id() == main {
            "in the main thread"
        } else {
            "in another thread"
        }
    }
    let main = thread::current().id();
    // The twin's jobs sleep, each longer than what has to be printed before its end. A busy machine
    // may stretch any sleep, so here a job waits until that is printed: its sender is dropped then.
    let blocks = move |name: &'static str, before: Receiver<()>| {
        offload(move || {
            let _ = before.recv_timeout(JOB_MAX);
            format!("{name} {}", place(main))
        })
    };
    let (ticking, ticks) = channel();
    spawn(move || {
        for number in 0..3 {
            println!("tick {number}");
            sleep(ms(20));
        }
        drop(ticking);
    });
    println!("executed {}", blocks("first", ticks));

    let at_once = Semaphore::new(2); // `set_num_threads(2)`
    let ((b_runs, b_ends), (a_runs, a_ends)) = (channel(), channel());
    let (c_runs, nothing) = (channel().0, channel().1);
    let jobs = [
        ("a", b_ends, a_runs),
        ("b", nothing, b_runs),
        ("c", a_ends, c_runs),
    ];
    join_all(jobs.map(|(name, before, runs)| {
        let at_once = at_once.clone();
        spawn(move || {
            let _permit = at_once.acquire().wait();
            println!("done {}", blocks(name, before));
            drop(runs);
        })
    }));
    let Err(error) = attempt(|| offload(|| ValueError("broken in a thread").raise()));
    println!("raised {}", error.0);

    let counter = Arc::new(Mutex::new(0));
    let count = || *counter.lock().expect("no holder panics");
    let add = |number| {
        let counter = Arc::clone(&counter);
        offload(move || {
            let mut counter = counter.lock().expect("no holder panics");
            *counter += number;
            format!("{counter} {}", place(main))
        })
    };
    println!("proxy {}", add(2));
    println!("proxy {} count {}", add(3), count());
}
