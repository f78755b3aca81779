//! Reads the log of strace: which calls the main thread made, and which of them were failed.

use std::collections::{HashMap, HashSet};

/// The call after which the code of the program runs: the last one that Rust's runtime makes before
/// `main`. What the dynamic linker and the runtime do earlier is not ours.
const LAST_BEFORE_MAIN: &str = "rt_sigaction(SIGBUS, {";

/// One call of the main thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// Its number among the calls of its name; the first one is 1.
    pub(crate) at: u32,
    /// Its line in the log.
    pub(crate) line: String,
    pub(crate) is_on_eventfd: bool,
}

/// The line of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) line: &'a str,
    pub(crate) is_on_eventfd: bool,
}

/// The calls of the main thread from the beginning of `main` on. With `-f`, each line begins with
/// the number of a thread, and the main thread's is the first one.
pub(crate) fn calls_of_main(log: &str) -> Vec<Call> {
    let main_thread = log
        .split(char::is_whitespace)
        .next()
        .filter(|word| is_number(word));
    let mut counts: HashMap<&str, u32> = HashMap::new();
    let mut calls = Vec::new();
    let mut has_begun = false;
    for Line {
        line,
        is_on_eventfd,
    } in lines(log)
    {
        let line = match main_thread {
            Some(thread) => match line.strip_prefix(thread) {
                Some(rest) if rest.starts_with(' ') => rest.trim_start(),
                _ => continue,
            },
            None => line,
        };
        let Some(name) = name(line) else { continue };
        let at = counts.entry(name).or_default();
        *at += 1;
        if has_begun {
            calls.push(Call {
                name: name.to_owned(),
                at: *at,
                line: line.to_owned(),
                is_on_eventfd,
            });
        }
        has_begun |= line.starts_with(LAST_BEFORE_MAIN);
    }
    calls
}

/// The lines of the calls of this name that strace has failed with this error. Where another
/// thread has interrupted such a line, both of its parts, because each may have arguments.
pub(crate) fn injected<'a>(log: &'a str, call: &str, errno: &str) -> Vec<Line<'a>> {
    let (begins, resumes) = (format!("{call}("), format!("<... {call} resumed>"));
    let fails = format!("= -1 {errno} ");
    let mut unfinished = HashMap::new();
    let mut hits = Vec::new();
    for hit in lines(log) {
        let line = hit.line;
        let thread = line.split(' ').next();
        let is_hit = line.contains("(INJECTED") && line.contains(&fails);
        if line.contains(&resumes) {
            let begin = unfinished.remove(&thread);
            if is_hit {
                hits.extend(begin.into_iter().chain([hit]));
            }
        } else if line.contains(&begins) {
            if line.contains("<unfinished ...>") {
                unfinished.insert(thread, hit);
            }
            hits.extend(is_hit.then_some(hit));
        }
    }
    hits
}

/// The lines of a log, each with whether its call is on an eventfd. A read that fails does not show
/// what it reads from.
fn lines(log: &str) -> impl Iterator<Item = Line<'_>> {
    let mut eventfds = Eventfds::default();
    log.lines().map(move |line| Line {
        line,
        is_on_eventfd: eventfds.follow(line),
    })
}

/// The numbers that are eventfds, or duplicates of eventfds, up to a line of the log.
#[derive(Default)]
struct Eventfds<'a> {
    open: HashSet<&'a str>,
    /// What another thread has interrupted, by thread.
    unfinished: HashMap<Option<&'a str>, &'a str>,
}

impl<'a> Eventfds<'a> {
    /// Goes on to the next line. True if it begins a call on an eventfd.
    fn follow(&mut self, line: &'a str) -> bool {
        let thread = line.split(' ').next();
        let begin = match line.contains(" resumed>") {
            true => self.unfinished.remove(&thread).unwrap_or(line),
            false => line,
        };
        let fd = begin
            .split_once('(')
            .and_then(|(_, arguments)| arguments.split([',', ')', ' ']).next());
        let is_on = fd.is_some_and(|fd| self.open.contains(fd));
        if line.contains("<unfinished ...>") {
            self.unfinished.insert(thread, line);
        } else if let Some((_, made)) = line.rsplit_once(" = ")
            && is_number(made)
            && (begin.contains("eventfd2(") || is_on && begin.contains("F_DUPFD"))
        {
            self.open.insert(made);
        }
        if let Some(fd) = fd
            && is_on
            && begin.contains("close(")
        {
            self.open.remove(fd);
        }
        is_on && std::ptr::eq(begin, line)
    }
}

