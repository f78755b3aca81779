//! Which injections no kernel can produce, and which outcomes are right although they look wrong.

use crate::faults::Fault;
use crate::trace::{Call, Line};
use crate::verdict::Kind;

/// An injection that is not made.
pub(crate) struct Impossible {
    call: &'static str,
    /// Empty means all.
    errnos: &'static [&'static str],
    /// A part of the call's line in the log of strace.
    part: &'static str,
    /// Whether this holds only for an eventfd.
    on_eventfd: bool,
    pub(crate) reason: &'static str,
}

const FOR_EACH_LINE: Impossible = Impossible {
    call: "",
    errnos: &[],
    part: "",
    on_eventfd: false,
    reason: "",
};

/// The injections that no kernel can produce.
///
/// `close` is in no table: the kernel closes the fd whatever close(2) returns, and a call that
/// strace fails does not happen. `futex` is not either: whether its k-th call waits or wakes
/// differs between runs, and a wake does not fail. Neither is a bare `EAGAIN`: on an edge-triggered
/// fd, the kernel returns it only if an event follows.
pub(crate) const IMPOSSIBLE: &[Impossible] = &[
    Impossible {
        call: "brk",
        errnos: &["ENOMEM"],
        reason: "brk returns the old end of the heap, and glibc takes an errno for an address",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "write",
        on_eventfd: true,
        reason: "a write to an eventfd fails only if its counter is full, with EAGAIN",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "read",
        on_eventfd: true,
        reason: "a non-blocking read of an eventfd fails only if its counter is 0, with EAGAIN",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "epoll_ctl",
        errnos: &["ENOMEM", "ENOSPC"],
        part: "EPOLL_CTL_DEL",
        reason: "removing a registration allocates nothing",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "epoll_ctl",
        errnos: &["ENOSPC"],
        part: "EPOLL_CTL_MOD",
        reason: "a registration that changes is not counted again",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "getsockname",
        errnos: &["ENOBUFS"],
        reason: "Linux copies an address that it has, and allocates nothing",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "getpeername",
        errnos: &["ENOBUFS"],
        reason: "Linux copies an address that it has, and allocates nothing",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "getsockopt",
        errnos: &["ENOBUFS", "ENOPROTOOPT"],
        part: "SOL_SOCKET",
        reason: "each socket has the options of SOL_SOCKET",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "fcntl",
        errnos: &["EMFILE"],
        part: "F_GETF",
        reason: "only a duplicate needs a number",
        ..FOR_EACH_LINE
    },
    Impossible {
        call: "fcntl",
        errnos: &["EMFILE"],
        part: "F_SETF",
        reason: "only a duplicate needs a number",
        ..FOR_EACH_LINE
    },
];

impl Impossible {
    /// The reason why a call cannot fail with this error.
    pub(crate) fn reason(call: &Call, errno: &str) -> Option<&'static str> {
        let matches = |impossible: &&Impossible| {
            impossible.call == call.name
                && (impossible.errnos.is_empty() || impossible.errnos.contains(&errno))
                && call.line.contains(impossible.part)
                && (call.is_on_eventfd || !impossible.on_eventfd)
        };
        IMPOSSIBLE
            .iter()
            .find(matches)
            .map(|impossible| impossible.reason)
    }

    /// What is impossible, for people.
    pub(crate) fn what(&self) -> String {
        let errnos = match self.errnos {
            [] => "each error".to_owned(),
            errnos => errnos.join(", "),
        };
        let part = if self.on_eventfd {
            "eventfd"
        } else {
            self.part
        };
        format!("{}(… {part} …): {errnos}", self.call)
    }
}

/// A complaint that is not one.
pub(crate) struct Explained {
    /// The beginnings of the names of scenarios. Empty means all, here and in the next fields.
    scenarios: &'static [&'static str],
    calls: &'static [&'static str],
    errnos: &'static [&'static str],
    /// A part of the line of a failed call.
    part: &'static str,
    /// Whether one of the failed calls has to be on an eventfd.
    on_eventfd: bool,
    persists: Option<bool>,
    /// Never all: what spins, or sends wrong bytes, is wrong under each fault.
    kinds: &'static [Kind],
    pub(crate) reason: &'static str,
}

