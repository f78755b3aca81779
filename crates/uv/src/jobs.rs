//! Requests that the process's pool does.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::abi::pool::pool;
use crate::layout::Loop;
use crate::mail::Done;
use rustix::io::Errno;
use std::sync::Arc;

/// Gives a job to the pool. The loop lives until it is done. Returns its number.
pub(crate) fn submit(
    owner: Live<Loop>,
    is_slow: bool,
    job: impl FnOnce() -> Done + Send + 'static,
) -> u64 {
    let inbox = Arc::clone(&owner.state().inbox.borrow());
    owner.begin_request();
    pool().submit(is_slow, move || {
        let done = job();
        inbox.send(|mail| mail.push_back(done)); // false once the loop is gone
    })
}

/// Takes a job back that has not begun, and reports it as done all the same.
///
/// # Errors
/// `EBUSY` if it has begun or is done.
pub(crate) fn cancel(owner: Live<Loop>, number: u64, done: Done) -> Result<(), Errno> {
    drop(pool().cancel(number).ok_or(Errno::BUSY)?);
    let inbox = Arc::clone(&owner.state().inbox.borrow());
    inbox.send(|mail| mail.push_back(done));
    Ok(())
}
