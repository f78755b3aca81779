//! The comparators run, and what is missing is said: no figure is looked at.

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> (String, Output) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oneloop-bench"));
    command.env("ONELOOP_PYTHON", "/nonexistent/python");
    let output = command.args(arguments).output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output)
}

#[test]
fn each_runtime_inside_does_each_job_and_one_that_is_missing_is_skipped() {
    let runtimes = ["--runtimes", "oneloop-green,oneloop-async,tokio,may,gevent"];
    let sizes = "--rounds 1 --round-ms 10 --tasks 10 --sleeping 20";
    let arguments = sizes.split(' ').chain(runtimes);
    let (text, output) = run(&["green"].into_iter().chain(arguments).collect::<Vec<_>>());
    assert!(output.status.success(), "{output:?}");
    for runtime in ["oneloop-green", "oneloop-async", "tokio", "may"] {
        for cost in ["yield", "spawn + join", "channel hop", "20"] {
            let is_row = |line: &str| {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                cells.starts_with(&["", cost, runtime])
            };
            assert!(text.lines().any(is_row), "{cost}, {runtime}: {text}");
        }
    }
    assert!(text.contains("note: gevent is skipped"), "{text}");
}

#[test]
fn may_echoes_and_a_library_that_is_missing_is_skipped() {
    let sizes = "--rounds 1 --round-ms 10 --connections 2 --bytes 64";
    let servers = ["echo", "--servers", "may,eventlet"];
    let arguments = servers.into_iter().chain(sizes.split(' '));
    let (text, output) = run(&arguments.collect::<Vec<_>>());
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains(" may |"), "{text}");
    assert!(text.contains("note: eventlet is skipped"), "{text}");
}

#[test]
fn hyper_answers_on_both_runtimes_or_the_missing_clients_are_said() {
    let sizes = "http --pairs 1 --loads kept,closing,http2,tls --requests 0 --kept 20";
    let (text, output) = run(&sizes.split(' ').collect::<Vec<_>>());
    assert!(output.status.success(), "{output:?}");
    if text.contains("note: http is skipped: there is no ") {
        println!("{text}");
        return;
    }
    for row in [
        "HTTP/1, 64 ",
        "Connection: close",
        "HTTP/2",
        "TLS 1.3",
        "oneloop",
        "tokio",
    ] {
        assert!(text.contains(&format!("\n| {row}")), "{row}: {text}");
    }
}
