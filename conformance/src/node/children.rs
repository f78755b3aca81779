//! Child processes.

use super::{say, text};
use oneloop::callback::child_process::{
    self, ChildProcess, Error, ExecError, ExecOptions, SpawnOptions, Stdio, exec, exec_file,
};
use oneloop::callback::{
    AbortController, AbortSignal, next_tick, process, queue_microtask, set_immediate,
};
use std::cell::Cell;
use std::rc::Rc;

const SIGUSR2: i32 = 12;

/// As JavaScript prints it.
fn shown<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

/// The name of a signal.
fn named(signal: Option<i32>) -> String {
    shown(signal.map(|number| match number {
        12 => "SIGUSR2".to_owned(),
        9 => "SIGKILL".to_owned(),
        15 => "SIGTERM".to_owned(),
        other => other.to_string(),
    }))
}

fn type_of<T>(value: Option<T>) -> &'static str {
    value.map_or("undefined", |_| "number")
}

fn stdio(stdio: [Stdio; 3]) -> SpawnOptions {
    SpawnOptions {
        stdio,
        ..SpawnOptions::default()
    }
}

fn ignored() -> SpawnOptions {
    stdio([Stdio::Ignore, Stdio::Ignore, Stdio::Ignore])
}

fn args_of(child: &ChildProcess) -> String {
    let args = child.spawn_args().iter();
    let args: Vec<_> = args.map(|arg| arg.display().to_string()).collect();
    format!("{} {}", child.spawn_file().display(), args.join(" "))
}

pub(super) fn events() -> Result<(), Error> {
    let options = stdio([Stdio::Pipe, Stdio::Pipe, Stdio::Inherit]);
    let c = child_process::spawn_with("sh", ["-c", "cat; exit 3"], options)?;
    println!(
        "{} {} {} {} {} {} {}",
        type_of(c.pid()),
        shown(c.exit_code()),
        named(c.signal_code()),
        c.is_killed(),
        shown(c.stderr().map(|_| "a stream")),
        c.spawn_file().display(),
        args_of(&c),
    );
    let has_ended = Rc::new(Cell::new(false));
    c.on_spawn(|_| println!("spawn"));
    next_tick(say("tick"));
    queue_microtask(say("micro"));
    let stdin = c.stdin().expect("it is a pipe");
    stdin.on_finish(|_| println!("stdin finish"));
    let stdout = c.stdout().expect("it is a pipe");
    stdout.on_data(|_, d| println!("data {}", text(d)));
    let tell = Rc::clone(&has_ended);
    c.on_exit(move |_, n, s| tell.set(n == Some(3) && s.is_none()));
    c.on_close(move |c, n, s| {
        let (has_ended, killed) = (has_ended.get(), c.is_killed());
        let (code, signal) = (shown(c.exit_code()), named(c.signal_code()));
        let kill = c.kill(15)?;
        println!(
            "close {} {} {has_ended} {code} {signal} {killed} {kill}",
            shown(n),
            named(s)
        );
        Ok::<_, Error>(())
    });
    stdin.end_with("hello");
    Ok(())
}

pub(super) fn not_found() -> Result<(), Error> {
    let c = child_process::spawn("/nowhere/program", ["a", "b"])?;
    println!(
        "{} {} {} {}",
        type_of(c.pid()),
        c.stdin().is_some(),
        c.stdout().is_some(),
        shown(c.exit_code())
    );
    next_tick(say("tick"));
    set_immediate(say("immediate"));
    c.on_spawn(|_| println!("spawn"));
    c.on_exit(|_, _, _| println!("exit"));
    c.on_error(|c, e| {
        let (code, errno) = (shown(e.code()), shown(e.errno()));
        println!(
            "error {} {code} {errno} {}",
            e.message(),
            shown(c.exit_code())
        );
        next_tick(say("tick of error"));
    });
    c.on_close(|c, n, s| {
        println!("close {} {} {}", shown(n), named(s), c.kill(15)?);
        Ok::<_, Error>(())
    });
    let stdin = c.stdin().expect("there is one all the same");
    stdin.on_close(|_, _| println!("stdin close"));
    Ok(())
}

pub(super) fn kill() -> Result<(), Error> {
    let c = child_process::spawn_with("sleep", ["60"], ignored())?;
    let streams = [c.stdin(), c.stdout()].map(|stream| shown(stream.map(|_| "a stream")));
    print!("{} {} ", streams[0], streams[1]);
    print!("{} {} ", c.kill(0)?, c.is_killed());
    print!("{} {} ", c.kill(15)?, c.is_killed());
    println!("{} {}", shown(c.exit_code()), named(c.signal_code()));
    c.on_spawn(|_| println!("spawn"));
    c.on_exit(|c, n, s| {
        let (code, signal) = (shown(c.exit_code()), named(c.signal_code()));
        println!(
            "exit {} {} {code} {signal} {}",
            shown(n),
            named(s),
            c.kill(15)?
        );
        next_tick(say("tick of exit"));
        queue_microtask(say("micro of exit"));
        Ok::<_, Error>(())
    });
    c.on_close(|_, n, s| println!("close {} {}", shown(n), named(s)));
    Ok(())
}

