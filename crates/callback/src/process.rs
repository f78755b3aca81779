//! The program as a whole: how it ends, and what happens to uncaught errors.
//!
//! Exit codes are Node's: 0 when nothing is left to do; 1 for an uncaught error; 7 when the handler
//! of an uncaught error throws; or the code of [`exit`] or [`set_exit_code`].
//!
//! All listeners of 'exit' receive the code with which the end began. A listener may change the
//! code by [`set_exit_code`]; a listener that calls [`exit`] or throws is the last one that is
//! called.

pub use crate::runtime::Origin;
pub use crate::stream::{stderr, stdin, stdout};

use crate::runtime::{CodeListener, Runtime, UncaughtHandler, current, try_current};
use crate::thrown::{IntoResult, Thrown, callback_of, or_rethrow};
use oneloop_core::{ExitRequest, JoinHandle, Signals};
use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::rc::Rc;

/// Calls `f` with each error that no callback caught; the program then continues. There is one
/// handler at a time.
///
/// # Panics
/// Outside of [`run`](crate::run), as all functions of this module.
#[track_caller]
pub fn on_uncaught_exception<O: IntoResult>(f: impl Fn(&Thrown, Origin) -> O + 'static) {
    let of = callback_of(&f);
    let handler: UncaughtHandler = Rc::new(move |thrown, origin| of.result(f(thrown, origin)));
    // The old handler is dropped after the borrow: it may own any value of the program.
    let before = current().process.uncaught.replace(Some(handler));
    drop(before);
}

/// Calls `f` with the exit code when nothing is left to do: 'beforeExit'. If `f` begins something,
/// the program continues, and calls `f` again later. [`exit`] and uncaught errors do not call it.
#[track_caller]
pub fn on_before_exit<O: IntoResult>(f: impl Fn(u8) -> O + 'static) {
    let of = callback_of(&f);
    let listener: CodeListener = Rc::new(move |code| of.result(f(code)));
    current().process.before_exit.borrow_mut().push(listener);
}

/// Calls `f` with the exit code at the very end: 'exit'. Whatever `f` begins never runs.
#[track_caller]
pub fn on_exit<O: IntoResult>(f: impl Fn(u8) -> O + 'static) {
    let of = callback_of(&f);
    let listener: CodeListener = Rc::new(move |code| of.result(f(code)));
    current().process.exit.borrow_mut().push(listener);
}

/// A listener of a signal: see [`on_signal`] and [`once_signal`].
#[derive(Debug)]
pub struct SignalListener {
    task: JoinHandle<()>,
}

impl SignalListener {
    /// Removes the listener: `process.off`. Without any listener the signal does what it did
    /// before.
    pub fn off(self) {
        self.task.cancel();
    }
}

/// Calls `f` on each signal of a number, such as
/// [`SIGTERM`](oneloop_core::signal::number::SIGTERM), which then does not end the program:
/// `process.on('SIGTERM', …)`. The listener does not keep the program alive. Without a listener,
/// SIGTERM ends the program with code 143, as the shell counts.
///
/// Each listener has an fd of its own, so those of one signal are called in the order in which the
/// poll reports them. Node calls them in the order in which they were added.
///
/// # Errors
/// As [`Signals::new`]: a number that is no signal, and signals that cannot be handled, such as
/// SIGKILL.
#[doc(alias("SIGINT", "SIGTERM"))]
#[track_caller]
pub fn on_signal<O: IntoResult>(
    number: i32,
    f: impl Fn(i32) -> O + 'static,
) -> io::Result<SignalListener> {
    listen_to_signal(number, |runtime, signals| async move {
        while let Some(Ok(number)) = runtime.until_over(signals.recv()).await {
            let of = callback_of(&f);
            runtime.make_callback(|| of.result(f(number)));
        }
    })
}

/// Calls `f` on the next signal of a number only: `process.once('SIGINT', …)`. It is removed before
/// it is called, so a second SIGINT ends a program whose graceful stop takes too long.
///
/// ```
/// use oneloop::callback::{net, process, run};
/// use oneloop::signal::{SIGINT, SIGTERM};
///
/// run(|| {
///     let server = net::create_server(|_| ()).listen(("127.0.0.1", 0))?;
///     for signal in [SIGINT, SIGTERM] {
///         let server = server.clone();
///         process::once_signal(signal, move |_| {
///             server.close_then(|_| println!("stopped"));
///         })?;
///     }
/// #   server.close();
///     Ok::<_, oneloop::callback::Thrown>(())
/// })?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// As [`on_signal`].
#[track_caller]
pub fn once_signal<O: IntoResult>(
    number: i32,
    f: impl FnOnce(i32) -> O + 'static,
) -> io::Result<SignalListener> {
    listen_to_signal(number, |runtime, signals| async move {
        if let Some(Ok(number)) = runtime.until_over(signals.recv()).await {
            drop(signals); // a second signal does what it does without this listener
            let of = callback_of(&f);
            runtime.make_callback(|| of.result(f(number)));
        }
    })
}

#[track_caller]
fn listen_to_signal<F: Future<Output = ()> + 'static>(
    number: i32,
    listener: impl FnOnce(Rc<Runtime>, Signals) -> F,
) -> io::Result<SignalListener> {
    let runtime = current();
    let signals = Signals::new(&runtime.handle, &[number])?;
    // Its wait is unreferenced: Node's `startListeningIfSignal` unrefs the signal's handle, too.
    let task = runtime.handle.clone().spawn(listener(runtime, signals));
    Ok(SignalListener { task })
}

/// Sets the code with which the program will exit: `process.exitCode`.
#[track_caller]
pub fn set_exit_code(code: u8) {
    current().process.code.set(Some(code));
}

/// Ends the program now: emits 'exit', and then unwinds, so values are dropped after the listeners
/// ran; [`run`](crate::run) returns the code, and nothing that was begun continues. All code
/// that runs on the loop's thread may call it: callbacks, futures, drops, and tasks and green
/// threads of the same loop. As in Node, code that catches the unwinding does not keep the program
/// from ending.
///
/// An error that a listener of 'exit' throws counts as thrown by this call, as in Node.
#[doc(alias = "process_exit")]
pub fn exit(code: u8) -> ! {
    if let Some(runtime) = try_current().filter(|runtime| !runtime.process.is_stopped()) {
        if runtime.is_in_scope() {
            or_rethrow(runtime.exit(code));
        } else {
            // No callback below this one would catch what a listener throws.
            runtime.make_callback(|| runtime.exit(code));
        }
    }
    // Not a panic: no hook prints it. The callback's caller catches it (`thrown_by`).
    resume_unwind(Box::new(ExitRequest { code }))
}
