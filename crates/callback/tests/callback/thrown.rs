//! An uncaught error says where it was thrown.

use oneloop::callback::fs::{self, create_read_stream};
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::stream::{ReadStream, WriteStream};
use oneloop::callback::{next_tick, run_on, set_interval_with_self, set_timeout, spawn_micro};
use oneloop::{EventLoop, Options};
use std::cell::RefCell;
use std::io;
use std::num::ParseIntError;
use std::rc::Rc;

type Main = fn() -> io::Result<()>;

/// The error that a callback of a program throws, with its place.
fn stack_of(main: Main) -> String {
    let stack = Rc::new(RefCell::new(String::new()));
    let thrown = Rc::clone(&stack);
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let run = run_on(&mut event_loop, move || {
        on_uncaught_exception(move |error, _| *thrown.borrow_mut() = error.stack());
        main()
    });
    run.unwrap();
    stack.take()
}

fn fail() -> Result<(), ParseIntError> {
    "12a".parse::<u32>().map(drop)
}

fn in_main() -> io::Result<()> {
    Err(io::Error::other("invalid digit found in string"))
}

fn in_a_timer() -> io::Result<()> {
    set_timeout(fail, 1);
    Ok(())
}

fn in_an_interval() -> io::Result<()> {
    set_interval_with_self(
        |timer| {
            timer.close();
            fail()
        },
        1,
    );
    Ok(())
}

fn in_a_tick() -> io::Result<()> {
    next_tick(|| fail().map_err(io::Error::other));
    Ok(())
}

fn in_a_promise() -> io::Result<()> {
    drop(spawn_micro(async { fail() }));
    Ok(())
}

fn in_the_end_of_a_call() -> io::Result<()> {
    fs::stat("/", |_| fail());
    Ok(())
}

fn pipe_with_a_line() -> io::Result<ReadStream> {
    let (reader, writer) = io::pipe()?;
    WriteStream::from_fd(writer)?.end_with("a line\n");
    ReadStream::from_fd(reader)
}

fn in_a_listener() -> io::Result<()> {
    pipe_with_a_line()?.on_data(|_, _| fail());
    Ok(())
}

fn in_a_listener_of_lines() -> io::Result<()> {
    pipe_with_a_line()?.on_lines(80, |_, _| fail());
    Ok(())
}

#[test]
fn an_uncaught_error_names_the_function_around_the_callback_that_threw_it() {
    let programs: [(Main, &str); 8] = [
        (in_main, "stack_of::{{closure}}"),
        (in_a_timer, "fail"),
        (in_an_interval, "in_an_interval::{{closure}}"),
        (in_a_tick, "in_a_tick::{{closure}}"),
        (in_a_promise, "in_a_promise::{{closure}}"),
        (in_the_end_of_a_call, "in_the_end_of_a_call::{{closure}}"),
        (in_a_listener, "in_a_listener::{{closure}}"),
        (
            in_a_listener_of_lines,
            "in_a_listener_of_lines::{{closure}}",
        ),
    ];
    for (program, place) in programs {
        let expected = format!("invalid digit found in string\n    at callback::thrown::{place}");
        assert_eq!(stack_of(program), expected);
    }
}

#[test]
fn an_error_without_a_listener_names_its_event() {
    let stack = stack_of(|| {
        create_read_stream("/no/such/file");
        Ok(())
    });
    let expected = "ENOENT: no such file or directory, open '/no/such/file'\n    \
                    at oneloop::callback::stream::event::Error, which has no listener";
    assert_eq!(stack, expected);
}
