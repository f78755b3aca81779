//! The supervisor: readiness, log lines, restarts, probes, and the exit code.

use crate::harness::{Running, both};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// Stands for a server: the test itself listens on the address in its place.
const SERVER: &str = r#"
    trap 'echo stopping >&2; exit 7' TERM
    echo "listening on $0"
    while :; do sleep 0.05; done
"#;

/// The process ID in front of a line of the server.
fn id_of(program: &mut Running, line: &str) -> String {
    let rest = program.printed("[");
    let (id, printed) = rest.split_once("] ").unwrap();
    assert_eq!(printed, line);
    id.to_owned()
}

#[test]
fn both_supervisors_restart_a_server_that_ends_or_does_not_answer() {
    for mut command in both("supervisor") {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let listening = format!("listening on {addr}, [::1]:1");
        let mut program = Running::start({
            let given = format!("{addr}, [::1]:1");
            command.args(["sh", "-c", SERVER, &given]);
            command
        });
        let first = id_of(&mut program, &listening);
        assert_eq!(program.printed("ready on "), addr);

        assert!(
            Command::new("kill")
                .args(["-9", &first])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(program.printed("the server ended: "), "signal: 9 (SIGKILL)");
        assert_eq!(program.printed("restarting in "), "100ms");
        let second = id_of(&mut program, &listening);
        assert_ne!(first, second);
        assert_eq!(program.printed("ready on "), addr);

        drop(listener);
        // Refused; or reset, if a probe was just connecting.
        program.printed("the server is killed: Connection re");
        assert_eq!(program.printed("restarting in "), "200ms");
        let listener = TcpListener::bind(&addr).unwrap();
        let third = id_of(&mut program, &listening);
        assert_eq!(program.printed("ready on "), addr);

        program.terminate();
        assert_eq!(id_of(&mut program, "stopping"), third);
        assert_eq!(program.child.wait().unwrap().code(), Some(7));
        drop(listener);
    }
}

#[test]
fn both_supervisors_end_during_a_pause() {
    for mut command in both("supervisor") {
        command.args(["sh", "-c", "exit 3"]);
        let mut program = Running::start(command);
        for pause in ["100ms", "200ms", "400ms", "800ms"] {
            assert_eq!(program.printed("the server ended: "), "exit status: 3");
            assert_eq!(program.printed("restarting in "), pause);
        }
        program.terminate();
        assert!(program.child.wait().unwrap().success());
    }
}

/// With the server of this workspace, where it is built.
#[test]
fn both_supervisors_run_the_server() {
    let server = Path::new(env!("CARGO_BIN_EXE_mixed")).with_file_name("oneloop");
    if !server.exists() {
        println!("skipped: the server is not built: cargo build -p oneloop-server");
        return;
    }
    for mut command in both("supervisor") {
        command.arg(&server).args(["--listen", "127.0.0.1:0"]);
        let mut program = Running::start(command);
        loop {
            let line = program.stdout.next().unwrap().unwrap();
            if line.starts_with("ready on 127.0.0.1:") {
                break;
            }
        }
        program.terminate();
        let lines: Vec<_> = program.stdout.by_ref().map(Result::unwrap).collect();
        assert!(
            lines.iter().any(|line| line.contains("stopped")),
            "{lines:?}"
        );
        assert!(program.child.wait().unwrap().success());
    }
}
