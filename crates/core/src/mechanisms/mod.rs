//! Storey 1, the mechanisms: epoll, time, names, threads. They know no task and no loop, so that a
//! loop driven from outside can use them as well.

pub(crate) mod armed;
pub(crate) mod budget;
pub(crate) mod bug;
#[cfg(feature = "chaos")]
pub(crate) mod chaos;
#[cfg(not(feature = "chaos"))]
#[path = "no_chaos.rs"]
pub(crate) mod chaos;
pub(crate) mod clock;
pub mod concurrency;
pub(crate) mod entry;
pub(crate) mod guard;
pub(crate) mod inbox;
pub(crate) mod job_pool;
pub(crate) mod phase;
pub(crate) mod reactor;
pub(crate) mod ready;
pub(crate) mod slots;
pub(crate) mod timers;
pub(crate) mod wheel;
pub(crate) mod workers;