const ANY: Explained = Explained {
    scenarios: &[],
    calls: &[],
    errnos: &[],
    part: "",
    on_eventfd: false,
    persists: None,
    kinds: &[],
    reason: "",
};

pub(crate) const EXPLAINED: &[Explained] = &[
    Explained {
        calls: &["accept4"],
        persists: Some(true),
        kinds: &[Kind::NotServed],
        reason: "a client waits in the backlog as long as accepting fails",
        ..ANY
    },
    Explained {
        calls: &["write"],
        part: "\"listening on ",
        kinds: &[Kind::NotStarted],
        reason: "a server serves although nothing reads its announcement",
        ..ANY
    },
    Explained {
        calls: &["write"],
        on_eventfd: true,
        kinds: &[Kind::NotEnded],
        reason: "the fault also hits the write to an eventfd, which cannot fail",
        ..ANY
    },
    Explained {
        calls: &["read"],
        on_eventfd: true,
        kinds: &[Kind::NotEnded],
        reason: "the fault also hits the read of an eventfd, which cannot fail",
        ..ANY
    },
    Explained {
        scenarios: &["proxy"],
        calls: &["shutdown"],
        part: "SHUT_WR",
        kinds: &[Kind::NotServed, Kind::LeaksFds],
        reason: "a socket that is not connected has no other end that waits",
        ..ANY
    },
    Explained {
        calls: &["getrandom"],
        kinds: &[Kind::LeaksFds],
        reason: "without getrandom(2), the standard library keeps /dev/urandom open",
        ..ANY
    },
    Explained {
        calls: &[
            "socket",
            "connect",
            "setsockopt",
            "epoll_ctl",
            "pipe2",
            "clone3",
            "pidfd_open",
            "mmap",
        ],
        kinds: &[Kind::NoAnswer],
        reason: "a client that cannot be served gets the end before any byte",
        ..ANY
    },
    Explained {
        scenarios: &["proxy", "exec"],
        calls: &["sendto", "splice"],
        errnos: &["EPIPE", "ECONNRESET"],
        kinds: &[Kind::NotServed, Kind::LeaksFds],
        reason: "a side that takes no more has ended, so a relay waits for its end, and none comes",
        ..ANY
    },
    Explained {
        scenarios: &["exec"],
        calls: &["write", "splice"],
        errnos: &["EPIPE", "ECONNRESET"],
        kinds: &[Kind::NoAnswer, Kind::LooksWhole],
        reason: "what a program that takes no more input has printed is its whole answer",
        ..ANY
    },
    Explained {
        scenarios: PROGRAMS,
        calls: &["write"],
        part: "write(1,",
        kinds: &[Kind::Panic, Kind::UnclearEnd, Kind::WrongOutput],
        reason: "println! panics where stdout cannot be written",
        ..ANY
    },
    Explained {
        scenarios: PROGRAMS,
        calls: &["write"],
        part: "write(2,",
        kinds: &[
            Kind::Panic,
            Kind::UnclearEnd,
            Kind::NoAnswer,
            Kind::LooksWhole,
        ],
        reason: "without stderr, a program panics and cannot say why, and its clients see an end",
        ..ANY
    },
    Explained {
        scenarios: PROGRAMS,
        calls: &["eventfd2", "epoll_create1", "epoll_ctl"],
        kinds: &[Kind::Panic, Kind::UnclearEnd],
        reason: "block_on and run panic without a loop, and say so; EventLoop::new returns the error",
        ..ANY
    },
    Explained {
        scenarios: PROGRAMS,
        calls: &["mmap"],
        kinds: &[Kind::Panic, Kind::UnclearEnd],
        reason: "green::spawn panics without a stack, and says so; Builder::spawn returns the error",
        ..ANY
    },
    Explained {
        scenarios: &["children"],
        kinds: &[Kind::Panic],
        calls: &["socketpair"],
        reason: "this program expects that its child has pipes",
        ..ANY
    },
    Explained {
        scenarios: &["children"],
        calls: &["write"],
        errnos: &["EPIPE"],
        kinds: &[Kind::WrongOutput],
        reason: "EPIPE says that the child wants no more input, and its output is whole",
        ..ANY
    },
    Explained {
        scenarios: &["names", "messages"],
        kinds: &[Kind::NotEnded],
        calls: &["accept4", "epoll_ctl", "socket", "connect"],
        reason: "the server in this program waits for as many clients as it expects",
        ..ANY
    },
    Explained {
        scenarios: &["names"],
        kinds: &[Kind::WrongOutput],
        calls: &["sendto"],
        reason: "a client prints what it has received, and the server's task is not joined",
        ..ANY
    },
    Explained {
        scenarios: &["datagrams"],
        kinds: &[Kind::WrongOutput],
        calls: &["setsockopt", "sendmmsg", "recvmmsg"],
        reason: "this program prints how it does without a feature of the kernel",
        ..ANY
    },
];

