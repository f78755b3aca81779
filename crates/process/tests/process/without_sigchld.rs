//! Children of a program that ignores `SIGCHLD`, or in which another library waits for any child: a
//! program that cannot be executed is an error, and never a panic. Each test runs again in such a
//! process.

use oneloop::aio::block_on;
use oneloop::callback::{self, child_process};
use oneloop::green;
use oneloop::process::{Command, Stdio};
use rustix::io::Errno;
use rustix::process::{WaitOptions, wait};
use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::{env, process, thread};

/// Set in the process in which a test runs again.
const INSIDE: &str = "ONELOOP_TEST_IS_INSIDE";

/// Runs a test again, in a process that ignores `SIGCHLD` from the start. True inside of that
/// process.
#[track_caller]
fn is_inside(test: &str, ignores_sigchld: bool) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let mut command = process::Command::new("env");
    if ignores_sigchld {
        command.arg("--ignore-signal=CHLD");
    }
    command.arg(env::current_exe().unwrap());
    command
        .args([
            "--exact",
            &format!("without_sigchld::{test}"),
            "--nocapture",
        ])
        .env(INSIDE, "1");
    let output = command.output().unwrap();
    if output.status.code() == Some(125) {
        eprintln!("skipped: {test}: this env(1) cannot ignore signals");
        return false;
    }
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    false
}

/// Sets an option of a command.
type Set = fn(&mut Command);

/// Options with which `posix_spawn(3)` cannot be used.
const FORKED: [(&str, Set); 9] = [
    ("nothing", |_| ()),
    ("detached", |command| {
        command.detached(true);
    }),
    ("uid", |command| {
        command.uid(rustix::process::getuid().as_raw());
    }),
    ("gid", |command| {
        command.gid(rustix::process::getgid().as_raw());
    }),
    ("open_files_max", |command| {
        command.open_files_max(64);
    }),
    ("PATH", |command| {
        command.env("PATH", "/nowhere");
    }),
    ("no PATH", |command| {
        command.env_remove("PATH");
    }),
    ("env_clear", |command| {
        command.env_clear();
    }),
    ("process_group", |command| {
        command.process_group(0).open_files_max(64);
    }),
];

/// Programs that cannot be executed, with the error.
const WRONG: [(&str, Errno); 4] = [
    ("/nowhere/program", Errno::NOENT),
    ("no-such-program", Errno::NOENT),
    ("/dev/null", Errno::ACCESS),
    ("/", Errno::ACCESS),
];

fn errno(error: io::Error) -> Option<Errno> {
    Errno::from_io_error(&error)
}

/// Asserts that each style, with each option, returns why a program cannot be executed.
fn wrong_programs_are_errors() {
    for (option, set) in FORKED {
        for (program, why) in WRONG {
            let command = move || {
                let mut command = Command::new(program);
                set(&mut command);
                command
            };
            let expected = (Some(why), option, program);
            block_on(async {
                for _ in 0..3 {
                    let spawned = command().spawn().map(drop).unwrap_err();
                    assert_eq!((errno(spawned), option, program), expected);
                }
                let output = command().output().await.unwrap_err();
                assert_eq!((errno(output), option, program), expected);
                let status = command().status().await.unwrap_err();
                assert_eq!((errno(status), option, program), expected);
            });
            green::run(move || {
                let mut command = command().into_style::<green::process::Green>();
                let output = command.output().unwrap_err();
                assert_eq!((errno(output), option, program), expected);
            })
            .unwrap();
        }
    }
}

#[test]
fn a_wrong_program_is_an_error_where_sigchld_is_ignored() {
    let name = "a_wrong_program_is_an_error_where_sigchld_is_ignored";
    if is_inside(name, true) {
        wrong_programs_are_errors();
    }
}

#[test]
fn a_wrong_program_is_an_error_where_a_library_waits_for_any_child() {
    let name = "a_wrong_program_is_an_error_where_a_library_waits_for_any_child";
    if is_inside(name, false) {
        // This thread reaps every child at once.
        thread::spawn(|| {
            loop {
                if wait(WaitOptions::empty()).is_err() {
                    thread::yield_now();
                }
            }
        });
        wrong_programs_are_errors();
    }
}

