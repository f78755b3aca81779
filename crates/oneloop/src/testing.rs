//! What the tests of `#[oneloop::test]` run on.

use crate::aio::{offload, spawn};
use crate::core::{Unfinished, UnfinishedCause};
use crate::sync::ShutdownToken;
use crate::{EventLoop, Handle, Options};
use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

/// How long a test waits for other threads once nothing on its loop can wake it.
const OTHER_THREADS: Duration = Duration::from_secs(5);

/// Runs a test on virtual time.
#[track_caller]
pub fn virtual_time<F: Future>(test: impl FnOnce() -> F) -> F::Output {
    run(Options::virtual_time(), test)
}

/// Runs a test on the kernel's clock.
#[track_caller]
pub fn real_time<F: Future>(test: impl FnOnce() -> F) -> F::Output {
    run(Options::default(), test)
}

/// Runs a test once for each seed from 0 on.
#[cfg(feature = "chaos")]
#[track_caller]
pub fn chaos<F>(seeds: u64, test: impl Fn() -> F)
where
    F: Future<Output: std::process::Termination>,
{
    use std::process::{ExitCode, Termination};
    crate::chaos::check(0..seeds, |event_loop| {
        let exit = event_loop.block_on(test()).report(); // which prints an error
        assert!(exit == ExitCode::SUCCESS, "the test returned an error");
    });
}

#[track_caller]
fn run<F: Future>(options: Options, test: impl FnOnce() -> F) -> F::Output {
    let mut event_loop = EventLoop::with(options).expect("an event loop needs two fds");
    let handle = event_loop.handle();
    let panics = Rc::new(RefCell::new(Vec::new()));
    let (first, stuck) = (Rc::clone(&panics), StuckTest::watch(&handle));
    handle.on_unhandled(move |unhandled| first.borrow_mut().push(unhandled.to_string()));
    let output = event_loop.block_on(async { stuck.token.run(test()).await });
    drop(stuck.ends); // before the loop, which waits for its threads
    drop(event_loop); // tasks that are left may panic in their drops
    if let Some(panic) = panics.take().first() {
        panic!("{panic}");
    }
    output.unwrap_or_else(|| panic!("the test waits forever: {}", stuck.report.take()))
}

/// Ends a test that waits although nothing can wake it.
struct StuckTest {
    token: ShutdownToken,
    report: Rc<RefCell<String>>,
    /// Ends the wait for other threads with the test.
    ends: mpsc::Sender<()>,
}

impl StuckTest {
    fn watch(handle: &Handle) -> Self {
        let (token, report) = (ShutdownToken::new(), Rc::new(RefCell::default()));
        let (ends, ended) = mpsc::channel();
        let ended = RefCell::new(Some(ended));
        let (triggers, reports) = (token.clone(), Rc::clone(&report));
        handle.on_unfinished(move |unfinished: &Unfinished| {
            if unfinished.cause == UnfinishedCause::LoopDropped {
                return;
            }
            let Some(ended) = ended.take() else { return };
            reports.replace(unfinished.to_string());
            let triggers = triggers.clone();
            spawn(async move {
                // On another thread, so that virtual time waits as well.
                let _ = offload(move || ended.recv_timeout(OTHER_THREADS)).await;
                triggers.trigger();
            });
        });
        StuckTest {
            token,
            report,
            ends,
        }
    }
}