/// `JSON.stringify(text)`, for what these programs print.
fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", text(bytes))
}

pub(super) fn exec_and_exec_file() -> Result<(), Error> {
    exec("echo out; echo err >&2", |e, o, r| {
        println!("{} {} {}", shown(e.err()), quoted(o), quoted(r));
        exec("echo out; echo err >&2; exit 2", |e, o, r| {
            let e = e.unwrap_err();
            let message = quoted(e.error.message().as_bytes());
            print!("{message} {} {} ", shown(e.exit_code), e.killed);
            println!("{} {} {} {}", named(e.signal), e.cmd, quoted(o), quoted(r));
            exec_file("sh", ["-c", "kill -9 $$"], |e, _, _| {
                let e = e.unwrap_err();
                let message = quoted(e.error.message().as_bytes());
                print!("{message} {} {} ", shown(e.exit_code), e.killed);
                println!("{} {}", named(e.signal), e.cmd);
                exec_file("/nowhere/program", ["a"], |e, o, _| {
                    let e = e.unwrap_err();
                    let code = shown(e.error.code());
                    println!("{e} {code} undefined {} {}", e.cmd, quoted(o));
                })
            })
        })
    })
    .map(drop)
}

fn at_most(max_buffer: usize) -> ExecOptions {
    ExecOptions {
        max_buffer,
        ..ExecOptions::default()
    }
}

pub(super) fn exec_limits() -> Result<(), Error> {
    let print = |e: ExecError, o: &[u8]| {
        let code = shown(e.error.code());
        println!("{e} {code} undefined {} {}", e.cmd, quoted(o));
    };
    child_process::exec_file_with("seq", ["100000"], at_most(10), move |e, o, _| {
        print(e.unwrap_err(), o);
        let mut options = ExecOptions::default();
        options.spawn.timeout_ms = 300.0;
        child_process::exec_with("echo begun; exec sleep 60", options, |e, o, _| {
            let e = e.unwrap_err();
            let message = quoted(e.error.message().as_bytes());
            print!("{message} {} {} ", shown(e.exit_code), e.killed);
            println!("{} {}", named(e.signal), quoted(o));
            child_process::exec_with("printf 12345", at_most(5), |e, o, _| {
                println!("{} {}", shown(e.err()), text(o));
            })
        })
    })
    .map(drop)
}

pub(super) fn abort() -> Result<(), Error> {
    let a = AbortController::new();
    let options = SpawnOptions {
        signal: Some(a.signal().clone()),
        kill_signal: SIGUSR2,
        ..ignored()
    };
    let c = child_process::spawn_with("sleep", ["60"], options)?;
    c.on_error(|c, e| println!("error AbortError {} {}", shown(e.code()), c.is_killed()));
    let again = a.clone();
    c.on_exit(move |_, n, s| {
        println!("exit {} {}", shown(n), named(s));
        again.abort();
    });
    c.on_close(|_, n, s| {
        println!("close {} {}", shown(n), named(s));
        let mut options = ExecOptions::default();
        options.spawn.signal = Some(AbortSignal::aborted());
        child_process::exec_file_with("sleep", ["60"], options, |e, o, _| {
            let e = e.unwrap_err();
            println!("{} {} {}", shown(e.error.code()), e.cmd, quoted(o));
        })
    });
    set_immediate(move || {
        println!("abort");
        a.abort();
        println!("aborted");
    });
    Ok(())
}

pub(super) fn unref() -> Result<(), Error> {
    let options = SpawnOptions {
        detached: true,
        ..ignored()
    };
    let c = child_process::spawn_with("sleep", ["2"], options)?;
    c.on_exit(|_, _, _| println!("exit"));
    c.unref();
    process::on_exit(move |n| println!("exit of the program {n} {}", shown(c.exit_code())));
    Ok(())
}

pub(super) fn half_closed() -> Result<(), Error> {
    let options = stdio([Stdio::Pipe, Stdio::Pipe, Stdio::Ignore]);
    let script = "exec >&-; read line; exit 5";
    let c = child_process::spawn_with("sh", ["-c", script], options)?;
    let stdin = c.stdin().expect("it is a pipe");
    let stdout = c.stdout().expect("it is a pipe");
    let child = c.clone();
    stdout.on_end(move |_| {
        println!("end {}", shown(child.exit_code()));
        child.stdin().expect("it is a pipe").write("line\n");
    });
    stdout.on_data(|_, _| {});
    stdout.on_close(|_, _| println!("stdout close"));
    c.on_exit(|c, n, s| {
        let is_destroyed = c.stdin().is_some_and(|stdin| stdin.is_destroyed());
        println!("exit {} {} {is_destroyed}", shown(n), named(s));
    });
    c.on_close(|_, n, s| println!("close {} {}", shown(n), named(s)));
    stdin.on_close(|_, had_error| println!("stdin close {had_error}"));
    Ok(())
}
