//! Programs beside a test: the examples of this crate, and servers of other people.

use rustix::process::{Pid, Signal, kill_process};
use std::env;
use std::io::{self, BufRead, BufReader, Lines};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};

/// A program that runs, and is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Program {
    /// `None`, and a printed line, if there is no such program.
    pub(crate) fn start(command: &mut Command) -> Option<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let program = command.get_program().to_string_lossy();
                eprintln!("skipped: {program} is not installed");
                return None;
            }
            started => started.unwrap(),
        };
        Some(Program {
            stdout: BufReader::new(child.stdout.take().unwrap()).lines(),
            stderr: BufReader::new(child.stderr.take().unwrap()).lines(),
            child,
        })
    }

    /// Runs a program in Node.
    pub(crate) fn node(script: &str, envs: &[(&str, &str)]) -> Option<Self> {
        let envs = envs.iter().copied();
        Program::start(Command::new("node").args(["-e", script]).envs(envs))
    }

    /// Runs an example of this crate.
    pub(crate) fn example(name: &str, args: &[&str], envs: &[(&str, &str)]) -> Self {
        let tests = env::current_exe().unwrap();
        let example = tests.parent().unwrap().join("../examples").join(name);
        assert!(
            example.exists(),
            "write: cargo build -p oneloop-ecosystem --examples"
        );
        let mut command = Command::new(example);
        let envs = envs.iter().copied();
        Program::start(command.args(args).envs(envs)).unwrap()
    }

    /// The rest of the next line that it prints, which begins with these words.
    #[track_caller]
    pub(crate) fn printed(&mut self, start: &str) -> String {
        let Some(line) = self.stdout.next() else {
            let errors: Vec<_> = self.stderr.by_ref().map_while(Result::ok).collect();
            panic!("it ended: {errors:?}");
        };
        let line = line.unwrap();
        let rest = line.strip_prefix(start);
        rest.unwrap_or_else(|| panic!("{line:?} does not begin with {start:?}"))
            .to_owned()
    }

    /// The next line on stderr.
    pub(crate) fn reported(&mut self) -> String {
        self.stderr.next().unwrap().unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end; returns the rest of what it has printed, and of stderr.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        let stdout = self.stdout.by_ref().map(Result::unwrap).collect();
        let stderr = self.stderr.by_ref().map(Result::unwrap).collect();
        (self.child.wait().unwrap(), stdout, stderr)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