/// The call that a line begins: not a signal, an exit, or the end of a call.
fn name(line: &str) -> Option<&str> {
    let (name, _) = line.split_once('(')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (!name.is_empty() && name.bytes().all(is_name)).then_some(name)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALONE: &str = "\
read(3, \"x\", 1) = 1
rt_sigaction(SIGBUS, NULL, {sa_handler=SIG_DFL}, 8) = 0
rt_sigaction(SIGBUS, {sa_handler=0x55}, NULL, 8) = 0
read(3, \"y\", 1) = 1
--- SIGTERM {si_signo=SIGTERM} ---
read(3, 0x55, 1) = -1 EIO (Input/output error) (INJECTED)
+++ exited with 0 +++
";

    fn numbered(log: &str) -> Vec<(String, u32)> {
        let calls = calls_of_main(log).into_iter();
        calls.map(|call| (call.name, call.at)).collect()
    }

    #[test]
    fn calls_before_main_are_counted_and_left_out() {
        assert_eq!(numbered(ALONE), [("read".into(), 2), ("read".into(), 3)]);
        assert_eq!(injected(ALONE, "read", "EIO").len(), 1);
        assert_eq!(injected(ALONE, "read", "EINTR").len(), 0);
    }

    #[test]
    fn a_failed_call_that_was_interrupted_has_its_arguments() {
        let log = "\
7  write(1, \"x\", 1 <unfinished ...>
8  write(2, \"y\", 1) = 1
7  <... write resumed>) = -1 EIO (Input/output error) (INJECTED)
";
        let hits = injected(log, "write", "EIO");
        assert_eq!(hits[0].line, "7  write(1, \"x\", 1 <unfinished ...>");
        assert_eq!(hits.len(), 2);
    }

    #[test]
    fn a_call_on_an_eventfd_is_known_by_its_number() {
        let log = "\
7  rt_sigaction(SIGBUS, {sa_handler=0x55}, NULL, 8) = 0
7  read(5, \"x\", 8)          = 1
7  close(5)                 = 0
7  eventfd2(0, EFD_CLOEXEC|EFD_NONBLOCK)   = 5
7  eventfd2(0, EFD_CLOEXEC|EFD_NONBLOCK <unfinished ...>
7  <... eventfd2 resumed>)      = 6
8  read(6, 0x7ffc, 8)       = -1 EIO (Input/output error) (INJECTED)
7  fcntl(6, F_DUPFD_CLOEXEC, 3)      = 9
8  read(7, 0x7ffc, 8)       = -1 EIO (Input/output error) (INJECTED)
7  eventfd2(0, EFD_CLOEXEC|EFD_NONBLOCK)   = -1 EMFILE (Too many open files) (INJECTED)
7  write(9, \"\\1\\0\\0\\0\\0\\0\\0\\0\", 8) = 8
7  close(9)                 = 0
7  write(9, \"x\", 1)         = 1
";
        let hits = injected(log, "read", "EIO");
        assert!(hits[0].is_on_eventfd && !hits[1].is_on_eventfd);
        let calls = calls_of_main(log);
        let on_eventfds = calls.iter().filter(|call| call.is_on_eventfd);
        assert_eq!(
            on_eventfds.map(|call| &call.name).collect::<Vec<_>>(),
            ["fcntl", "write", "close"]
        );
    }

    #[test]
    fn other_threads_and_the_ends_of_calls_are_left_out() {
        let log = "\
7  rt_sigaction(SIGBUS, {sa_handler=0x55}, NULL, 8) = 0
7  epoll_pwait2(4,  <unfinished ...>
71 write(2, \"x\", 1) = 1
7  <... epoll_pwait2 resumed>[], 1024, NULL, NULL, 0) = 0
7  close(3) = 0
";
        assert_eq!(
            numbered(log),
            [("epoll_pwait2".into(), 1), ("close".into(), 1)]
        );
    }
}
