//! Server-sent events, and what they cost.

use crate::client::{ask, connect, start};
use oneloop::EventLoop;
use oneloop::inspector::{AdminOptions, AdminThread, Inspector};
use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// A loop that runs until its `Remote` stops it, and the inspector that shows it.
fn with_loop(test: impl FnOnce(&AdminThread, &oneloop::core::Remote)) {
    let (sender, started) = channel();
    let inspector = Inspector::new();
    let loops = inspector.loops();
    let thread = thread::spawn(move || {
        let mut event_loop = EventLoop::new().unwrap();
        loops.attach("main", &event_loop.handle());
        sender.send(event_loop.handle().remote()).unwrap();
        event_loop.run().unwrap();
    });
    let remote = started.recv().unwrap();
    let addr = "127.0.0.1:0".parse().unwrap();
    let admin = inspector.start(&addr, AdminOptions::default()).unwrap();
    test(&admin, &remote);
    remote.stop();
    thread.join().unwrap();
}

fn watch(admin: &AdminThread) -> BufReader<std::net::TcpStream> {
    let mut stream = connect(admin);
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    BufReader::new(stream)
}

/// Reads until a line with this text.
fn read_until(events: &mut BufReader<std::net::TcpStream>, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(
            events.read_line(&mut line).unwrap() > 0,
            "the events end before {text}"
        );
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn a_loop_is_observed_only_while_a_page_watches() {
    with_loop(|admin, remote| {
        let turns = || {
            let (sender, turns) = channel();
            let count = move |handle: &oneloop::Handle| sender.send(handle.stats().turns).unwrap();
            remote.run(count).unwrap();
            turns.recv().unwrap()
        };
        let mut events = watch(admin);
        read_until(&mut events, "\"counts\":{");
        drop(events);
        // The next frame finds out that the page is gone. Then the loop has rest.
        let mut before = turns();
        while turns() - before > 1 {
            before = turns();
            thread::sleep(Duration::from_millis(600)); // more than two frames
        }
    });
}

#[test]
fn a_page_that_reads_nothing_misses_frames_and_ends_with_the_thread() {
    with_loop(|admin, _| {
        let slow = watch(admin);
        let mut events = watch(admin);
        for _ in 0..4 {
            read_until(&mut events, "event: frame");
        }
        drop(slow);
        read_until(&mut events, "event: frame");
    });
}

#[test]
fn watchers_beyond_the_maximum_get_503() {
    let admin = start(AdminOptions {
        watchers_max: 1,
        ..AdminOptions::default()
    });
    let mut first = watch(&admin);
    read_until(&mut first, "event: hello");
    assert!(ask(&admin, "GET /events", "").starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_loop_that_is_stuck_is_named_with_its_task() {
    with_loop(|admin, remote| {
        let mut events = watch(admin);
        read_until(&mut events, "\"counts\":{");
        let (sender, gate) = channel::<()>();
        let block = move |handle: &oneloop::Handle| {
            handle.spawn_detached(async move {
                let _ = gate.recv();
            })
        };
        remote.run(block).unwrap();
        let line = read_until(&mut events, "has not answered for");
        assert!(
            line.contains("spawned at tests/inspector/events.rs:"),
            "{line}"
        );
        drop(sender);
        read_until(&mut events, "\"stuck_ms\":null");
    });
}

#[test]
fn motion_needs_a_page_and_a_loop() {
    let admin = start(AdminOptions::default());
    assert!(ask(&admin, "POST /motion?loop=main&motion=hold", "").starts_with("HTTP/1.1 404 "));
    with_loop(|admin, _| {
        let hold = ask(admin, "POST /motion?loop=main&motion=hold", "");
        assert!(hold.starts_with("HTTP/1.1 409 "), "{hold}");
        let mut events = watch(admin);
        read_until(&mut events, "event: frame");
        assert!(ask(admin, "POST /motion?loop=main&motion=x", "").starts_with("HTTP/1.1 400 "));
        assert!(ask(admin, "POST /motion?loop=main&motion=hold", "").starts_with("HTTP/1.1 200 "));
        read_until(&mut events, "\"holds\":true");
        assert!(ask(admin, "POST /motion?loop=main&motion=free", "").starts_with("HTTP/1.1 200 "));
        read_until(&mut events, "\"step\":null");
    });
}

#[test]
fn the_page_and_its_parts_are_there() {
    let admin = start(AdminOptions::default());
    for path in ["/", "/inspector.js", "/inspector.css", "/inspector.svg"] {
        let answer = ask(&admin, &format!("GET {path}"), "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    }
}
