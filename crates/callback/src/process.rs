//! The program as a whole: how it ends, and what is heard of errors that nobody caught.
//!
//! Exit codes are Node's: 0 when nothing is left to do; 1 for an uncaught error; 7 when the handler
//! of an uncaught error throws; or what [`exit`] or [`set_exit_code`] say.
//!
//! All listeners of 'exit' receive the code with which the end began. A listener may change the code by
//! [`set_exit_code`]; one that calls [`exit`] or throws is the last one that hears of the end.

pub use crate::stream::{stderr, stdin, stdout};

use crate::runtime::{Left, Runtime, current, try_current};
use crate::thrown::{Outcome, Thrown, or_rethrow};
use oneloop_core::{ExitRequest, JoinHandle, Signals, report};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// Where an uncaught error came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A callback threw it.
    UncaughtException,
    /// A promise that nobody waited for was rejected with it.
    UnhandledRejection,
}

/// As Node names it: `uncaughtException`, `unhandledRejection`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::UncaughtException => "uncaughtException",
            Origin::UnhandledRejection => "unhandledRejection",
        })
    }
}

pub(crate) type UncaughtHandler = Rc<dyn Fn(&Thrown, Origin) -> Result<(), Thrown>>;
type CodeListener = Rc<dyn Fn(u8) -> Result<(), Thrown>>;

#[derive(Default)]
pub(crate) struct Process {
    uncaught: RefCell<Option<UncaughtHandler>>,
    before_exit: RefCell<Vec<CodeListener>>,
    exit: RefCell<Vec<CodeListener>>,
    /// `process.exitCode`, once it is set.
    code: Cell<Option<u8>>,
    /// 'exit' is being told, or was: `process._exiting`.
    exiting: Cell<bool>,
    /// Nothing runs any more.
    ending: Cell<bool>,
}

impl Process {
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// True from when 'exit' is told on.
    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.get()
    }

    pub(crate) fn code(&self) -> u8 {
        self.code.get().unwrap_or(0)
    }

    pub(crate) fn emit_before_exit(&self) -> Result<(), Thrown> {
        let (listeners, code) = (self.before_exit.borrow().clone(), self.code());
        listeners
            .into_iter()
            .try_for_each(|listener| listener(code))
    }

    /// Forgets all handlers.
    pub(crate) fn forget_all(&self) {
        let uncaught = self.uncaught.take();
        let listeners = (self.before_exit.take(), self.exit.take());
        drop((uncaught, listeners));
    }
}

impl Runtime {
    /// Node's `process.exit`: 'exit' is told, and nothing else runs any more.
    ///
    /// # Errors
    /// What a listener of 'exit' throws. The program then goes on if somebody hears of that.
    fn exit(self: &Rc<Self>, code: u8) -> Result<(), Thrown> {
        self.process.code.set(Some(code));
        if !self.process.is_exiting() {
            self.emit_exit()?;
        }
        self.stop();
        Ok(())
    }

    /// Ends the program because nothing is left to do. As in Node, microtasks of the listeners run, but
    /// no ticks.
    pub(crate) fn end(self: &Rc<Self>) {
        self.scope(|| self.call(|| self.emit_exit()));
        self.stop();
    }

    fn emit_exit(self: &Rc<Self>) -> Result<(), Thrown> {
        self.process.exiting.set(true);
        let (listeners, code) = (self.process.exit.borrow().clone(), self.process.code());
        for listener in listeners {
            match catch_unwind(AssertUnwindSafe(|| listener(code))) {
                Ok(heard) => heard?,
                Err(payload) => match self.thrown_by(payload) {
                    Some(thrown) => return Err(thrown),
                    None => break, // the listener called `exit`
                },
            }
        }
        Ok(())
    }

    /// Runs nothing any more.
    fn stop(&self) {
        self.process.ending.set(true);
        self.handle.stop();
    }

    /// What a callback that unwound has thrown. None if it called `exit`, which has ended the program.
    pub(crate) fn thrown_by(self: &Rc<Self>, payload: Box<dyn Any + Send>) -> Option<Thrown> {
        match payload.downcast::<ExitRequest>() {
            Ok(_) if self.process.is_ending() => None,
            Ok(request) => self.exit(request.code).err(),
            Err(payload) => Some(Thrown::from_panic(payload)),
        }
    }

