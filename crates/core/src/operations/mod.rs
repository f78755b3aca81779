//! Storey 4, what code asks of a loop. Each file adds its verbs to [`Handle`](crate::Handle).

pub(crate) mod cancel_handle;
pub(crate) mod chaos_seams;
pub(crate) mod control;
pub(crate) mod dump;
pub(crate) mod foreign;
pub(crate) mod join;
pub(crate) mod keep_alive;
pub(crate) mod observe;
pub(crate) mod offload;
pub(crate) mod parked;
pub(crate) mod parked_sleep;
pub(crate) mod phase_reached;
pub(crate) mod remote;
pub mod signal;
pub(crate) mod sleep;
pub(crate) mod source;
pub(crate) mod spawn;
pub(crate) mod timeout;
pub(crate) mod unfinished;
pub(crate) mod unhandled;
pub(crate) mod unless;
pub(crate) mod waits;
pub(crate) mod yield_now;
