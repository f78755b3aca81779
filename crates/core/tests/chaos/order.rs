//! Orders that the loop and the styles promise: a program notes what runs, and each seed makes the
//! same notes.
//!
//! What is not noted here is not promised. A small share of runs (rule 15) may move a task that has
//! just been woken behind the next phase, as a busy loop does, so an immediate and a 'close' that one
//! callback causes come in either order.

use crate::harness::{FDS, TIMERS, check};
use oneloop::EventLoop;
use oneloop::aio::{self, sleep, spawn, yield_now};
use oneloop::callback::net::{self, Socket};
use oneloop::callback::{next_tick, queue_microtask, run_on, set_immediate, set_timeout};
use oneloop::green::{self, Wait};
use oneloop::sync::{Condition, Event, Mutex, Queue, Semaphore};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];
const PAUSE: Duration = Duration::from_millis(5);

/// What ran, in its order.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    /// Takes the notes, and asserts what they are.
    #[track_caller]
    fn expect(&self, expected: &str) {
        assert_eq!(self.0.take().join(" "), expected);
    }
}

#[test]
fn async_tasks_run_in_the_order_in_which_they_become_ready() {
    check(TIMERS, |event_loop| event_loop.block_on(async_order()));
}

async fn async_order() {
    let notes = Notes::default();
    let tasks = NAMES.map(|name| {
        let notes = notes.clone();
        spawn(async move {
            for number in 1..=3 {
                notes.note(format!("{name}{number}"));
                yield_now().await;
            }
        })
    });
    aio::join_all(tasks).await;
    notes.expect("a1 b1 c1 a2 b2 c2 a3 b3 c3");

    let events = NAMES.map(|_| Event::new());
    let tasks = [0, 1, 2].map(|number| {
        let (event, notes) = (events[number].clone(), notes.clone());
        spawn(async move {
            event.until_set().await;
            notes.note(NAMES[number]);
        })
    });
    sleep(PAUSE).await;
    for number in [2, 0, 1] {
        events[number].set();
    }
    aio::join_all(tasks).await;
    notes.expect("c a b");

    // By their deadlines, and those of one deadline in the order of their starts.
    let delays_ms = [("a", 3), ("b", 2), ("c", 3), ("d", 2), ("e", 3)];
    let tasks = delays_ms.map(|(name, ms)| {
        let notes = notes.clone();
        spawn(async move {
            sleep(Duration::from_millis(ms)).await;
            notes.note(name);
        })
    });
    aio::join_all(tasks).await;
    notes.expect("b d a c e");
}

#[test]
fn green_threads_run_in_the_order_in_which_they_wait() {
    check(TIMERS, |event_loop| {
        green::run_on(event_loop, green_order).unwrap();
    });
}

/// Starts threads that each wait and then note their name, with what the wait returns. Returns once
/// all wait.
fn three(notes: &Notes, wait: impl Fn() -> String + 'static) -> [green::JoinHandle<()>; 3] {
    let wait = Rc::new(wait);
    let threads = NAMES.map(|name| {
        let (notes, wait) = (notes.clone(), Rc::clone(&wait));
        green::spawn(move || notes.note(format!("{name}{}", wait())))
    });
    green::sleep(PAUSE);
    threads
}

fn join(threads: [green::JoinHandle<()>; 3]) {
    for thread in threads {
        thread.join().unwrap();
    }
}

fn green_order() {
    let notes = Notes::default();
    let threads = NAMES.map(|name| {
        let notes = notes.clone();
        green::spawn(move || {
            for number in 1..=3 {
                notes.note(format!("{name}{number}"));
                green::yield_now(); // gevent's `sleep(0)`
            }
        })
    });
    join(threads);
    notes.expect("a1 b1 c1 a2 b2 c2 a3 b3 c3");

    join(three(&notes, || {
        green::sleep(2 * PAUSE);
        String::new()
    }));
    notes.expect("a b c");

    let event = Event::new();
    let waited = event.clone();
    let threads = three(&notes, move || {
        waited.until_set().wait();
        String::new()
    });
    event.set();
    join(threads);
    notes.expect("a b c");

    let permits = Semaphore::new(0);
    let acquired = permits.clone();
    let threads = three(&notes, move || {
        acquired.acquire().wait().forget();
        String::new()
    });
    (0..3).for_each(|_| permits.release());
    join(threads);
    notes.expect("a b c");

    let mutex = Mutex::new(0);
    let locked = mutex.clone();
    let guard = mutex.lock().wait();
    let threads = three(&notes, move || {
        let mut guard = locked.lock().wait();
        *guard += 1;
        green::yield_now();
        guard.to_string()
    });
    drop(guard);
    join(threads);
    notes.expect("a1 b2 c3");

    let queue = Queue::unbounded();
    let getter = queue.clone();
    let threads = three(&notes, move || getter.get().wait());
    for number in 1..=3 {
        queue.put(number.to_string()).wait();
    }
    join(threads);
    notes.expect("a1 b2 c3");

    let condition = Condition::new();
    let waited = condition.clone();
    let threads = three(&notes, move || {
        let lock = waited.lock().wait();
        let _lock = lock.wait().wait();
        String::new()
    });
    let lock = condition.lock().wait();
    condition.notify_all();
    drop(lock);
    join(threads);
    notes.expect("a b c");
}

