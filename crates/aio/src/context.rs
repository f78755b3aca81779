//! What a future hands to the code that runs inside of it: values by their keys, kept apart by task.

use oneloop_core::{Handle, Key, Task};
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::slice;

thread_local! {
    /// The layers that are entered on this thread, the innermost last. More than one task has some
    /// there only while green stacks are suspended inside of a poll.
    static ENTERED: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

struct Entry {
    task: CurrentTask,
    layer: Layer,
}

/// The loop and the task that run the code which asks.
// A green stack may be suspended inside of a layer, so that other tasks run: they must not see it.
#[derive(PartialEq)]
struct CurrentTask(Option<(Handle, Option<Key<Task>>)>);

impl CurrentTask {
    fn now() -> Self {
        let handle = Handle::try_current();
        CurrentTask(handle.map(|handle| {
            let task = handle.current_task();
            (handle, task)
        }))
    }
}

/// What one future hands to the code inside of it. A clone costs one reference count.
#[derive(Clone)]
pub(crate) enum Layer {
    One(Rc<Local>),
    /// What the code saw that made the layer, the innermost first.
    Inherited(Rc<[Rc<Local>]>),
}

/// A value and its key; the value comes last, where its type can be erased.
pub(crate) struct Local<V: ?Sized = dyn Any> {
    key: usize,
    value: V,
}

impl Local {
    /// The value.
    pub(crate) fn value<T: 'static>(&self) -> Option<&T> {
        self.value.downcast_ref()
    }
}

impl Layer {
    pub(crate) fn of<T: 'static>(key: usize, value: T) -> Self {
        Layer::One(Rc::new(Local { key, value }))
    }

    /// Everything that the current code sees.
    pub(crate) fn inherited() -> Self {
        Layer::Inherited(with_locals(|locals| locals.cloned().collect()))
    }

    fn locals(&self) -> &[Rc<Local>] {
        match self {
            Layer::One(local) => slice::from_ref(local),
            Layer::Inherited(locals) => locals,
        }
    }

    /// Adds this to what the current task sees, until the guard is dropped.
    pub(crate) fn enter(&self) -> EnteredLayer {
        let (task, layer) = (CurrentTask::now(), self.clone());
        ENTERED.with_borrow_mut(|entered| entered.push(Entry { task, layer }));
        EnteredLayer
    }
}

pub(crate) struct EnteredLayer;

impl Drop for EnteredLayer {
    fn drop(&mut self) {
        let task = CurrentTask::now();
        let left = ENTERED.with_borrow_mut(|entered| {
            let place = entered.iter().rposition(|entry| entry.task == task)?;
            Some(entered.remove(place))
        });
        drop(left); // values are foreign code, so after the borrow
    }
}

/// The innermost value with this key that the current code sees.
pub(crate) fn innermost(key: usize) -> Option<Rc<Local>> {
    with_locals(|mut locals| Iterator::find(&mut locals, |local| local.key == key).cloned())
}

/// The least value with this key that the current code sees.
pub(crate) fn least<T: Ord + Copy + 'static>(key: usize) -> Option<T> {
    with_locals(|locals| {
        let values = locals.filter(|local| local.key == key);
        values.filter_map(|local| local.value().copied()).min()
    })
}

/// Passes what the current code sees, the innermost first. `look` must not call foreign code.
fn with_locals<R>(look: impl FnOnce(&mut dyn Iterator<Item = &Rc<Local>>) -> R) -> R {
    let task = CurrentTask::now();
    ENTERED.with_borrow(|entered| {
        let of_task = entered.iter().rev().filter(|entry| entry.task == task);
        look(&mut of_task.flat_map(|entry| entry.layer.locals()))
    })
}
