//! Which injections no kernel can produce, and which outcomes are right although they look wrong.

use crate::faults::Fault;
use crate::verdict::Kind;

/// An injection that is not made.
pub(crate) struct Impossible {
    call: &'static str,
    /// Empty means all.
    errnos: &'static [&'static str],
    /// A part of the call's line in the log of strace.
    part: &'static str,
    pub(crate) reason: &'static str,
}

/// An eventfd has a counter of 8 bytes, and we write 1.
const EVENTFD_DATA: &str = "\"\\1\\0\\0\\0\\0\\0\\0\\0\", 8";

/// The injections that no kernel can produce.
///
/// `close` is in no table: the kernel closes the fd whatever close(2) returns, and a call that
/// strace fails does not happen. `futex` is not either: whether its k-th call waits or wakes differs
/// between runs, and a wake does not fail. Neither is a bare `EAGAIN`: on an edge-triggered fd, the kernel
/// returns it only if an event follows.
pub(crate) const IMPOSSIBLE: &[Impossible] = &[
    Impossible {
        call: "brk",
        errnos: &["ENOMEM"],
        part: "",
        reason: "brk returns the old end of the heap, and glibc takes an errno for an address",
    },
    Impossible {
        call: "write",
        errnos: &[],
        part: EVENTFD_DATA,
        reason: "a write to an eventfd fails only if its counter is full, with EAGAIN",
    },
    Impossible {
        call: "read",
        errnos: &[],
        part: EVENTFD_DATA,
        reason: "a non-blocking read of an eventfd fails only if its counter is 0, with EAGAIN",
    },
    Impossible {
        call: "epoll_ctl",
        errnos: &["ENOMEM", "ENOSPC"],
        part: "EPOLL_CTL_DEL",
        reason: "removing a registration allocates nothing",
    },
    Impossible {
        call: "epoll_ctl",
        errnos: &["ENOSPC"],
        part: "EPOLL_CTL_MOD",
        reason: "a registration that changes is not counted again",
    },
    Impossible {
        call: "getsockname",
        errnos: &["ENOBUFS"],
        part: "",
        reason: "Linux copies an address that it has, and allocates nothing",
    },
    Impossible {
        call: "getpeername",
        errnos: &["ENOBUFS"],
        part: "",
        reason: "Linux copies an address that it has, and allocates nothing",
    },
    Impossible {
        call: "getsockopt",
        errnos: &["ENOBUFS", "ENOPROTOOPT"],
        part: "SOL_SOCKET",
        reason: "each socket has the options of SOL_SOCKET",
    },
    Impossible {
        call: "fcntl",
        errnos: &["EMFILE"],
        part: "F_GETF",
        reason: "only a duplicate needs a number",
    },
    Impossible {
        call: "fcntl",
        errnos: &["EMFILE"],
        part: "F_SETF",
        reason: "only a duplicate needs a number",
    },
];

impl Impossible {
    /// The reason why a call, as its line in the log shows it, cannot fail with this error.
    pub(crate) fn reason(call: &str, errno: &str, line: &str) -> Option<&'static str> {
        let matches = |impossible: &&Impossible| {
            impossible.call == call
                && (impossible.errnos.is_empty() || impossible.errnos.contains(&errno))
                && line.contains(impossible.part)
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
        format!("{}(… {} …): {errnos}", self.call, self.part)
    }
}

/// A complaint that is not one.
pub(crate) struct Explained {
    /// The beginnings of the names of scenarios. Empty means all, here and below.
    scenarios: &'static [&'static str],
    calls: &'static [&'static str],
    errnos: &'static [&'static str],
    /// A part of the line of a failed call.
    part: &'static str,
    persists: Option<bool>,
    kinds: &'static [Kind],
    pub(crate) reason: &'static str,
}

const ANY: Explained = Explained {
    scenarios: &[],
    calls: &[],
    errnos: &[],
    part: "",
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
        part: EVENTFD_DATA,
        reason: "the fault also hits the write to an eventfd, which cannot fail",
        ..ANY
    },
    Explained {
        calls: &["read"],
        part: ", 8)",
        reason: "the fault also hits the read of an eventfd, which cannot fail",
        ..ANY
    },
    Explained {
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
            "getsockopt",
            "epoll_ctl",
            "pipe2",
            "fcntl",
            "open",
            "openat",
            "clone3",
            "pidfd_open",
            "mmap",
            "mprotect",
            "rt_sigaction",
            "accept4",
        ],
        kinds: &[Kind::NoAnswer],
        reason: "a client that cannot be served gets the end before any byte",
        ..ANY
    },
    Explained {
        scenarios: &["proxy", "exec"],
        calls: &["sendto", "write", "splice"],
        errnos: &["EPIPE", "ECONNRESET"],
        kinds: &[
            Kind::NotServed,
            Kind::NoAnswer,
            Kind::LooksWhole,
            Kind::LeaksFds,
        ],
        reason: "a side that takes no more has ended, so a relay waits for its end, and none comes",
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
        kinds: &[Kind::Panic, Kind::UnclearEnd, Kind::WrongOutput],
        reason: "without stderr, a program cannot say what failed",
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
        calls: &["mmap", "mprotect"],
        kinds: &[Kind::Panic, Kind::UnclearEnd],
        reason: "green::spawn panics without a stack, and says so; Builder::spawn returns the error",
        ..ANY
    },
    Explained {
        scenarios: &["children"],
        kinds: &[Kind::Panic],
        calls: &["socketpair", "clone3", "pidfd_open", "pipe2"],
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
        calls: &["sendto", "accept4", "epoll_ctl", "setsockopt"],
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
        hits: &[&str],
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
                && (explained.kinds.is_empty() || explained.kinds.contains(&kind))
                && explained
                    .persists
                    .is_none_or(|persists| persists == fault.persists)
                && hits.iter().any(|line| line.contains(explained.part))
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

    #[test]
    fn an_eventfd_takes_each_write_and_a_pipe_does_not() {
        let eventfd = r#"write(8, "\1\0\0\0\0\0\0\0", 8) = 8"#;
        assert!(Impossible::reason("write", "EPIPE", eventfd).is_some());
        assert!(Impossible::reason("write", "EPIPE", r#"write(1, "x", 1) = 1"#).is_none());
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
            Explained::reason(scenario, &fault(errno), Kind::LooksWhole, &[&line])
        };
        assert!(reason("proxy-green", "EPIPE").is_some());
        assert!(reason("proxy-green", "ENOBUFS").is_none());
        assert!(reason("echo", "EPIPE").is_none());
    }

    #[test]
    fn only_a_removal_cannot_lack_memory() {
        let line = |operation| format!("epoll_ctl(4, {operation}, 5, {{}}) = 0");
        let reason = |operation| Impossible::reason("epoll_ctl", "ENOMEM", &line(operation));
        assert!(reason("EPOLL_CTL_DEL").is_some());
        assert!(reason("EPOLL_CTL_ADD").is_none());
    }
}
