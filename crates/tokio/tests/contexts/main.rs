//! Crates that call tokio, in a tokio context on Oneloop.

mod around;
mod beside;
mod clients;
mod idle;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use tokio::sync::mpsc;

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

/// Sends each number to a task of tokio, which returns the next one.
async fn pass_messages(count: u32) {
    let (to_tokio, mut from_loop) = mpsc::channel::<u32>(1);
    let (to_loop, mut from_tokio) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(number) = from_loop.recv().await {
            to_loop.send(number + 1).await.unwrap();
        }
    });
    for number in 0..count {
        to_tokio.send(number).await.unwrap();
        assert_eq!(from_tokio.recv().await, Some(number + 1));
    }
}
