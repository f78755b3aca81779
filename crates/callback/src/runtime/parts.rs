//! State that modules above the runtime keep for one program: the runtime stores it without knowing
//! its types.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// State that a module keeps for one program, such as its open streams.
pub(crate) trait OfProgram: Any + Default {
    /// Drops all of it at the end of the program. Returns true if there was any.
    fn forget_all(&self) -> bool;
}

/// An [`OfProgram`] of any type: `Default` has no place in a trait object.
trait Part: Any {
    fn forget_all(&self) -> bool;
}

impl<T: OfProgram> Part for T {
    fn forget_all(&self) -> bool {
        OfProgram::forget_all(self)
    }
}

/// One value of each type that a module has requested.
#[derive(Default)]
pub(super) struct Parts {
    parts: RefCell<Vec<Rc<dyn Part>>>,
}

impl Parts {
    /// The value of a type: empty at first.
    pub(super) fn get<T: OfProgram>(&self) -> Rc<T> {
        // One or two types, so a search is cheaper than a map.
        let known = self.parts.borrow().iter().find_map(|part| {
            let part: Rc<dyn Any> = Rc::clone(part) as _;
            part.downcast().ok()
        });
        known.unwrap_or_else(|| {
            let part = Rc::<T>::default();
            self.parts.borrow_mut().push(Rc::clone(&part) as _);
            part
        })
    }

    /// True if there was anything to forget.
    pub(super) fn forget_all(&self) -> bool {
        let parts = self.parts.borrow().clone();
        // `any` would stop at the first part that had something.
        parts.iter().filter(|part| part.forget_all()).count() > 0
    }
}
