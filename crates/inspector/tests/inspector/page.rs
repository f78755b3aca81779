//! The page, in a browser.

use crate::browser::Browser;
use oneloop::EventLoop;
use oneloop::aio::{sleep, spawn};
use oneloop::inspector::{
    AdminOptions, AdminThread, ConnectionAction, ConnectionInfo, ConnectionList, Connections,
    Inspector,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

/// A loop in a thread of its own, and the inspector that shows it.
struct Program {
    admin: AdminThread,
    stop: oneloop::core::Remote,
    thread: Option<thread::JoinHandle<()>>,
    acts: Receiver<(u64, ConnectionAction)>,
}

/// Two connections that do not exist.
struct Listed(Sender<(u64, ConnectionAction)>);

impl Connections for Listed {
    fn list(&self, _: usize) -> Pin<Box<dyn Future<Output = ConnectionList>>> {
        let one = |number: u64, peer: &str| ConnectionInfo {
            number,
            on_loop: "main".to_owned(),
            peer: peer.to_owned(),
            received: 123_456,
            sent: 1_234_567,
            state: "waits for input".to_owned(),
            age: 90_000 * MS,
            ..ConnectionInfo::default()
        };
        let shown = vec![one(1, "10.0.0.1:1111"), one(2, "<b>not bold</b>")];
        Box::pin(async { ConnectionList { total: 2, shown } })
    }

    fn act(&self, number: u64, action: ConnectionAction) {
        let _ = self.0.send((number, action));
    }
}

impl Program {
    fn start() -> Self {
        let (sender, acts) = channel();
        let (ready, started) = channel();
        let mut inspector = Inspector::new();
        inspector.set_connections(Listed(sender));
        let loops = inspector.loops();
        let thread = thread::spawn(move || {
            let mut event_loop = EventLoop::new().unwrap();
            loops.attach("main", &event_loop.handle());
            ready.send(event_loop.handle().remote()).unwrap();
            event_loop.enter(|| {
                spawn(parent());
                (0..30).for_each(|_| drop(spawn(std::future::pending::<()>())));
            });
            event_loop.run().unwrap();
        });
        let stop = started.recv().unwrap();
        let addr = "127.0.0.1:0".parse().unwrap();
        let admin = inspector.start(&addr, AdminOptions::default()).unwrap();
        Program {
            admin,
            stop,
            thread: Some(thread),
            acts,
        }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.admin.local_addr())
    }

    /// The number of turns that the loop has taken.
    fn turns(&self) -> u64 {
        let (sender, turns) = channel();
        let asked = self.stop.run(move |handle| {
            let _ = sender.send(handle.stats().turns);
        });
        asked.unwrap();
        turns.recv().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

async fn parent() {
    spawn(child());
    loop {
        sleep(5 * MS).await;
    }
}

async fn child() {
    loop {
        sleep(7 * MS).await;
    }
}

#[test]
fn the_page_shows_a_loop_and_holds_it_and_lets_it_go() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let program = Program::start();
    browser.open(&program.url());
    browser.until("document.getElementById('rate').textContent.endsWith('turns/s')");
    browser.until("document.getElementById('advice-list').innerText.includes('sleeps')");
    browser.until("document.querySelectorAll('#timeline .turn').length > 20");
    let is_child = "[...document.querySelectorAll('#tree li li .what')]
        .some(what => what.textContent.includes('page::child'))";
    browser.until(is_child);
    browser.until("document.getElementById('tree').innerText.includes('waits for a timer')");
    browser.until("document.getElementById('tree').innerText.includes('30 tasks spawned at')");

    // What a peer is called is text, and never markup.
    browser.until("document.querySelector('#connections').innerText.includes('<b>not bold</b>')");
    browser.click("#connections button[title^=close]");
    assert_eq!(program.acts.recv().unwrap(), (1, ConnectionAction::Close));

    browser.click("#hold");
    browser.until("document.getElementById('where').textContent.includes('held')");
    let turn = "Number(/turn (\\d+)/.exec(document.getElementById('where').textContent)[1])";
    let held = browser.evaluate(turn).as_u64().unwrap();
    browser.click("#step");
    browser.until(&format!("{turn} === {}", held + 1));
    browser.picture("held.png", 1400, false);
    browser.click("#slow");
    browser.until(&format!("{turn} >= {}", held + 3));
    browser.click("#free");
    browser.until("document.getElementById('stepped').hidden");

    // A page that leaves lets its loop go.
    browser.click("#hold");
    browser.until("document.getElementById('where').textContent.includes('held')");
    browser.leave();
    let (before, began) = (program.turns(), Instant::now());
    while program.turns() < before + 20 {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(browser.errors, Vec::<String>::new());
}

#[test]
fn pictures_for_the_documentation() {
    let Some(address) = std::env::var_os("ONELOOP_PICTURE_OF") else {
        return; // a server that runs, such as http://127.0.0.1:9000
    };
    let Some(mut browser) = Browser::start() else {
        return;
    };
    browser.open(address.to_str().unwrap());
    browser.until("document.querySelectorAll('#timeline .turn').length > 60");
    browser.evaluate("new Promise(resolve => setTimeout(resolve, 9000))");
    browser.picture("inspector.png", 1400, false);
    browser.picture("inspector-dark.png", 1400, true);
    browser.picture("inspector-phone.png", 400, true);
    browser.click("#slow");
    browser.until("!document.getElementById('stepped').hidden");
    browser.picture("inspector-slow.png", 1400, false);
    assert_eq!(browser.errors, Vec::<String>::new());
}
