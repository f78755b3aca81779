//! Which CPU serves and which one generates the load.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The two CPUs of a benchmark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) generator: usize,
}

impl Cores {
    /// The first two CPUs that this process may use; both the same where there is only one.
    pub(crate) fn choose() -> Result<Cores> {
        let allowed = sched_getaffinity(None).context("cannot ask which CPUs may be used")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
        let server = usable.next().context("this process may use no CPU")?;
        Ok(Cores {
            server,
            generator: usable.next().unwrap_or(server),
        })
    }

    /// True when server and generator compete for one CPU.
    pub(crate) fn are_shared(self) -> bool {
        self.server == self.generator
    }
}

/// Keeps the calling thread, and what it starts from now on, on one CPU.
pub(crate) fn pin_to(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("cannot run on CPU {core}"))
}
