//! What the tests of green threads share.
#![allow(dead_code)] // each test file uses a part

use oneloop_core::{EventLoop, Options};
use oneloop_green::{RunError, run_on};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A loop on virtual time.
pub(crate) fn event_loop() -> EventLoop {
    EventLoop::with(Options::virtual_time()).unwrap()
}

/// Runs the function as the main green thread of a loop on virtual time.
pub(crate) fn run<T: 'static>(function: impl FnOnce() -> T + 'static) -> Result<T, RunError> {
    run_on(&mut event_loop(), function)
}

/// Texts in the order in which they were logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.0.borrow_mut().push(text.into());
    }

    pub(crate) fn lines(&self) -> String {
        self.0.borrow().join(" ")
    }
}
