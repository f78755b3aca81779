//! The runtimes of `green` inside this program. Each is a child process, which reads one job per
//! line and prints how long it took, `ns 12345`, or `failed: WHY`.

mod async_jobs;
mod green_jobs;
pub(crate) mod job;
mod may;
mod oneloop_async;
mod oneloop_green;
mod tokio;

use anyhow::Result;

use crate::contenders::BuiltIn;

/// Does the jobs of a runtime until stdin ends.
pub(crate) fn serve(runtime: BuiltIn) -> Result<()> {
    match runtime {
        BuiltIn::OneloopGreen => oneloop_green::serve(),
        BuiltIn::OneloopAsync => oneloop_async::serve(),
        BuiltIn::Tokio => tokio::serve(),
        BuiltIn::May => may::serve(),
    }
}
