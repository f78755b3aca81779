#![forbid(unsafe_code)]
//! What tasks wait for each other with: events, semaphores, queues, channels. Every style uses these.
//!
//! | | |
//! |---|---|
//! | [`Event`] | something happened, and can happen again |
//! | [`OneShot`] | a value that comes once, for all who wait |
//!
//! **Each is a handle** on state of this thread: clone it into whoever needs it, for next to nothing.
//!
//! **What may wait returns a future**, `'static` and cancel safe. It takes its place in line when it is
//! first polled; it leaves with its drop, and whatever it was about to get goes to the next in line.
//! So nothing is lost, and nobody is left asleep. Who is served before whom is decided by the order of
//! coming, and who is woken runs in that order.
//!
//! **Waiting does not keep the loop alive**: whoever could end the wait does. A loop in which everybody
//! waits for somebody else ends.

mod event;
mod one_shot;
mod waiters;

pub use event::{Event, UntilSet};
pub use one_shot::{OneShot, OneShotGet};
