//! State that few green threads need, kept in one box.

use oneloop_core::Sleep;
use std::any::Any;
use std::collections::VecDeque;
use std::rc::Rc;

#[derive(Default)]
pub(super) struct ThreadExtras {
    /// Interrupts that were not thrown yet, the oldest first.
    pub(super) interrupts: VecDeque<Interrupt>,
    /// The running timeouts, the outermost first.
    pub(super) timeouts: Vec<RunningTimeout>,
    /// Green-local values, by the address of their key.
    pub(super) locals: Vec<(usize, Rc<dyn Any>)>,
    /// The timer after which the thread begins.
    pub(super) delay: Option<Sleep>,
}

/// A payload that ends a wait early, by unwinding.
pub(super) struct Interrupt {
    pub(super) payload: Box<dyn Any + Send>,
    /// The thread was woken before it was interrupted, and finds out first why it was woken.
    pub(super) is_behind_wake: bool,
}

/// A [`timeout`](crate::timeout) that has not fired.
pub(super) struct RunningTimeout {
    pub(super) id: u64,
    pub(super) sleep: Sleep,
}
