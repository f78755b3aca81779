//! The program as a whole: how it ends, and what is heard of errors that nobody caught.
//!
//! Exit codes are Node's: 0 when nothing is left to do; 1 for an uncaught error; 7 when the handler
//! of an uncaught error throws; or what [`exit`] or [`set_exit_code`] say.

pub use crate::stream::{stderr, stdin, stdout};

use crate::runtime::current;
use crate::thrown::{Outcome, Thrown};
use oneloop_core::{JoinHandle, Signals};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::resume_unwind;
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

/// What [`exit`] unwinds with.
pub(crate) struct ExitRequest {
    pub(crate) code: u8,
}

#[derive(Default)]
pub(crate) struct Process {
    uncaught: RefCell<Option<UncaughtHandler>>,
    before_exit: RefCell<Vec<CodeListener>>,
    exit: RefCell<Vec<CodeListener>>,
    code: Cell<u8>,
    ending: Cell<bool>,
}

impl Process {
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    pub(crate) fn code(&self) -> u8 {
        self.code.get()
    }

    pub(crate) fn set_code(&self, code: u8) {
        self.code.set(code);
    }

    pub(crate) fn uncaught_handler(&self) -> Option<UncaughtHandler> {
        self.uncaught.borrow().clone()
    }

    pub(crate) fn emit_before_exit(&self) -> Result<(), Thrown> {
        let listeners = self.before_exit.borrow().clone();
        listeners
            .into_iter()
            .try_for_each(|listener| listener(self.code()))
    }

    /// The listeners that are to hear of the end, unless it has begun already.
    pub(crate) fn begin_end(&self, code: Option<u8>) -> Option<Vec<CodeListener>> {
        if let Some(code) = code {
            self.code.set(code);
        }
        let first = !self.ending.replace(true);
        first.then(|| self.exit.borrow().clone())
    }

    /// Forgets all handlers.
    pub(crate) fn forget_all(&self) {
        let uncaught = self.uncaught.take();
        let listeners = (self.before_exit.take(), self.exit.take());
        drop((uncaught, listeners));
    }

    pub(crate) fn end_without_exit_event(&self, code: u8) {
        self.code.set(code);
        self.ending.set(true);
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
    current().process.set_code(code);
}

/// Ends the program now. The stack unwinds, so values are dropped, and [`run`](crate::run) returns
/// the code; nothing that was begun goes on.
pub fn exit(code: u8) -> ! {
    resume_unwind(Box::new(ExitRequest { code }))
}
