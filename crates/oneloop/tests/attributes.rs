//! What `#[oneloop::main]` and `#[oneloop::test]` make of async functions.

use oneloop::aio::{now, offload, sleep, spawn};
use oneloop::sync::Queue;
use std::future::pending;
use std::io;
use std::panic::catch_unwind;
use std::process::{ExitCode, Termination};
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(24 * 3600);

#[oneloop::test]
async fn a_test_runs_on_virtual_time() {
    let (start, real) = (now(), Instant::now());
    sleep(DAY).await;
    assert_eq!(now() - start, DAY);
    assert!(real.elapsed() < DAY);
}

#[oneloop::test(virtual_time = false)]
async fn a_test_runs_on_the_kernels_clock_on_request() {
    let real = Instant::now();
    sleep(Duration::from_millis(2)).await;
    assert!(real.elapsed() >= Duration::from_millis(2));
}

#[oneloop::test]
async fn a_test_may_return_a_result_and_use_question_marks() -> io::Result<()> {
    let number = offload(|| 7).await?;
    assert_eq!(number, 7);
    Ok(())
}

#[oneloop::test]
async fn a_test_may_return_any_termination() -> impl Termination {
    ExitCode::SUCCESS
}

#[oneloop::test]
#[should_panic(expected = "on purpose")]
async fn other_attributes_stay() {
    panic!("on purpose");
}

#[oneloop::test]
#[should_panic(expected = "not joined")]
async fn a_panic_of_a_task_that_is_not_joined_fails_the_test() {
    spawn(async { panic!("not joined") });
    sleep(Duration::from_millis(1)).await;
}

#[oneloop::test]
async fn a_panic_of_a_task_that_is_joined_is_a_result() {
    let error = spawn(async { panic!("joined") }).await.unwrap_err();
    assert_eq!(error.panic_message(), Some("joined"));
}

#[oneloop::test]
#[should_panic(expected = "the test waits forever: block_on at ")]
async fn a_test_that_nothing_can_wake_fails() {
    let queue = Queue::<u32>::unbounded();
    queue.get().await;
}

#[oneloop::test]
async fn another_thread_may_still_wake_a_test() {
    let mut waker = None;
    let mut polls = 0;
    std::future::poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            let woken = cx.waker().clone();
            waker = Some(std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20)); // likely, the loop is stuck by then
                woken.wake();
            }));
            return std::task::Poll::Pending;
        }
        std::task::Poll::Ready(())
    })
    .await;
    waker.unwrap().join().unwrap();
}

#[cfg(feature = "chaos")]
#[oneloop::test(chaos = 20)]
async fn a_test_runs_under_each_seed() -> io::Result<()> {
    let (client, server) = oneloop::aio::UnixStream::pair()?;
    spawn(async move { client.write_all(b"hello").await });
    assert_eq!(server.read_text(100).await?, "hello");
    Ok(())
}

#[cfg(feature = "chaos")]
#[oneloop::test(chaos = 3)]
#[should_panic(expected = "seed 0 fails: the test returned an error")]
async fn an_error_fails_the_seed() -> io::Result<()> {
    Err(io::ErrorKind::Other.into())
}

/// A dependency of another name.
mod renamed {
    pub(crate) use oneloop::testing;
}

#[oneloop::test(crate = "crate::renamed")]
async fn a_dependency_may_have_another_name() {
    sleep(Duration::from_millis(1)).await;
}

#[oneloop::main]
async fn three() -> u32 {
    // The name is that of the async function in here.
    let _again = || three();
    sleep(Duration::from_millis(1)).await;
    3
}

#[oneloop::main]
pub(crate) async fn fails() -> Result<(), String> {
    Err("no luck".to_owned())?;
    Ok(())
}

/// Never returns.
#[oneloop::main]
#[allow(dead_code, reason = "it only has to compile")]
async fn diverges() -> ! {
    loop {
        pending::<()>().await;
    }
}

#[test]
fn a_main_returns_what_its_async_function_returns() {
    assert_eq!(three(), 3);
    assert_eq!(fails(), Err("no luck".to_owned()));
}

#[test]
fn a_main_inside_of_a_loop_panics() {
    let inside = catch_unwind(|| oneloop::aio::block_on(async { three() }));
    assert!(inside.is_err());
}
