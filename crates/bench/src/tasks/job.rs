//! The jobs of `green`, as text: one job per line on stdin, one answer per line on stdout.

use std::fmt;
use std::io::{self, BufRead};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The time that a sleeping task sleeps: longer than any benchmark.
pub(crate) const SLEEP: Duration = Duration::from_secs(3600);

/// A job for a runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// `tasks` tasks, each of which yields `times` times. Timed from when all are spawned until all
    /// are joined.
    Yield { tasks: u64, times: u64 },
    /// Spawns an empty task and joins it, `times` times.
    Spawn { times: u64 },
    /// Passes a value between two tasks and back, `round_trips` times, by two channels with room
    /// for one.
    Channel { round_trips: u64 },
    /// Spawns `tasks` tasks that sleep, and returns when all of them do.
    Sleep { tasks: u64 },
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Job::Yield { tasks, times } => write!(f, "yield {tasks} {times}"),
            Job::Spawn { times } => write!(f, "spawn {times}"),
            Job::Channel { round_trips } => write!(f, "channel {round_trips}"),
            Job::Sleep { tasks } => write!(f, "sleep {tasks}"),
        }
    }
}

impl FromStr for Job {
    type Err = anyhow::Error;

    fn from_str(line: &str) -> Result<Job> {
        let words: Vec<_> = line.split_whitespace().collect();
        Ok(match words[..] {
            ["yield", tasks, times] => Job::Yield {
                tasks: tasks.parse()?,
                times: times.parse()?,
            },
            ["spawn", times] => Job::Spawn {
                times: times.parse()?,
            },
            ["channel", round_trips] => Job::Channel {
                round_trips: round_trips.parse()?,
            },
            ["sleep", tasks] => Job::Sleep {
                tasks: tasks.parse()?,
            },
            _ => bail!("{line:?} is no job"),
        })
    }
}

/// Does the jobs on stdin. Between jobs it blocks the thread, so that no task of the runtime runs.
pub(crate) fn do_jobs(mut run: impl FnMut(Job) -> Result<Duration>) -> Result<()> {
    for line in io::stdin().lock().lines() {
        match run(line?.parse()?) {
            Ok(elapsed) => println!("ns {}", elapsed.as_nanos()),
            Err(error) => println!("failed: {error}"),
        }
    }
    Ok(())
}

/// Parses the answer of `do_jobs`, in any language.
pub(crate) fn parse_answer(line: &str) -> Result<Duration> {
    if let Some(why) = line.strip_prefix("failed: ") {
        bail!("{why}");
    }
    let ns = line.strip_prefix("ns ").and_then(|ns| ns.parse().ok());
    let ns = ns.with_context(|| format!("it printed {line:?}, not `ns NUMBER`"))?;
    Ok(Duration::from_nanos(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_reads_as_it_is_written() {
        let jobs = [
            Job::Yield {
                tasks: 1000,
                times: 7,
            },
            Job::Spawn { times: 8 },
            Job::Channel { round_trips: 9 },
            Job::Sleep { tasks: 10 },
        ];
        for job in jobs {
            assert_eq!(job.to_string().parse::<Job>().unwrap(), job);
        }
        assert!("yield 5".parse::<Job>().is_err());
    }

    #[test]
    fn an_answer_is_a_number_of_nanoseconds() {
        assert_eq!(parse_answer("ns 1500").unwrap(), Duration::from_nanos(1500));
        assert!(parse_answer("Traceback").is_err());
        let failed = parse_answer("failed: no stack").unwrap_err();
        assert_eq!(failed.to_string(), "no stack");
    }
}
