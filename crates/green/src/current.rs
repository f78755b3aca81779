//! Which green thread runs on this OS thread.

use crate::record::ThreadRecord;
use oneloop_core::{Handle, set_between_stacks};
use std::cell::Cell;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;
use std::task::Waker;

// Two `Cell`s without destructors: a fault handler may read them at any time, and they are still
// there while the thread destroys its other thread-locals.
thread_local! {
    /// The green thread whose stack this code runs on.
    static CURRENT: Cell<Option<NonNull<ThreadRecord>>> = const { Cell::new(None) };
    /// The call into a loop that resumed it.
    static ENTRY: Cell<u64> = const { Cell::new(0) };
}

/// The green thread that runs this code.
pub(crate) fn current() -> Option<Rc<ThreadRecord>> {
    let record = CURRENT.get()?;
    // SAFETY: `Resumed` set it from an `Rc` that it borrows, and takes it back when it is dropped.
    unsafe { Rc::increment_strong_count(record.as_ptr()) };
    // SAFETY: that pointer came from `Rc::as_ptr`, and the count was just taken for it.
    Some(unsafe { Rc::from_raw(record.as_ptr()) })
}

/// True if that green thread runs this code.
pub(crate) fn is_current(record: &ThreadRecord) -> bool {
    Running::current().is_some_and(|current| std::ptr::addr_eq(&*current, record))
}

/// True if the loop that runs this code is the one that runs the current green thread, and not
/// another one that the green thread runs itself.
#[inline]
pub(crate) fn is_on_its_loop() -> bool {
    ENTRY.get() == Handle::entry()
}

/// Calls `look` with the green thread that runs, from the handler of a fault. Async-signal-safe if
/// `look` is, and reads only fields that never change.
pub(crate) fn with_running(look: impl FnOnce(&ThreadRecord)) {
    if let Some(record) = CURRENT.get() {
        // SAFETY: as in `current`; the fault may have interrupted a change of other fields.
        look(unsafe { record.as_ref() });
    }
}

/// The green thread that runs this code, without a counted reference: a wait is too frequent for
/// one. Kept only on that thread's own stack.
pub(crate) struct Running {
    record: NonNull<ThreadRecord>,
}

impl Running {
    /// `None` outside of green threads.
    #[inline(always)]
    pub(crate) fn current() -> Option<Self> {
        CURRENT.get().map(|record| Running { record })
    }
}

impl Deref for Running {
    type Target = ThreadRecord;

    #[inline(always)]
    fn deref(&self) -> &ThreadRecord {
        // SAFETY: as in `current`. The stack that holds this may be left and resumed meanwhile;
        // `Body` keeps its `Rc` for as long as the stack exists.
        unsafe { self.record.as_ref() }
    }
}

/// Makes a green thread the current one until it is dropped, which restores the one before: resumes
/// nest when a green thread runs a loop itself. A drop, as something may unwind through the switch,
/// and code outside would then find a green thread that no longer exists.
pub(crate) struct Resumed<'a> {
    record: &'a Rc<ThreadRecord>,
    before: Option<NonNull<ThreadRecord>>,
    entry_before: u64,
}

impl<'a> Resumed<'a> {
    #[inline(always)]
    pub(crate) fn new(record: &'a Rc<ThreadRecord>, entry: u64, waker: &Waker) -> Self {
        let current = NonNull::new(Rc::as_ptr(record).cast_mut());
        record.switch.waker.set(Some(NonNull::from(waker)));
        let resumed = Resumed {
            record,
            before: CURRENT.replace(current),
            entry_before: ENTRY.replace(entry),
        };
        // Until the green stack runs (`Arrived`, `suspend`), a sampling monitor takes no backtrace.
        set_between_stacks(true);
        resumed
    }
}

impl Drop for Resumed<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        set_between_stacks(false);
        CURRENT.set(self.before);
        ENTRY.set(self.entry_before);
        self.record.switch.waker.set(None);
    }
}
