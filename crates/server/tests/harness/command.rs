//! Command lines of the server.

use std::process::{Command, Stdio};

/// The server with these flags, and nothing from our own environment.
pub(crate) fn main(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_main"));
    command.args(args).args(style());
    without_our_environment(command)
}

/// All tests are for all styles: this is how `make test` says which it is that they test.
fn style() -> Option<String> {
    let style = std::env::var("ONELOOP_TEST_STYLE").ok()?;
    Some(format!("--style={style}"))
}

/// The same, in a process that may open so many files and no more.
pub(crate) fn main_with_files(files: u32, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_main"))
        .args(args)
        .args(style());
    without_our_environment(command)
}

fn without_our_environment(mut command: Command) -> Command {
    for (name, _) in std::env::vars() {
        if name.starts_with("ONELOOP_") || name == "RUST_BACKTRACE" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}
