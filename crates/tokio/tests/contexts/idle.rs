//! While nothing happens, no thread makes a system call. The test runs itself again under strace.

use oneloop::aio::{self, sleep};
use oneloop_tokio::{block_on, enter};
use std::time::Duration;
use std::{env, fs, process};

/// Set in the process that runs under strace.
const INSIDE: &str = "ONELOOP_TEST_IS_INSIDE";
const IDLE: Duration = Duration::from_millis(600);

/// Waits for a socket and a timer of tokio, and for a socket and a timer of the loop.
async fn idle() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = aio::TcpListener::bind("127.0.0.1:0").unwrap();
    let waits = async {
        let never = async { drop(ours.accept().await) };
        aio::race(never, sleep(IDLE)).await;
    };
    let tokio_waits = async {
        let never = async { drop(listener.accept().await) };
        aio::race(never, tokio::time::sleep(2 * IDLE)).await;
    };
    aio::race(waits, tokio_waits).await;
}

#[test]
fn a_loop_beside_a_runtime_makes_no_call_while_it_is_idle() {
    check(
        "a_loop_beside_a_runtime_makes_no_call_while_it_is_idle",
        || {
            aio::block_on(enter(idle()));
        },
    );
}

#[test]
fn a_loop_inside_of_a_runtime_makes_no_call_while_it_is_idle() {
    check(
        "a_loop_inside_of_a_runtime_makes_no_call_while_it_is_idle",
        || block_on(idle()),
    );
}

fn check(test: &str, run: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        return run();
    }
    let log = env::temp_dir().join(format!("oneloop-{}-{test}.strace", process::id()));
    let mut strace = process::Command::new("strace");
    strace.args(["-f", "-q", "-ttt", "-o"]).arg(&log);
    strace.arg(env::current_exe().unwrap());
    strace
        .args(["--exact", &format!("idle::{test}")])
        .env(INSIDE, "1");
    match strace.output() {
        Ok(output) if String::from_utf8_lossy(&output.stdout).contains("1 passed") => {}
        other => return eprintln!("skipped: no strace here, or it may not trace: {other:?}"),
    }
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    let gap = longest_gap(&text);
    // Anything that spins, or looks at the clock by a call, leaves gaps of a millisecond.
    assert!(
        gap >= IDLE / 2,
        "the longest time without a call is {gap:?}: {text}"
    );
}

/// The longest time between two calls of any thread. A call that blocks is logged when it begins.
fn longest_gap(log: &str) -> Duration {
    let begun = |line: &str| line.split_whitespace().nth(1)?.parse::<f64>().ok();
    let times: Vec<f64> = log.lines().filter_map(begun).collect();
    let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
    Duration::from_secs_f64(gaps.fold(0.0, f64::max))
}
