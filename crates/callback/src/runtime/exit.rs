//! Uncaught errors, and how a program ends.

use super::current::Runtime;
use super::process::Origin;
use crate::thrown::Thrown;
use oneloop_core::{ExitRequest, report};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

/// Node's code for an error in the handler of uncaught errors.
const HANDLER_FAILED: u8 = 7;

impl Runtime {
    /// Node's `process.exit`: emits 'exit'; then nothing else runs.
    ///
    /// # Errors
    /// What a listener of 'exit' throws. If the program handles that error, it continues.
    pub(crate) fn exit(self: &Rc<Self>, code: u8) -> Result<(), Thrown> {
        self.process.code.set(Some(code));
        if !self.process.is_exiting() {
            self.emit_exit()?;
        }
        self.stop();
        Ok(())
    }

    /// Emits 'exit' with the current code. A listener may change the code with which the program
    /// ends, but not the one that later listeners receive.
    pub(crate) fn emit_exit(self: &Rc<Self>) -> Result<(), Thrown> {
        self.process.exiting.set(true);
        let (listeners, code) = (self.process.exit.borrow().clone(), self.process.code());
        for listener in listeners {
            match catch_unwind(AssertUnwindSafe(|| listener(code))) {
                Ok(returned) => returned?,
                Err(payload) => match self.thrown_by(payload) {
                    Some(thrown) => return Err(thrown),
                    None => break, // the listener called `exit`
                },
            }
        }
        Ok(())
    }

    /// Stops the program: no callback runs after this one.
    pub(crate) fn stop(&self) {
        self.process.stopped.set(true);
        self.handle.stop();
    }

    /// The error with which a callback unwound. None if it called `exit`, which has ended the
    /// program.
    pub(crate) fn thrown_by(self: &Rc<Self>, payload: Box<dyn Any + Send>) -> Option<Thrown> {
        match payload.downcast::<ExitRequest>() {
            // A second `exit` while the first one unwinds has no effect.
            Ok(_) if self.process.is_stopped() => None,
            Ok(request) => self.exit(request.code).err(),
            Err(payload) => Some(Thrown::from_panic(payload)),
        }
    }

    /// Passes an error to the handler of uncaught errors. Without a handler, the program exits with
    /// code 1. A handler that throws makes it exit with code 7, without an 'exit' event. True if
    /// the program continues.
    pub(super) fn handle_thrown(self: &Rc<Self>, thrown: Thrown, origin: Origin) -> bool {
        // A clone, as the handler may replace itself.
        let handler = self.process.uncaught.borrow().clone();
        let Some(handler) = handler else {
            self.end_uncaught(&thrown);
            return false;
        };
        let again = match catch_unwind(AssertUnwindSafe(|| handler(&thrown, origin))) {
            Ok(returned) => returned.err(),
            Err(payload) => self.thrown_by(payload),
        };
        if let Some(again) = again {
            // Not `eprintln!`, which panics when stderr is full (rule 13).
            report(format_args!("Uncaught {}", again.stack()));
            self.process.code.set(Some(HANDLER_FAILED));
            self.stop();
        }
        if self.process.is_stopped() {
            return false;
        }
        self.immediates.push_noop();
        true
    }

    /// Ends the program for an error without a handler. If 'exit' was emitted before, the code
    /// stays.
    fn end_uncaught(self: &Rc<Self>, thrown: &Thrown) {
        report(format_args!("Uncaught {}", thrown.stack()));
        let process = &self.process;
        if process.is_exiting() {
            process.code.set(process.code.get().or(Some(1)));
        } else {
            process.code.set(Some(1));
            let _ = self.emit_exit(); // as in Node, a second error at the end is ignored
        }
        self.stop();
    }
}
