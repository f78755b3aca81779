//! A program's `process` object: its listeners, its exit code, and how far its end has come.

use crate::thrown::Thrown;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// Where an uncaught error came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A callback threw it.
    UncaughtException,
    /// A promise without a waiter was rejected with it.
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

/// A listener of 'beforeExit' or 'exit', which receives the exit code.
pub(crate) type CodeListener = Rc<dyn Fn(u8) -> Result<(), Thrown>>;

/// The state of the program as a whole.
///
/// ```text
///           emit_exit               stop
/// running ─────────────▶ exiting ─────────▶ stopped: no callback runs any more
///    │                                        ▲
///    └──────────── a handler throws ──────────┘
/// ```
#[derive(Default)]
pub(crate) struct Process {
    pub(crate) uncaught: RefCell<Option<UncaughtHandler>>,
    pub(crate) before_exit: RefCell<Vec<CodeListener>>,
    pub(crate) exit: RefCell<Vec<CodeListener>>,
    /// `process.exitCode`, once it is set.
    pub(crate) code: Cell<Option<u8>>,
    /// 'exit' was emitted, or is being emitted: `process._exiting`.
    pub(super) exiting: Cell<bool>,
    /// No callback runs any more.
    pub(super) stopped: Cell<bool>,
}

impl Process {
    /// True once no callback runs any more.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.get()
    }

    /// True from the moment at which 'exit' is emitted.
    pub(crate) fn is_exiting(&self) -> bool {
        self.exiting.get()
    }

    pub(crate) fn code(&self) -> u8 {
        self.code.get().unwrap_or(0)
    }

    pub(crate) fn emit_before_exit(&self) -> Result<(), Thrown> {
        // A clone, as a listener may add others.
        let (listeners, code) = (self.before_exit.borrow().clone(), self.code());
        listeners
            .into_iter()
            .try_for_each(|listener| listener(code))
    }

    /// Drops all listeners.
    pub(super) fn forget_all(&self) {
        let uncaught = self.uncaught.take();
        let listeners = (self.before_exit.take(), self.exit.take());
        drop((uncaught, listeners));
    }
}
