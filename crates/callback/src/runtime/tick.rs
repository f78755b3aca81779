//! An entry of Node's `nextTick` queue.

use crate::continuation::Once;
use crate::thrown::Thrown;
use std::any::Any;
use std::rc::Rc;

/// A step of a value that an `Rc` shares. It gets that `Rc` back, to downcast it.
///
/// A closure that captures nothing coerces to it. So a socket queues a step without an allocation:
/// its `Rc` exists already.
pub(crate) type Step = fn(Rc<dyn Any>) -> Result<(), Thrown>;

/// What runs before the loop continues.
pub(super) enum Tick {
    Call(Once),
    Step(Rc<dyn Any>, Step),
}

impl Tick {
    pub(super) fn run(self) -> Result<(), Thrown> {
        match self {
            Tick::Call(callback) => callback(),
            Tick::Step(value, step) => step(value),
        }
    }
}