/// The scenarios of examples.
const PROGRAMS: &[&str] = &[
    "chat-example",
    "files",
    "children",
    "names",
    "datagrams",
    "messages",
    "stdin",
];

impl Explained {
    /// The reason why a complaint is right, given the lines of the failed calls.
    pub(crate) fn reason(
        scenario: &str,
        fault: &Fault,
        kind: Kind,
        hits: &[Line<'_>],
    ) -> Option<&'static str> {
        let matches = |explained: &&Explained| {
            let Explained {
                scenarios,
                calls,
                errnos,
                ..
            } = explained;
            (scenarios.is_empty() || scenarios.iter().any(|begin| scenario.starts_with(begin)))
                && (calls.is_empty() || calls.contains(&fault.call.as_str()))
                && (errnos.is_empty() || errnos.contains(&fault.errno.as_str()))
                && explained.kinds.contains(&kind)
                && explained
                    .persists
                    .is_none_or(|persists| persists == fault.persists)
                && hits.iter().any(|hit| {
                    hit.line.contains(explained.part)
                        && (hit.is_on_eventfd || !explained.on_eventfd)
                })
        };
        EXPLAINED
            .iter()
            .find(matches)
            .map(|explained| explained.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, line: &str, is_on_eventfd: bool) -> Call {
        Call {
            name: name.into(),
            at: 1,
            line: line.into(),
            is_on_eventfd,
        }
    }

    #[test]
    fn an_eventfd_takes_each_write_and_a_pipe_does_not() {
        let is_impossible = |is_on_eventfd| {
            let write = call(
                "write",
                r#"write(8, "\1\0\0\0\0\0\0\0", 8) = 8"#,
                is_on_eventfd,
            );
            Impossible::reason(&write, "EPIPE").is_some()
        };
        assert!(is_impossible(true) && !is_impossible(false));
    }

    #[test]
    fn nothing_explains_a_spin_or_wrong_bytes_and_no_eventfd_a_panic() {
        for explained in EXPLAINED {
            let explains = |kind| explained.kinds.contains(&kind);
            assert!(!explains(Kind::Spins) && !explains(Kind::Wrong));
            assert!(!(explained.on_eventfd && explains(Kind::Panic)));
        }
    }

    #[test]
    fn an_exception_holds_for_its_scenario_its_error_and_its_line_only() {
        let fault = |errno: &str| Fault {
            call: "sendto".into(),
            at: 1,
            errno: errno.into(),
            persists: false,
        };
        let reason = |scenario, errno| {
            let line = format!("sendto(16, \"x\", 1, 0, NULL, 0) = -1 {errno} (INJECTED)");
            let hit = Line {
                line: &line,
                is_on_eventfd: false,
            };
            Explained::reason(scenario, &fault(errno), Kind::NotServed, &[hit])
        };
        assert!(reason("proxy-green", "EPIPE").is_some());
        assert!(reason("proxy-green", "ENOBUFS").is_none());
        assert!(reason("echo", "EPIPE").is_none());
    }

    #[test]
    fn only_a_removal_cannot_lack_memory() {
        let reason = |operation| {
            let line = format!("epoll_ctl(4, {operation}, 5, {{}}) = 0");
            Impossible::reason(&call("epoll_ctl", &line, false), "ENOMEM")
        };
        assert!(reason("EPOLL_CTL_DEL").is_some());
        assert!(reason("EPOLL_CTL_ADD").is_none());
    }
}