#[test]
fn callbacks_run_in_nodes_order() {
    check(TIMERS, |event_loop| {
        let notes = Notes::default();
        let of_program = notes.clone();
        assert_eq!(run_on(event_loop, || phases(of_program)).unwrap(), 0);
        notes.expect(
            "main main:tick main:tick:tick main:micro main:tick:micro main:micro:tick \
             timer1 timer1:tick timer1:tick:tick timer1:micro timer1:tick:micro timer1:micro:tick \
             timer2 timer2:tick timer2:tick:tick timer2:micro timer2:tick:micro timer2:micro:tick \
             immediate1 immediate1:tick immediate1:tick:tick immediate1:micro \
             immediate1:tick:micro immediate1:micro:tick \
             immediate2 immediate2:tick immediate2:tick:tick immediate2:micro \
             immediate2:tick:micro immediate2:micro:tick \
             immediate3 immediate3:tick immediate3:tick:tick immediate3:micro \
             immediate3:tick:micro immediate3:micro:tick immediate4",
        );
    });
}

/// Notes a callback, and what follows it: ticks, then microtasks, then the ticks of those.
fn follow(notes: &Notes, name: &'static str) {
    notes.note(name);
    let note = |suffix: &str| {
        let (notes, text) = (notes.clone(), format!("{name}:{suffix}"));
        move || notes.note(text)
    };
    let (tick, of_tick, micro_of_tick) = (note("tick"), note("tick:tick"), note("tick:micro"));
    let (micro, of_micro) = (note("micro"), note("micro:tick"));
    queue_microtask(move || {
        micro();
        next_tick(of_micro);
    });
    next_tick(move || {
        tick();
        queue_microtask(micro_of_tick);
        next_tick(of_tick);
    });
}

fn phases(notes: Notes) {
    follow(&notes, "main");
    let (first, second) = (notes.clone(), notes.clone());
    set_timeout(
        move || {
            follow(&first, "timer1");
            let notes = first.clone();
            set_immediate(move || {
                follow(&notes, "immediate1");
                // Not of this turn, so it comes behind the immediates that the second timer sets.
                set_immediate(move || notes.note("immediate4"));
            });
            set_immediate(move || follow(&first, "immediate2"));
        },
        5,
    );
    set_timeout(
        move || {
            follow(&second, "timer2");
            set_immediate(move || follow(&second, "immediate3"));
        },
        5,
    );
}

#[test]
fn a_close_is_the_last_event_of_a_socket() {
    check(FDS, |event_loop| {
        let (client, server) = (Notes::default(), Notes::default());
        closes(event_loop, &client, &server);
        client.expect(
            "connect connect:tick connect:micro data data:tick data:micro end end:tick end:micro \
             close close:tick close:micro",
        );
        server.expect("listening connection close() end server:close socket:close");
    });
}

fn closes(event_loop: &mut EventLoop, of_client: &Notes, of_server: &Notes) {
    let (of_client, of_server) = (of_client.clone(), of_server.clone());
    let code = run_on(event_loop, move || {
        let notes = of_server.clone();
        let server = net::create_server(|_| ());
        server.on(
            net::event::Connection,
            move |(server, socket): (net::Server, Socket)| {
                notes.note("connection");
                let (at_end, at_close) = (notes.clone(), notes.clone());
                socket.on_end(move |_| at_end.note("end"));
                socket.on_close(move |_, _| at_close.note("socket:close"));
                socket.resume();
                socket.end_with("x");
                // As in Node, its 'close' comes a tick after the socket is destroyed.
                notes.note("close()");
                server.close();
            },
        );
        let notes = of_server.clone();
        server.on_close(move |_| notes.note("server:close"));
        server.listen_then(("127.0.0.1", 0), move |server| {
            of_server.note("listening");
            let port = server.port().expect("it listens");
            let client = net::connect(("127.0.0.1", port)).expect("a port");
            let note = |name: &'static str| {
                let notes = of_client.clone();
                move || {
                    notes.note(name);
                    let (tick, micro) = (notes.clone(), notes.clone());
                    queue_microtask(move || micro.note(format!("{name}:micro")));
                    next_tick(move || tick.note(format!("{name}:tick")));
                }
            };
            let (connected, got) = (note("connect"), note("data"));
            let (ended, closed) = (note("end"), note("close"));
            client.on_connect(move |_| connected());
            client.on_data(move |_, _| got());
            client.on_end(move |_| ended());
            client.on_close(move |_, _| closed());
        })
    });
    assert_eq!(code.unwrap(), 0);
}
