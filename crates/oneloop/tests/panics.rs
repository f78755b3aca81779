//! A panic because of the caller names the caller's line: what the sources promise, and what calls
//! outside of a loop and outside of a green thread do. The hook takes the process for itself.

use oneloop::{aio, callback, fs, green, net, sync};
use std::cell::{Cell, RefCell};
use std::fs as files;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::{Duration, Instant};

static HOOK: Once = Once::new();

thread_local! {
    /// True while this thread makes a call that should panic.
    static IS_CALLING: Cell<bool> = const { Cell::new(false) };
    /// The file and the text of this thread's last panic.
    static LAST: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// A call that should panic, and its text.
type Call = (&'static str, Box<dyn FnOnce()>);

/// The names of the calls whose panic is reported elsewhere than in this file, and where.
fn reported_elsewhere<const N: usize>(calls: [Call; N]) -> Vec<String> {
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_CALLING.get() {
                return usual(info);
            }
            let file = info.location().unwrap().file().to_owned();
            let text = info.payload_as_str().unwrap_or_default().to_owned();
            LAST.set(Some((file, text)));
        }));
    });
    let mut elsewhere = Vec::new();
    for (name, call) in calls {
        LAST.set(None);
        IS_CALLING.set(true);
        let returned = panic::catch_unwind(AssertUnwindSafe(call)).is_ok();
        IS_CALLING.set(false);
        match LAST.take() {
            Some((file, text)) if file == file!() => {
                if !text.contains("oneloop::") {
                    elsewhere.push(format!("{name}: {text} does not say what to do"));
                }
            }
            last => elsewhere.push(format!("{name}: {last:?} (returned: {returned})")),
        }
    }
    elsewhere
}

macro_rules! calls {
    ($($call:expr),* $(,)?) => {
        [$((stringify!($call), Box::new(move || { let _result = $call; }) as Box<dyn FnOnce()>)),*]
    };
}

const MS: Duration = Duration::from_millis(1);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[test]
fn a_wait_outside_of_a_green_thread_names_its_line() {
    use green::Wait;
    let calls = calls![
        green::sleep(MS),
        green::sleep_until(Instant::now()),
        green::yield_now(),
        green::idle(),
        green::current(),
        green::timeout(MS, || ()),
        green::timeout_at(Instant::now(), || ()),
        green::offload(|| ()),
        green::scope(|_| ()),
        green::spawn(|| ()),
        green::Builder::new().spawn(|| ()),
        green::Group::new().join(),
        green::Group::new().join_timeout(MS),
        green::Pool::new(1).wait_for_permit(),
        green::Pool::new(1).spawn(|| ()),
        green::Pool::new(1).submit(|| ()),
        std::future::pending::<()>().wait(),
        std::future::pending::<()>().wait_timeout(MS),
        sync::Event::new().until_set().wait(),
        green::net::TcpStream::connect("127.0.0.1:1"),
        green::net::TcpListener::bind(loopback()),
        green::net::TcpListener::bind("localhost:0"),
        green::net::UdpSocket::bind(loopback()),
        green::net::UnixStream::pair(),
        green::net::pipe(),
        green::net::wait_readable(std::io::stdin(), None),
        green::fs::read("/"),
        green::fs::metadata("/"),
        green::fs::read_dir("/"),
        green::fs::File::open("/"),
        green::fs::tempfile(),
        green::process::Command::new("true").status(),
        green::process::Command::new("true").output(),
        green::stdin(),
        green::signal_handler(10, || ()),
    ];
    assert_eq!(reported_elsewhere(calls), [""; 0]);
}

#[test]
fn a_spawn_into_a_full_pool_from_an_async_task_names_its_line_and_submit_works() {
    aio::block_on(async {
        let pool = green::Pool::new(1);
        let first = pool.spawn(|| 1); // a permit is free
        let full = pool.clone();
        assert_eq!(reported_elsewhere(calls![full.spawn(|| ())]), [""; 0]);
        let second = pool.submit(|| 2);
        assert_eq!((pool.running(), pool.queued()), (1, 1));
        assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 2));
    });
}

#[test]
fn a_call_outside_of_a_loop_names_its_line() {
    let calls = calls![
        oneloop::Handle::current(),
        aio::spawn(async {}),
        aio::sleep(MS),
        aio::offload(|| ()),
        aio::signals(&[10]),
        net::TcpListener::bind(loopback()),
        net::UdpSocket::bind(loopback()),
        net::UnixStream::pair(),
        net::pipe(),
        net::stdin(),
        fs::Watcher::new(),
    ];
    assert_eq!(reported_elsewhere(calls), [""; 0]);
}

#[test]
fn a_call_outside_of_callback_run_names_its_line() {
    let calls = calls![
        callback::set_timeout(|| (), 1),
        callback::set_interval(|| (), 1),
        callback::set_immediate(|| ()),
        callback::queue_microtask(|| ()),
        callback::next_tick(|| ()),
        callback::process::on_exit(|_| ()),
        callback::process::on_uncaught_exception(|_, _| ()),
        callback::net::create_server(|_| ()),
        callback::net::Socket::new(),
        callback::fs::create_read_stream("/"),
        callback::child_process::spawn("true", [""; 0]),
        callback::offload(|| (), |_| ()),
    ];
    assert_eq!(reported_elsewhere(calls), [""; 0]);
}

/// The Rust files of a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in files::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The functions of a file that panic outside of something, by their documentation, but do not name
/// the caller's line. Text, as the functions in macros count, too.
fn untracked(text: &str) -> Vec<String> {
    let mut untracked = Vec::new();
    let (mut panics, mut in_section, mut tracked) = (false, false, false);
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            if doc.starts_with(" # ") {
                in_section = doc == " # Panics";
            }
            panics |= in_section && doc.to_lowercase().contains("outside");
        } else if line.starts_with("#[track_caller]") {
            tracked = true;
        } else if !line.starts_with('#') {
            // The body of an `async fn` has no caller: it runs when it is polled.
            let is_function = line.contains("fn ") && !line.contains("async fn ");
            if panics && is_function && !tracked {
                untracked.push(line.to_owned());
            }
            (panics, in_section, tracked) = (false, false, false);
        }
    }
    untracked
}

#[test]
fn each_function_that_panics_outside_of_a_loop_or_thread_tracks_its_caller() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for name in [
        "aio", "callback", "core", "fs", "green", "net", "process", "sync",
    ] {
        sources(&crates.join(name).join("src"), &mut found);
    }
    assert!(found.len() > 100);
    let mut all = Vec::new();
    for path in found {
        let names = untracked(&files::read_to_string(&path).unwrap());
        all.extend(names.iter().map(|name| format!("{path:?}: {name}")));
    }
    assert_eq!(all, [""; 0]);
}

#[test]
fn the_search_finds_an_untracked_function() {
    let docs = "/// Reads.\n///\n/// # Panics\n/// Outside of a loop.\n";
    let function = "    pub fn read() {\n";
    assert_eq!(untracked(&format!("{docs}{function}")), ["pub fn read() {"]);
    let tracked = format!("{docs}#[track_caller]\n{function}");
    assert_eq!(untracked(&tracked), [""; 0]);
}
