//! tokio's tasks, on its current-thread runtime.

super::async_jobs::async_jobs! {
    spawn: tokio::spawn,
    yield_now: tokio::task::yield_now,
    sleep: tokio::time::sleep
}

/// Does the jobs on stdin.
pub(crate) fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    super::job::do_jobs(|job| Ok(runtime.block_on(run_in_task(job))))
}
