//! What a service manager and the server tell each other, and the restart without a pause.
//!
//! `passed` has the sockets with which the process was started. `manager` sends what it is to know.
//! `roll_call` asks all loops: whether they turn, for the watchdog, and for their sockets, which
//! `successor` passes to a new process. `predecessor` is that process's end. `process_life` is when
//! all this happens.

pub(crate) mod all_loops;
pub(crate) mod loops;
mod manager;
pub(crate) mod passed;
mod predecessor;
pub(crate) mod process_life;
mod roll_call;
mod successor;
