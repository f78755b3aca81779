//! The examples do what they say. `cargo test` has built them.

use std::process::Command;

/// What an example prints.
fn output(example: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let directory = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = directory.join("examples").join(example);
    assert!(program.exists(), "not built yet: cargo build --examples");
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{example}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn embedded_takes_turns_with_the_outer_loop() {
    let output = output("embedded");
    let ours: Vec<_> = output
        .lines()
        .filter(|line| line.starts_with("our"))
        .collect();
    let expected = ["our loop: tick 1", "our loop: tick 2", "our loop: tick 3"];
    assert_eq!(ours, expected, "{output}");
    assert!(output.contains("their loop: woke"), "{output}");
}

#[test]
fn signals_are_heard_in_each_style() {
    let output = output("signals");
    for line in [
        "a callback heard it",
        "a green thread heard it",
        "async code heard signal 28",
    ] {
        assert!(output.lines().any(|said| said == line), "{line}: {output}");
    }
}

#[test]
fn offload_goes_on_while_look_ups_are_stuck() {
    let output = output("offload");
    for line in [
        "a callback: 1229 primes below 10,000",
        "a green thread: 2262 primes below 20,000",
        "async code: 3245 primes below 30,000",
        "a timer, and the look-ups are still stuck",
        "async code: the task panicked: what a job panics with",
    ] {
        assert!(output.lines().any(|said| said == line), "{line}: {output}");
    }
}

#[test]
fn prefork_workers_have_loops_of_their_own() {
    let expected = [
        "a worker answered: true",
        "a worker answered: true",
        "a worker ended: Some(0)",
        "a worker ended: Some(0)",
    ];
    assert_eq!(output("prefork").lines().collect::<Vec<_>>(), expected);
}

#[test]
fn names_are_connected_to_in_each_style() {
    let output = output("names");
    for line in ["async: Some(\"hello\")", "green: hello", "callback: hello"] {
        assert!(output.lines().any(|said| said == line), "{line}: {output}");
    }
}
