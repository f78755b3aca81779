//! What hyper needs of a runtime: the cargo feature `hyper`.
//!
//! The streams themselves have hyper's traits (`hyper::rt::{Read, Write}`), so
//! `hyper::server::conn::http1::Builder` serves a [`TcpStream`](crate::TcpStream) as it is. HTTP/2
//! and hyper-util's client start tasks of their own, and take a [`LoopExecutor`] for that.

use crate::spawn;
use std::future::Future;

/// Starts hyper's tasks on the current loop: a `hyper::rt::Executor`.
///
/// It belongs to no loop, so it is `Send`, as hyper-util's client demands of it; but the futures
/// need not be. They keep the loop alive while they wait for a connection.
///
/// # Panics
/// Outside of a loop, when a task is started.
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias("TokioExecutor", "SmolExecutor"))]
pub struct LoopExecutor;

impl<F> ::hyper::rt::Executor<F> for LoopExecutor
where
    F: Future + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        spawn(future);
    }
}
