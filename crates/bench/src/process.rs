//! What the kernel says about a process: its CPU time, its memory, its limits.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

/// Memory that a process has to itself, and all that it has mapped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) private_dirty_bytes: u64,
    pub(crate) resident_bytes: u64,
}

/// Nanoseconds of CPU, user and system together, that all threads of a process have used.
///
/// From `/proc/PID/task/*/schedstat`, whose first field counts nanoseconds; `/proc/PID/stat` counts
/// ticks of 10 ms, which is 2 % of a round here. The field is exact for a thread that is off the CPU
/// and up to a tick old for one that is on it: read it when the process has gone to sleep. Softirqs
/// (loopback's receive path) are included unless the kernel has CONFIG_IRQ_TIME_ACCOUNTING; threads
/// that have exited are not.
pub(crate) fn cpu_ns(pid: Pid) -> Result<u64> {
    let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
    let mut total_ns = 0;
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot list {tasks}"))? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read {} (CONFIG_SCHED_INFO?)", path.display()))?;
        total_ns += parse_schedstat(&text)
            .with_context(|| format!("{} does not start with a number", path.display()))?;
    }
    Ok(total_ns)
}

/// Nanoseconds of CPU that the calling thread has used.
pub(crate) fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The memory of a process, from `/proc/PID/smaps_rollup`.
pub(crate) fn memory(pid: Pid) -> Result<Memory> {
    let path = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_smaps(&text).with_context(|| format!("{path} lacks Rss or Private_Dirty"))
}

/// How many descriptors a process has open.
pub(crate) fn open_fds(pid: Pid) -> Result<usize> {
    let path = format!("/proc/{}/fd", pid.as_raw_nonzero());
    Ok(fs::read_dir(&path)
        .with_context(|| format!("cannot list {path}"))?
        .count())
}

/// Raises the soft limit of open descriptors to the hard one, and returns it. Children inherit it.
pub(crate) fn raise_fds_max() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).context("cannot raise the limit of open files")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn parse_smaps(text: &str) -> Option<Memory> {
    let bytes_of = |field: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory {
        private_dirty_bytes: bytes_of("Private_Dirty:")?,
        resident_bytes: bytes_of("Rss:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_starts_with_nanoseconds_on_the_cpu() {
        assert_eq!(parse_schedstat("21859621 1484830 42\n"), Some(21_859_621));
        assert_eq!(parse_schedstat(""), None);
        assert_eq!(parse_schedstat("x 1 2"), None);
    }

    #[test]
    fn smaps_rollup_is_in_kibibytes() {
        let text = "55efa7502000-7ffc00bcd000 ---p 00000000 00:00 0    [rollup]\n\
                    Rss:                1632 kB\nPss:                 565 kB\n\
                    Pss_Dirty:           112 kB\nPrivate_Clean:        60 kB\n\
                    Private_Dirty:       108 kB\n";
        let memory = Memory {
            private_dirty_bytes: 108 * 1024,
            resident_bytes: 1632 * 1024,
        };
        assert_eq!(parse_smaps(text), Some(memory));
        assert_eq!(parse_smaps("Rss: 5 kB\n"), None);
        assert_eq!(parse_smaps("Rss: many kB\nPrivate_Dirty: 1 kB\n"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let own = rustix::process::getpid();
        assert!(cpu_ns(own).is_ok());
        assert!(memory(own).unwrap().resident_bytes > 0);
    }
}