    /// Passes an error to the handler of uncaught errors. Without a handler the program ends with code 1,
    /// and with 7 if the handler throws, too; then no 'exit' is told.
    pub(crate) fn handle_thrown(
        self: &Rc<Self>,
        thrown: Thrown,
        origin: Origin,
    ) -> Result<(), Left> {
        let handler = self.process.uncaught.borrow().clone();
        let Some(hear) = handler else {
            self.end_uncaught(&thrown);
            return Err(Left);
        };
        let again = match catch_unwind(AssertUnwindSafe(|| hear(&thrown, origin))) {
            Ok(heard) => heard.err(),
            Err(payload) => self.thrown_by(payload),
        };
        if let Some(again) = again {
            report(format_args!("Uncaught {again}"));
            self.process.code.set(Some(7));
            self.stop();
        }
        if self.process.is_ending() {
            return Err(Left);
        }
        self.immediates.push_nothing();
        Ok(())
    }

    /// Ends the program for an error that nobody hears of. If 'exit' was told already, the code stays.
    fn end_uncaught(self: &Rc<Self>, thrown: &Thrown) {
        report(format_args!("Uncaught {thrown}"));
        let process = &self.process;
        if process.is_exiting() {
            process.code.set(process.code.get().or(Some(1)));
        } else {
            process.code.set(Some(1));
            let _ = self.emit_exit(); // as in Node, a second error at the end is passed over
        }
        self.stop();
    }
}

/// Hears of errors that nobody caught; the program then goes on. One handler at a time.
///
/// # Panics
/// Outside of [`run`](crate::run), as all functions of this module.
pub fn on_uncaught_exception<O: Outcome>(hear: impl Fn(&Thrown, Origin) -> O + 'static) {
    let hear: UncaughtHandler = Rc::new(move |thrown, origin| hear(thrown, origin).into_result());
    let before = current().process.uncaught.replace(Some(hear));
    drop(before);
}

/// Hears when nothing is left to do. If it begins something, the program goes on, and it will hear
/// again. Not called for [`exit`] and uncaught errors.
pub fn on_before_exit<O: Outcome>(hear: impl Fn(u8) -> O + 'static) {
    current()
        .process
        .before_exit
        .borrow_mut()
        .push(Rc::new(move |code| hear(code).into_result()));
}

/// Hears of the exit code at the very end; what it begins never runs.
pub fn on_exit<O: Outcome>(hear: impl Fn(u8) -> O + 'static) {
    current()
        .process
        .exit
        .borrow_mut()
        .push(Rc::new(move |code| hear(code).into_result()));
}

/// Somebody who hears of a signal: see [`on_signal`].
#[derive(Debug)]
pub struct SignalListener {
    hears: JoinHandle<()>,
}

impl SignalListener {
    /// Has it hear no more: `process.off`. Without any listener the signal does what it did before.
    pub fn off(self) {
        self.hears.cancel();
    }
}

/// Hears of a signal, such as [`SIGTERM`](oneloop_core::signal::number::SIGTERM), which then does not
/// end the program. It does not keep it alive either: `process.on('SIGTERM', …)`. Without it, SIGTERM
/// ends the program with code 143, as the shell counts.
///
/// # Errors
/// As [`Signals::new`]: a number that is no signal, and signals that cannot be heard, such as SIGKILL.
pub fn on_signal<O: Outcome>(
    number: i32,
    hear: impl Fn(i32) -> O + 'static,
) -> io::Result<SignalListener> {
    let runtime = current();
    let signals = Signals::new(&runtime.handle, &[number])?;
    let inside = Rc::clone(&runtime);
    let hears = runtime.handle.spawn(async move {
        while let Ok(number) = signals.recv().await {
            inside.make_callback(|| hear(number).into_result());
        }
    });
    Ok(SignalListener { hears })
}

/// Says what the exit code will be: `process.exitCode`.
pub fn set_exit_code(code: u8) {
    current().process.code.set(Some(code));
}

/// Ends the program now: the listeners of 'exit' hear of it before this unwinds, so values are dropped
/// after that, and [`run`](crate::run) returns the code; nothing that was begun goes on. It may be called
/// by all code that runs on the loop's thread: in callbacks, in futures, in drops, and in tasks and green
/// threads of the same loop. As in Node, code that catches what unwinds does not keep the program from
/// ending.
///
/// An error that a listener of 'exit' throws counts as thrown by this call, as in Node.
pub fn exit(code: u8) -> ! {
    if let Some(runtime) = try_current().filter(|runtime| !runtime.process.is_ending()) {
        if runtime.is_in_scope() {
            or_rethrow(runtime.exit(code));
        } else {
            // No callback below this would take what a listener throws.
            runtime.make_callback(|| runtime.exit(code));
        }
    }
    resume_unwind(Box::new(ExitRequest { code }))
}
