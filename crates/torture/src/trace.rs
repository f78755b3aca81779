//! Reads the log of strace: which calls the main thread made, and which of them were failed.

use std::collections::HashMap;

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
    for line in log.lines() {
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
            });
        }
        has_begun |= line.starts_with(LAST_BEFORE_MAIN);
    }
    calls
}

/// The lines of the calls of this name that strace has failed with this error. Where another
/// thread has interrupted such a line, both of its parts, because each may have arguments.
pub(crate) fn injected<'a>(log: &'a str, call: &str, errno: &str) -> Vec<&'a str> {
    let (begins, resumes) = (format!("{call}("), format!("<... {call} resumed>"));
    let fails = format!("= -1 {errno} ");
    let mut unfinished = HashMap::new();
    let mut hits = Vec::new();
    for line in log.lines() {
        let thread = line.split(' ').next();
        let is_hit = line.contains("(INJECTED") && line.contains(&fails);
        if line.contains(&resumes) {
            let begin = unfinished.remove(&thread);
            if is_hit {
                hits.extend(begin.into_iter().chain([line]));
            }
        } else if line.contains(&begins) {
            if line.contains("<unfinished ...>") {
                unfinished.insert(thread, line);
            }
            hits.extend(is_hit.then_some(line));
        }
    }
    hits
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
        assert_eq!(hits[0], "7  write(1, \"x\", 1 <unfinished ...>");
        assert_eq!(hits.len(), 2);
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
