//! Judges what happened in one run.

use crate::case::Observed;
use crate::clients::Served;
use crate::faults::Fault;
use crate::scenario::Play;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The program panicked.
    Panic,
    /// It neither served nor ended.
    NotStarted,
    /// A fresh client was not served, or one client waits for good.
    NotServed,
    /// A client got the end before any byte of its answer.
    NoAnswer,
    /// A cut answer looks whole.
    LooksWhole,
    /// A client got wrong bytes.
    Wrong,
    /// The program calls on and on while nothing happens.
    Spins,
    /// It keeps fds.
    LeaksFds,
    /// It does not end.
    NotEnded,
    /// It ends with the wrong exit code, or without a sentence.
    UnclearEnd,
    /// It prints something else and reports success.
    WrongOutput,
}

#[derive(Clone, Debug)]
pub(crate) struct Complaint {
    pub(crate) kind: Kind,
    pub(crate) what: String,
}

/// What the same scenario does without a fault.
#[derive(Debug)]
pub(crate) struct Baseline {
    pub(crate) stdout: String,
    /// How many fds may be open once all clients have left.
    pub(crate) fds_max: Option<usize>,
    /// A program may show what happens to a panic.
    pub(crate) panics: usize,
}

impl Baseline {
    pub(crate) fn of(observed: &Observed, pooled_fds: usize) -> Baseline {
        Baseline {
            stdout: without_ports(&observed.stdout),
            fds_max: observed.fds.map(|fds| fds + pooled_fds),
            panics: panics(&observed.stderr),
        }
    }
}

/// What is wrong with a run under this fault; nothing, if the list is empty.
pub(crate) fn judge(
    play: Play,
    baseline: &Baseline,
    fault: Option<&Fault>,
    observed: &Observed,
) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |kind, what: String| complaints.push(Complaint { kind, what });
    if panics(&observed.stderr) > baseline.panics {
        complain(Kind::Panic, last_line(&observed.stderr).to_owned());
    }
    if !observed.has_started {
        complain(
            Kind::NotStarted,
            "it does not announce its address".to_owned(),
        );
    }
    if !observed.is_quiet {
        complain(Kind::Spins, "it calls on and on".to_owned());
    }
    if let (Some(fds), Some(fds_max)) = (observed.fds, baseline.fds_max)
        && fds > fds_max
    {
        complain(Kind::LeaksFds, format!("{fds} fds are open, not {fds_max}"));
    }
    let is_clear = observed
        .status
        .is_some_and(|status| is_clear(status, &observed.stderr));
    let persists = fault.is_some_and(|fault| fault.persists);
    let clients = observed.served.len();
    for (served, number) in observed.served.iter().zip(1..) {
        let kind = match served {
            Served::Whole => continue,
            Served::Wrong { .. } => Kind::Wrong,
            Served::LooksWhole { bytes: 0, .. } => Kind::NoAnswer,
            Served::LooksWhole { .. } => Kind::LooksWhole,
            Served::Hangs { .. } => Kind::NotServed,
            Served::Cut(_) | Served::NotConnected(_) => {
                let is_fresh = number == clients && play != Play::Drain;
                if !is_fresh || persists || observed.ended_early && is_clear {
                    continue;
                }
                Kind::NotServed
            }
        };
        complain(kind, format!("client {number} of {clients}: {served}"));
    }
    let Some(status) = observed.status else {
        complain(Kind::NotEnded, "it does not end".to_owned());
        return complaints;
    };
    let must_be_clear = match play {
        // It ended before it was asked to, or reports that something went wrong.
        Play::Echo | Play::Chat | Play::Drain => {
            observed.ended_early || observed.served.is_empty() || !status.success()
        }
        Play::Program { .. } => !status.success(),
    };
    if observed.has_started && must_be_clear && !is_clear {
        complain(
            Kind::UnclearEnd,
            format!("{status}, stderr: {:?}", last_line(&observed.stderr)),
        );
    }
    let is_program = matches!(play, Play::Program { .. });
    if is_program && status.success() && without_ports(&observed.stdout) != baseline.stdout {
        // A program may report an error of one task and continue with the others.
        if sentences(&observed.stderr) == sentences("") {
            complain(
                Kind::WrongOutput,
                format!("it prints {:?}", observed.stdout),
            );
        }
    }
    complaints
}

/// True if an end says that something failed, and what.
fn is_clear(status: ExitStatus, stderr: &str) -> bool {
    let has_sentence = sentences(stderr) > 0;
    match (status.code(), status.signal()) {
        (Some(0), _) => false,
        (Some(101), _) => false, // Rust's code for a panic
        (Some(_), _) => has_sentence,
        // Rust's answer to malloc(3) that has no memory.
        (None, _) => stderr.contains("memory allocation of"),
    }
}

/// The number of lines of stderr that report something else than the normal course.
fn sentences(stderr: &str) -> usize {
    let is_normal = |line: &&str| {
        line.trim().is_empty() || line.contains(" INFO ") || line.contains("\"level\":\"INFO\"")
    };
    stderr.lines().filter(|line| !is_normal(line)).count()
}

/// Output with one sign for each number of five digits, which is a port that the kernel has chosen.
fn without_ports(stdout: &str) -> String {
    let words = stdout.split_inclusive(|char: char| !char.is_ascii_digit());
    let without_port = |word: &str| {
        let digits = word.trim_end_matches(|char: char| !char.is_ascii_digit());
        match digits.len() {
            5 => format!("PORT{}", &word[5..]),
            _ => word.to_owned(),
        }
    };
    words.map(without_port).collect()
}

fn panics(stderr: &str) -> usize {
    stderr.matches("panicked at").count()
}

fn last_line(stderr: &str) -> &str {
    stderr.lines().last().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ports_differ_between_two_runs() {
        let stdout = "127.0.0.1:40123 is localhost, 64 of 64\n40123";
        let expected = "127.0.0.1:PORT is localhost, 64 of 64\nPORT";
        assert_eq!(without_ports(stdout), expected);
    }

    #[test]
    fn an_end_is_clear_with_a_sentence_and_an_exit_code() {
        let exited = |code: i32| ExitStatus::from_raw(code << 8);
        assert!(is_clear(exited(1), "error: no memory\n"));
        assert!(!is_clear(
            exited(1),
            "2026-01-01T00:00:00Z  INFO main: serving\n"
        ));
        assert!(!is_clear(exited(0), "error: no memory\n"));
        assert!(!is_clear(exited(101), "panicked\n"));
        let aborted = ExitStatus::from_raw(6);
        assert!(is_clear(aborted, "memory allocation of 64 bytes failed\n"));
        assert!(!is_clear(aborted, "error\n"));
    }
}