#[test]
fn a_step_before_exec_that_fails_is_an_error_where_sigchld_is_ignored() {
    let name = "a_step_before_exec_that_fails_is_an_error_where_sigchld_is_ignored";
    if !is_inside(name, true) {
        return;
    }
    block_on(async {
        let mut nowhere = Command::new("true");
        nowhere.current_dir("/nowhere").open_files_max(64);
        assert_eq!(errno(nowhere.spawn().unwrap_err()), Some(Errno::NOENT));
        let mut relative = Command::new("true");
        relative.current_dir("").detached(true);
        assert_eq!(errno(relative.spawn().unwrap_err()), Some(Errno::NOENT));
        let mut group = Command::new("true");
        group.process_group(1).open_files_max(64);
        assert_eq!(errno(group.spawn().unwrap_err()), Some(Errno::PERM));
        let mut group = Command::new("true");
        group.process_group(-1).open_files_max(64);
        assert_eq!(errno(group.spawn().unwrap_err()), Some(Errno::INVAL));
        let mut files = Command::new("true");
        files.open_files_max(u64::MAX - 1);
        let error = errno(files.spawn().unwrap_err());
        assert!(
            matches!(error, Some(Errno::INVAL | Errno::PERM)),
            "{error:?}"
        );
    });
}

#[test]
fn every_way_to_wait_fails_for_a_child_that_was_reaped_elsewhere() {
    let name = "every_way_to_wait_fails_for_a_child_that_was_reaped_elsewhere";
    if !is_inside(name, true) {
        return;
    }
    for (option, set) in FORKED {
        let cat = move || {
            let mut command = Command::new("/bin/cat");
            set(&mut command);
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
            command
        };
        let lost = move |error: io::Error| {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{option}");
            assert!(error.to_string().contains("SIGCHLD is ignored"), "{error}");
        };
        block_on(async {
            let mut child = cat().spawn().unwrap();
            assert_eq!(child.try_wait().unwrap(), None);
            child.kill().unwrap();
            lost(child.wait().await.unwrap_err());
            lost(child.try_wait().unwrap_err());
            child.kill().unwrap();
            let mut child = cat().spawn().unwrap();
            lost(child.communicate("hello").await.unwrap_err());
            lost(cat().output().await.unwrap_err());
            lost(cat().stdin(Stdio::null()).status().await.unwrap_err());
        });
        green::run(move || {
            let mut command = cat().into_style::<green::process::Green>();
            lost(command.output().unwrap_err());
        })
        .unwrap();
    }
}

#[test]
fn a_wrong_program_of_a_standard_command_is_an_error_where_sigchld_is_ignored() {
    if env::var_os(INSIDE).is_none() {
        let name = "a_wrong_program_of_a_standard_command_is_an_error_where_sigchld_is_ignored";
        let mut command = process::Command::new("env");
        command
            .arg("--ignore-signal=CHLD")
            .arg(env::current_exe().unwrap());
        let output = command
            .args(["--exact", &format!("without_sigchld::{name}")])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        // The standard library prints its own panic, although it is caught.
        assert!(matches!(output.status.code(), Some(0 | 125)), "{output:?}");
        return;
    }
    block_on(async {
        for program in ["no-such-program", "/nowhere/program"] {
            let mut command = Command::from(process::Command::new(program));
            command.open_files_max(64);
            command.spawn().unwrap_err();
        }
        let mut command = Command::from(process::Command::new("cat"));
        let mut child = command
            .stdin(Stdio::piped())
            .open_files_max(64)
            .spawn()
            .unwrap();
        child.wait().await.unwrap_err();
    });
}

#[test]
fn a_wrong_program_emits_an_error_where_sigchld_is_ignored() {
    let name = "a_wrong_program_emits_an_error_where_sigchld_is_ignored";
    if !is_inside(name, true) {
        return;
    }
    let errors = Rc::new(RefCell::new(Vec::new()));
    let pushed = Rc::clone(&errors);
    let code = callback::run(move || {
        let programs = [
            ("/nowhere/program", true),
            ("/dev/null", true),
            ("/", false),
        ];
        for (program, detached) in programs {
            let options = child_process::SpawnOptions {
                detached,
                ..Default::default()
            };
            let pushed = Rc::clone(&pushed);
            child_process::spawn_with(program, [""; 0], options)?.on_error(move |_, error| {
                let text = format!("{program} {}", error.code().unwrap_or("?"));
                pushed.borrow_mut().push(text);
            });
        }
        Ok::<_, child_process::Error>(())
    });
    assert_eq!(code.unwrap(), 0);
    let expected = ["/nowhere/program ENOENT", "/dev/null EACCES", "/ EACCES"];
    assert_eq!(*errors.borrow(), expected);
}
