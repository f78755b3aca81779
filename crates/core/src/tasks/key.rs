//! The name of a task.

use crate::mechanisms::slots::Key;

/// Tags the name of a task: other code knows a task by its [`Key<Task>`] alone.
#[derive(Debug)]
pub enum Task {}

// Both constants have the index `u32::MAX`, which ends the list of vacant slots. So no slot has it.
impl Task {
    /// Names the future of `block_on`, which has no slot.
    pub(crate) const MAIN: Key<Task> = Key::from_u64(u64::MAX);
    /// Names no task: the key of a handle whose task was never spawned.
    pub const NONE: Key<Task> = Key::from_u64(u32::MAX as u64);
}
