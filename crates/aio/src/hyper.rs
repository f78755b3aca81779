//! What hyper needs of a runtime: the cargo feature `hyper`.
//!
//! The streams themselves have hyper's traits (`hyper::rt::{Read, Write}`), so
//! `hyper::server::conn::http1::Builder` serves a [`TcpStream`](crate::TcpStream) as it is. HTTP/2
//! and hyper-util's client start tasks of their own, and take a [`LoopExecutor`] for that. Timeouts
//! need a [`LoopTimer`].

use crate::{Local, sleep, sleep_until};
use oneloop_core::{Handle, ParkedSleep, Sleep};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

#[cfg(feature = "hyper-client")]
pub use crate::hyper_connector::{LoopConnecting, LoopConnector};

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
        // HTTP/2 has a task for each request, and no code waits for it.
        Handle::current().spawn_detached(OutputDropped { future });
    }
}

pin_project! {
    /// A future whose output no code takes.
    struct OutputDropped<F> {
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for OutputDropped<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().future.poll(cx).map(drop)
    }
}

/// hyper's timeouts on the clock of the current loop, which is virtual in a test on it: a
/// `hyper::rt::Timer`.
///
/// hyper waits for a client without a limit unless it has a timer: `Builder::timer` takes this one,
/// and then `header_read_timeout` and HTTP/2's `keep_alive_interval` work. It belongs to no loop; its
/// sleeps belong to the loop that runs when they are made.
///
/// # Panics
/// Outside of a loop, when hyper asks for the time or a sleep. Each of hyper's connections does that
/// where it is polled, so it is enough to poll it on a loop.
#[derive(Clone, Copy, Debug, Default)]
#[doc(alias("TokioTimer", "SmolTimer"))]
pub struct LoopTimer;

impl ::hyper::rt::Timer for LoopTimer {
    #[track_caller]
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn ::hyper::rt::Sleep>> {
        Box::pin(LoopSleep(sleep(duration).park()))
    }

    #[track_caller]
    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn ::hyper::rt::Sleep>> {
        Box::pin(LoopSleep(sleep_until(deadline).park()))
    }

    #[track_caller]
    fn now(&self) -> Instant {
        crate::now()
    }

    // hyper moves the timeouts of HTTP/2 again and again, so this allocates nothing.
    #[track_caller]
    fn reset(&self, sleep: &mut Pin<Box<dyn ::hyper::rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<LoopSleep>() {
            Some(mut sleep) => sleep.0.reset_at(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A sleep of hyper's. HTTP/1 makes one for each head, so it is one allocation.
struct LoopSleep(ParkedSleep);

impl Future for LoopSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl ::hyper::rt::Sleep for LoopSleep {}

impl ::hyper::rt::Sleep for Local<Sleep> {}
