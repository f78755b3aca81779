//! Storey 2, the tasks: what one is, how it gets to run, and what is counted of it.

pub(crate) mod heartbeat;
pub(crate) mod info;
pub(crate) mod join_error;
pub(crate) mod key;
pub(crate) mod observed;
pub(crate) mod record;
pub(crate) mod registration;
pub(crate) mod stats;
pub(crate) mod waiter;
pub(crate) mod waker;
