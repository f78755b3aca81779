//! Crates that call tokio, in a tokio context on Oneloop.

mod around;
mod beside;
mod clients;
mod idle;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// The message of the panic that this function ends with.
fn message_of<R>(function: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(function)) else {
        panic!("it does not panic");
    };
    text_of(&*payload).to_owned()
}

fn text_of(payload: &(dyn Any + Send)) -> &str {
    oneloop::core::panic_message(payload).unwrap()
}

/// Needs tokio's context in its drop.
struct NeedsContext;

impl Drop for NeedsContext {
    fn drop(&mut self) {
        tokio::runtime::Handle::current();
    }
}
