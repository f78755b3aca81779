//! Without memory for another stack, `Builder::spawn` fails, and the other threads continue. In its
//! own file, as it limits the whole process.

use oneloop_green::{Builder, JoinHandle, run, spawn, yield_now};
use rustix::process::{Resource, Rlimit, setrlimit};

#[test]
fn no_memory_for_a_stack_is_an_error_and_the_others_continue() {
    let limit = Rlimit {
        current: Some(1 << 30),
        maximum: Some(1 << 30),
    };
    setrlimit(Resource::As, limit).unwrap();
    let (count, error) = run(|| {
        let mut threads: Vec<JoinHandle<()>> = Vec::new();
        let error = loop {
            match Builder::new().stack_bytes(16 << 20).spawn(yield_now) {
                Ok(thread) => threads.push(thread),
                Err(error) => break error,
            }
        };
        let count = threads.len();
        for thread in threads {
            thread.join().unwrap();
        }
        spawn(yield_now).join().unwrap();
        (count, error)
    })
    .unwrap();
    assert!(
        (10..64).contains(&count),
        "{count} stacks of 16 MiB in 1 GiB"
    );
    assert_eq!(error.kind(), std::io::ErrorKind::OutOfMemory);
}
