//! What a future hands to the code that runs inside of it: values by their keys, kept apart by task.

use oneloop_core::{Handle, Key, Task};
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// The contexts that are entered on this thread, the innermost last. More than one task has some
    /// there only while green stacks are suspended inside of a poll.
    static ENTERED: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
}

struct Entry {
    task: CurrentTask,
    context: Context,
}

/// The loop and the task that run the code which asks.
// A green stack may be suspended inside of a context, so that other tasks run: they must not see it.
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

/// Values by their keys. A clone costs one reference count.
#[derive(Clone, Default)]
pub(crate) struct Context {
    innermost: Option<Rc<Node>>,
}

/// One value; the value comes last, where its type can be erased.
struct Node<V: ?Sized = dyn Any> {
    key: usize,
    outer: Context,
    value: V,
}

impl Context {
    /// The context in which the current code runs; empty outside of any.
    pub(crate) fn current() -> Self {
        let task = CurrentTask::now();
        ENTERED.with_borrow(|entered| {
            let of_task = entered.iter().rfind(|entry| entry.task == task);
            of_task.map_or_else(Context::default, |entry| entry.context.clone())
        })
    }

    /// This context and one more value, which hides an older one with the same key.
    pub(crate) fn with<T: 'static>(self, key: usize, value: T) -> Self {
        let outer = self;
        let innermost: Rc<Node> = Rc::new(Node { key, outer, value });
        Context {
            innermost: Some(innermost),
        }
    }

    /// The value with this key.
    pub(crate) fn get<T: 'static>(&self, key: usize) -> Option<&T> {
        let mut node = self.innermost.as_ref()?;
        while node.key != key {
            node = node.outer.innermost.as_ref()?;
        }
        node.value.downcast_ref()
    }

    /// Makes this the current context of the current task, until the guard is dropped.
    pub(crate) fn enter(&self) -> EnteredContext {
        let task = CurrentTask::now();
        let context = self.clone();
        ENTERED.with_borrow_mut(|entered| entered.push(Entry { task, context }));
        EnteredContext
    }
}

pub(crate) struct EnteredContext;

impl Drop for EnteredContext {
    fn drop(&mut self) {
        let task = CurrentTask::now();
        let left = ENTERED.with_borrow_mut(|entered| {
            let place = entered.iter().rposition(|entry| entry.task == task)?;
            Some(entered.remove(place))
        });
        drop(left); // values are foreign code, so after the borrow
    }
}
