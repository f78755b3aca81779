//! Oneloop's async tasks.

super::async_jobs::async_jobs! {
    spawn: oneloop::aio::spawn,
    yield_now: oneloop::aio::yield_now,
    sleep: oneloop::aio::sleep
}

/// Does the jobs on stdin.
pub(crate) fn serve() -> anyhow::Result<()> {
    let mut event_loop = oneloop::EventLoop::new()?;
    super::job::do_jobs(|job| Ok(event_loop.block_on(run_in_task(job))))
}
