//! One loop, three styles, one queue: `cargo run --example three_styles`.
//!
//! A callback server puts the words of its clients into a queue. A green thread gets them by
//! waiting for a future, and an async task joins the green thread. A callback starts both.

use oneloop::callback::net::{self, Socket};
use oneloop::callback::{Thrown, run_on, spawn_micro};
use oneloop::green::{self, Wait};
use oneloop::sync::{OneShot, Queue};
use oneloop::{EventLoop, Handle, Options};
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

type Say = Rc<dyn Fn(&str)>;

/// A green thread: the code reads as if it blocked.
fn collect(words: &Queue<String>, say: &Say) -> usize {
    let mut count = 0;
    loop {
        let word = words.get().wait();
        if word == "end" {
            break;
        }
        say(&format!("green thread: got {word}"));
        count += 1;
    }
    let later = async {
        oneloop::aio::sleep(Duration::from_millis(1)).await;
        "a future"
    };
    say(&format!("green thread: waited for {}", later.wait()));
    count
}

/// A client, as another green thread.
fn talk(port: u16, words: &'static [&'static str]) {
    let mut stream = green::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    for word in words {
        stream.write_all(word.as_bytes()).expect("it reads");
        green::sleep(Duration::from_millis(5)); // so that each word arrives alone
    }
}

fn start(say: Say) -> Result<(), Thrown> {
    let words = Queue::bounded(1);
    let total = OneShot::new();

    let into = words.clone();
    let server = net::create_server(move |socket: Socket| {
        let into = into.clone();
        socket.on_data(move |_, data| {
            let word = String::from_utf8_lossy(data).into_owned();
            // A callback cannot wait: a microtask does.
            drop(spawn_micro(into.put(word)));
        });
    });

    let (tells, says) = (total.clone(), Rc::clone(&say));
    let closes = server.listen(("127.0.0.1", 0))?;
    let on_listening = closes.clone();
    closes.on_listening(move |_| {
        let port = on_listening.port().expect("it listens");
        let (from, inside) = (words.clone(), Rc::clone(&says));
        let collector = green::spawn(move || collect(&from, &inside));
        drop(green::spawn(move || talk(port, &["one", "two", "end"])));
        let (tells, says) = (tells.clone(), Rc::clone(&says));
        let _task = Handle::current().spawn(async move {
            let count = collector.await.expect("it does not panic");
            says(&format!("async task: the green thread counted {count}"));
            let _ = tells.send(count);
        });
    });

    drop(spawn_micro(async move {
        let count = total.get().await;
        say(&format!("callback: {count} words in all"));
        closes.close();
    }));
    Ok(())
}

/// Runs the example on virtual time, and passes each line to a function.
pub(crate) fn three_styles(say: impl Fn(&str) + 'static) -> std::io::Result<()> {
    let mut event_loop = EventLoop::with(Options::virtual_time())?;
    run_on(&mut event_loop, move || start(Rc::new(say)))?;
    Ok(())
}

fn main() -> std::io::Result<()> {
    three_styles(|line| println!("{line}"))
}
