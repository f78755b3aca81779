//! Children when the process runs out of fds. A program of its own, because the limit is one of the
//! process.

use oneloop::aio::block_on;
use oneloop::process::{Child, Command, Stdio};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

fn cat() -> io::Result<Child> {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

#[test]
fn without_fds_no_child_is_started_and_no_output_is_lost() {
    let limit = getrlimit(Resource::Nofile);
    let current = Some(64);
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
    block_on(async {
        let mut children = Vec::new();
        let error = loop {
            match cat() {
                Ok(child) => children.push(child),
                Err(error) => break error,
            }
        };
        assert_eq!(Errno::from_io_error(&error), Some(Errno::MFILE));
        assert!(children.len() >= 15, "three fds each: {}", children.len());
        // Running children continue, and one that ends makes room for another.
        let gone = children.pop().expect("children run").wait_with_output();
        assert!(gone.await.unwrap().status.success());
        children.push(cat().unwrap());
        for (number, mut child) in children.into_iter().enumerate() {
            let text = format!("child {number}");
            let output = child.communicate(text.as_str()).await.unwrap();
            assert_eq!(output.stdout, text.as_bytes());
            assert!(output.status.success());
        }
    });
}
