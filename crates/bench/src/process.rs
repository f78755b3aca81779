//! The CPU time, memory and limits of a process, from the kernel.

use std::{fs, io};

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

/// Anonymous memory (heap, stacks, changed data), and all resident memory.
///
/// Not `Private_Dirty`, which also counts the pages of a freshly built program that the kernel has
/// not written to disk yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) anonymous_bytes: u64,
    pub(crate) resident_bytes: u64,
}

/// The CPU time of a process, with all its threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// Nanoseconds on a CPU, user and system together.
    pub(crate) used_ns: u64,
    /// Nanoseconds ready to run while another program had the CPU.
    pub(crate) waited_ns: u64,
}

impl CpuTime {
    /// The difference to an earlier reading.
    pub(crate) fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            used_ns: self.used_ns.saturating_sub(earlier.used_ns),
            waited_ns: self.waited_ns.saturating_sub(earlier.waited_ns),
        }
    }
}

/// The CPU time of a process so far.
///
/// From `/proc/PID/task/*/schedstat`, whose first field counts nanoseconds; `/proc/PID/stat` counts
/// ticks of 10 ms, which is 2 % of a round here. The fields are exact for a thread that is off the
/// CPU and up to a tick old for one that is on it: read them when the process has gone to sleep.
/// Softirqs (loopback's receive path) are included unless the kernel has
/// CONFIG_IRQ_TIME_ACCOUNTING; threads that have exited are not.
pub(crate) fn cpu_time(pid: Pid) -> Result<CpuTime> {
    let tasks = format!("/proc/{}/task", pid.as_raw_nonzero());
    let mut total = CpuTime::default();
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot list {tasks}"))? {
        let path = task?.path().join("schedstat");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if has_exited(&error) => continue,
            Err(error) => {
                let problem = format!("cannot read {} (CONFIG_SCHED_INFO?)", path.display());
                return Err(error).context(problem);
            }
        };
        let time = parse_schedstat(&text)
            .with_context(|| format!("{} does not start with two numbers", path.display()))?;
        total.used_ns += time.used_ns;
        total.waited_ns += time.waited_ns;
    }
    Ok(total)
}

/// True if a thread has exited after it was listed. Reading from /proc then fails in one of two
/// ways.
fn has_exited(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || Errno::from_io_error(error) == Some(Errno::SRCH)
}

/// The memory of a process, from `/proc/PID/smaps_rollup`.
pub(crate) fn memory(pid: Pid) -> Result<Memory> {
    let path = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_smaps(&text).with_context(|| format!("{path} lacks Rss or Anonymous"))
}

/// How many descriptors a process has open.
pub(crate) fn open_fds(pid: Pid) -> Result<usize> {
    let path = format!("/proc/{}/fd", pid.as_raw_nonzero());
    Ok(fs::read_dir(&path)
        .with_context(|| format!("cannot list {path}"))?
        .count())
}

/// True if the first thread of a process is stopped, by a signal or by its tracer.
pub(crate) fn is_stopped(pid: Pid) -> Result<bool> {
    let path = format!("/proc/{}/stat", pid.as_raw_nonzero());
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let state = parse_state(&text).with_context(|| format!("{path} lacks a state"))?;
    Ok(matches!(state, 'T' | 't'))
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

fn parse_schedstat(text: &str) -> Option<CpuTime> {
    let mut fields = text.split_whitespace().map(str::parse);
    Some(CpuTime {
        used_ns: fields.next()?.ok()?,
        waited_ns: fields.next()?.ok()?,
    })
}

/// The state in a line of `stat`: the letter behind the name, which may contain anything.
fn parse_state(text: &str) -> Option<char> {
    let (_, rest) = text.rsplit_once(") ")?;
    rest.chars().next()
}

fn parse_smaps(text: &str) -> Option<Memory> {
    let bytes_of = |field: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
        let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some(Memory {
        anonymous_bytes: bytes_of("Anonymous:")?,
        resident_bytes: bytes_of("Rss:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_stands_behind_the_last_bracket() {
        assert_eq!(parse_state("12 (a) R (b) T 1 12"), Some('T'));
        assert_eq!(parse_state("12 (main"), None);
    }

    #[test]
    fn schedstat_starts_with_nanoseconds_on_the_cpu_and_waiting_for_it() {
        let time = CpuTime {
            used_ns: 21_859_621,
            waited_ns: 1_484_830,
        };
        assert_eq!(parse_schedstat("21859621 1484830 42\n"), Some(time));
        assert_eq!(parse_schedstat("21859621"), None);
        assert_eq!(parse_schedstat("x 1 2"), None);
    }

    #[test]
    fn smaps_rollup_is_in_kibibytes() {
        let text = "55efa7502000-7ffc00bcd000 ---p 00000000 00:00 0    [rollup]\n\
                    Rss:                1632 kB\nPss:                 565 kB\n\
                    Pss_Dirty:           112 kB\nPrivate_Clean:        60 kB\n\
                    Anonymous:       108 kB\n";
        let memory = Memory {
            anonymous_bytes: 108 * 1024,
            resident_bytes: 1632 * 1024,
        };
        assert_eq!(parse_smaps(text), Some(memory));
        assert_eq!(parse_smaps("Rss: 5 kB\n"), None);
        assert_eq!(parse_smaps("Rss: many kB\nAnonymous: 1 kB\n"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let own = rustix::process::getpid();
        assert!(cpu_time(own).is_ok());
        assert!(memory(own).unwrap().resident_bytes > 0);
    }
}
