//! `process.stdin`, `process.stdout` and `process.stderr`.

mod stdin;
mod stdout;

pub use stdin::Stdin;
pub use stdout::Stdout;

use crate::error::Error;
use crate::events::{event_types, throw};
use crate::runtime::{Runtime, current};
use std::cell::RefCell;
use std::rc::Rc;

/// Those of the program that runs, once it has asked for them.
#[derive(Default)]
pub(crate) struct Stdio {
    stdin: RefCell<Option<Stdin>>,
    outputs: RefCell<[Option<Stdout>; 2]>,
}

impl Stdio {
    /// Lets go of them, as when Node's process ends: the terminal is as it was, and all that was written is
    /// with the kernel. True if there were any.
    pub(crate) fn forget_all(&self) -> bool {
        let (stdin, outputs) = (self.stdin.take(), self.outputs.take());
        if let Some(stdin) = &stdin {
            stdin.let_go();
        }
        outputs.iter().flatten().for_each(Stdout::let_go);
        stdin.is_some() || outputs.iter().any(Option::is_some)
    }
}

/// The standard input: `process.stdin`. It keeps the program alive while it flows, which a 'data' listener
/// has it do; paused, it does not.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn stdin() -> Stdin {
    let runtime = current();
    let mut stdin = runtime.stdio.stdin.borrow_mut();
    stdin.get_or_insert_with(|| Stdin::new(&runtime)).clone()
}

/// The standard output: `process.stdout`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn stdout() -> Stdout {
    output(&current(), 0)
}

/// The standard error: `process.stderr`.
///
/// # Panics
/// Outside of [`run`](crate::run).
#[track_caller]
pub fn stderr() -> Stdout {
    output(&current(), 1)
}

fn output(runtime: &Rc<Runtime>, index: usize) -> Stdout {
    let output = &mut runtime.stdio.outputs.borrow_mut()[index];
    output
        .get_or_insert_with(|| Stdout::new(runtime, index))
        .clone()
}

/// What [`Stdin`] and [`Stdout`] tell.
pub mod event {
    use super::*;

    event_types! {
        /// `'data'` of a [`Stdin`].
        Data: (Stdin, &'a [u8]);
        /// `'end'` of a [`Stdin`].
        End: Stdin;
        /// `'pause'` of a [`Stdin`].
        Pause: Stdin;
        /// `'resume'` of a [`Stdin`].
        Resume: Stdin;
        /// `'error'` of a [`Stdin`]. Unheard, it is thrown.
        StdinError: (Stdin, &'a Error), unheard |(_, error)| throw(error);
        /// `'close'` of a [`Stdin`] that is no file: behind 'end' or 'error'.
        Close: Stdin;
        /// `'drain'` of a [`Stdout`]: what waited to be written is gone, and more is welcome.
        Drain: Stdout;
        /// `'error'` of a [`Stdout`]. Unheard, it is thrown.
        StdoutError: (Stdout, &'a Error), unheard |(_, error)| throw(error);
        /// `'resize'` of a [`Stdout`] that is a terminal: it has another size.
        Resize: Stdout;
    }
}
