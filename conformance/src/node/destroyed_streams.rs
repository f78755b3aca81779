//! Streams of files that are destroyed: before they are open, while they are open, and later.

use super::files::{remove, temp_dir};
use super::{say, throw};
use oneloop::callback::fs::{self, Error};
use oneloop::callback::process::on_uncaught_exception;
use oneloop::callback::stream::{ReadStream, WriteStream, event};
use oneloop::callback::{Thrown, next_tick, queue_microtask, set_timeout};
use std::path::PathBuf;
use std::rc::Rc;

type Continue = Result<(), Thrown>;

/// The directory of a program.
#[derive(Clone)]
struct Directory {
    d: Rc<PathBuf>,
}

/// The scenarios of a program, which run one after the other.
type Scenario = (&'static str, fn(&Directory));

impl Directory {
    fn new() -> std::io::Result<Self> {
        let d = temp_dir()?;
        std::fs::write(d.join("a"), "abcdefghij")?;
        Ok(Directory { d: Rc::new(d) })
    }

    /// `const show=e=>…`
    fn show(&self, message: &str, code: Option<&str>) -> String {
        let message = message.replace(&*self.d.to_string_lossy(), "D");
        code.map_or_else(|| message.clone(), |code| format!("{code} {message}"))
    }

    fn show_error(&self, error: &Error) -> String {
        self.show(error.message(), error.code())
    }

    /// `tell(name)`
    fn tell(&self, name: &'static str) -> impl FnOnce(Result<(), Error>) + 'static {
        let place = self.clone();
        move |result| match result {
            Ok(()) => println!("{name} no error"),
            Err(error) => println!("{name} {}", place.show_error(&error)),
        }
    }

    fn read_silently(&self, name: &str) -> ReadStream {
        fs::create_read_stream(self.d.join(name))
    }

    fn write_silently(&self, name: &str) -> WriteStream {
        fs::create_write_stream(self.d.join(name))
    }

    /// `read(name)`
    fn read(&self, name: &str) -> ReadStream {
        let r = self.read_silently(name);
        let place = self.clone();
        r.on_open(|_| println!("open"));
        r.on_ready(|_| println!("ready"));
        r.on_data(|_, _| println!("data"));
        r.on_end(|_| println!("end"));
        r.on_error(move |_, e| println!("error {}", place.show_error(e)));
        r.on_close(|r| println!("close {}", r.is_destroyed()));
        r
    }

    /// `write(name)`
    fn write(&self, name: &str) -> WriteStream {
        let w = self.write_silently(name);
        let place = self.clone();
        w.on_open(|_| println!("open"));
        w.on_ready(|_| println!("ready"));
        w.on_finish(|_| println!("finish"));
        w.on_error(move |_, e| println!("error {}", place.show_error(e)));
        w.on_close(|w| println!("close {}", w.is_destroyed()));
        w
    }
}

/// Runs scenarios one after the other: each has 200 ms.
fn run(place: Directory, scenarios: &'static [Scenario]) -> Continue {
    let Some(((name, scenario), rest)) = scenarios.split_first() else {
        return remove(&place.d);
    };
    println!("-- {name}");
    scenario(&place);
    set_timeout(move || run(place, rest), 200);
    Ok(())
}

pub(super) fn read_stream() -> Continue {
    run(
        Directory::new()?,
        &[
            ("missing, for an error", |p| {
                p.read("none").destroy_with("own");
            }),
            ("there, for an error", |p| {
                p.read("a").destroy_with("own");
            }),
            ("missing", |p| {
                p.read("none").destroy();
            }),
            ("there", |p| {
                p.read("a").destroy();
            }),
            ("a directory, for an error", |p| {
                p.read(".").destroy_with("own");
            }),
            ("missing, in a tick", |p| {
                let r = p.read("none");
                next_tick(move || {
                    r.destroy_with("own");
                });
            }),
            ("there, in a tick", |p| {
                let r = p.read("a");
                next_tick(move || {
                    r.destroy_with("own");
                });
            }),
            ("in open", |p| {
                p.read("a").on_open(|r| {
                    r.destroy_with("own");
                    next_tick(say("tick"));
                });
            }),
            ("in ready", |p| {
                p.read("a").on_ready(|r| {
                    r.destroy_with("own");
                });
            }),
            ("in data", |p| {
                p.read("a").on_data(|r, _| {
                    r.destroy_with("own");
                    next_tick(say("tick"));
                });
            }),
            ("in end", |p| {
                p.read("a").on_end(|r| {
                    r.destroy_with("own");
                });
            }),
            ("in close", |p| {
                p.read("a").on_close(|r| {
                    r.destroy_with("own");
                });
            }),
            ("twice", |p| {
                p.read("a").destroy_with("own").destroy_with("other");
            }),
            ("and then for an error", |p| {
                p.read("a").destroy().destroy_with("own");
            }),
            ("missing, and then for an error", |p| {
                p.read("none").destroy().destroy_with("own");
            }),
            ("missing, in error", |p| {
                p.read("none").on_error(|r, _| {
                    r.destroy_with("own");
                    next_tick(say("tick"));
                });
            }),
            ("in error", |p| {
                let r = p.read("a");
                r.on_error(|r, _| {
                    r.destroy_with("other");
                    next_tick(say("tick"));
                    queue_microtask(say("micro"));
                });
                r.destroy_with("own");
            }),
        ],
    )
}

pub(super) fn write_stream() -> Continue {
    run(
        Directory::new()?,
        &[
            ("missing, for an error", |p| {
                p.write("none/b").destroy_with("own");
            }),
            ("there, for an error", |p| {
                p.write("b").destroy_with("own");
            }),
            ("missing", |p| {
                p.write("none/b").destroy();
            }),
            ("there", |p| {
                p.write("b").destroy();
            }),
            ("not there before", |p| {
                let d = Rc::clone(&p.d);
                let w = p.write("new");
                w.on_close(move |_| println!("{}", d.join("new").exists()));
                w.destroy();
            }),
            ("written, there", |p| {
                let w = p.write("b");
                w.write_then("x", p.tell("x"));
                w.end_then(p.tell("end"));
                w.destroy();
                next_tick(say("tick"));
            }),
            ("written, there, for an error", |p| {
                let w = p.write("b");
                w.write_then("x", p.tell("x"));
                w.write_then("y", p.tell("y"));
                w.end_then(p.tell("end"));
                w.destroy_with("own");
            }),
            ("written, missing", |p| {
                let w = p.write("none/b");
                w.write_then("x", p.tell("x"));
                w.end_then(p.tell("end"));
                w.destroy();
            }),
            ("written, missing, for an error", |p| {
                let w = p.write("none/b");
                w.write_then("x", p.tell("x"));
                w.destroy_with("own");
            }),
            ("in a tick", |p| {
                let w = p.write("b");
                next_tick(move || {
                    w.destroy_with("own");
                });
            }),
            ("in open", |p| {
                p.write("b").on_open(|w| {
                    w.destroy_with("own");
                });
            }),
            ("written, in open", |p| {
                let w = p.write("b");
                w.write_then("x", p.tell("x"));
                w.on_open(|w| {
                    w.destroy_with("own");
                });
            }),
            ("written, in ready", |p| {
                let place = p.clone();
                p.write("b").on_ready(move |w| {
                    w.write_then("x", place.tell("x"));
                    w.destroy();
                });
            }),
            ("when written", |p| {
                let (w, tell) = (p.write("b"), p.tell("x"));
                let inside = w.clone();
                w.write_then("x", move |written| {
                    tell(written);
                    inside.destroy_with("own");
                });
            }),
            ("in finish", |p| {
                let w = p.write("b");
                w.end_with("x");
                w.on_finish(|w| {
                    w.destroy_with("own");
                });
            }),
            ("in close", |p| {
                let w = p.write("b");
                w.end_with("x");
                w.on_close(|w| {
                    w.destroy_with("own");
                });
            }),
            ("twice", |p| {
                p.write("b").destroy_with("own").destroy_with("other");
            }),
            ("in error", |p| {
                let w = p.write("b");
                w.on_error(|w, _| {
                    w.destroy_with("other");
                });
                w.destroy_with("own");
            }),
            ("ended, missing", |p| {
                p.write("none/b").end();
            }),
            ("written afterwards", |p| {
                let w = p.write("b");
                w.destroy_with("own");
                println!("{}", w.write_then("x", p.tell("x")));
                w.end_then(p.tell("end"));
            }),
            ("written after the end", |p| {
                let w = p.write("b");
                w.end_with("x");
                w.write_then("y", p.tell("y"));
            }),
            ("written after the end, missing", |p| {
                let w = p.write("none/b");
                w.end_with("x");
                w.write_then("y", p.tell("y"));
            }),
        ],
    )
}

/// Passes an open file to a function.
fn while_open(p: &Directory, use_it: fn(&Directory, &WriteStream)) {
    let w = p.write_silently("b");
    w.on_finish(|_| println!("finish"));
    let place = p.clone();
    w.on_error(move |_, e| println!("error {}", place.show_error(e)));
    let d = Rc::clone(&p.d);
    w.on_close(move |w| {
        let written = std::fs::read_to_string(d.join("b"))?;
        println!("close {} {written}", w.bytes_written());
        std::io::Result::Ok(())
    });
    let place = p.clone();
    w.on_ready(move |w| {
        let place = place.clone();
        let later = move || {
            use_it(&place, &w);
            next_tick(say("tick"));
        };
        set_timeout(later, 20);
    });
}

pub(super) fn while_written() -> Continue {
    run(
        Directory::new()?,
        &[
            ("plain", |p| {
                while_open(p, |p, w| {
                    w.write_then("x", p.tell("x"));
                    w.write_then("y", p.tell("y"));
                    w.destroy();
                });
            }),
            ("for an error", |p| {
                while_open(p, |p, w| {
                    w.write_then("x", p.tell("x"));
                    w.write_then("y", p.tell("y"));
                    w.end_then(p.tell("end"));
                    w.destroy_with("own");
                });
            }),
            ("without callbacks", |p| {
                while_open(p, |_, w| {
                    w.write("x");
                    w.destroy();
                });
            }),
            ("after the end", |p| {
                while_open(p, |p, w| {
                    w.write_then("x", p.tell("x"));
                    w.end_with("z");
                    w.write_then("y", p.tell("y"));
                });
            }),
            ("twice", |p| {
                while_open(p, |p, w| {
                    w.write_then("x", p.tell("x"));
                    w.destroy().destroy_with("own");
                });
            }),
            ("idle", |p| {
                while_open(p, |_, w| {
                    w.destroy();
                });
            }),
            ("idle, for an error", |p| {
                while_open(p, |_, w| {
                    w.destroy_with("own");
                });
            }),
        ],
    )
}

fn reading(p: &Directory, name: &str) -> ReadStream {
    let r = p.read_silently(name);
    r.on_open(|_| println!("open"));
    r.on_ready(|_| println!("ready"));
    r.on_data(|_, _| println!("data"));
    r.on_close(|_| println!("close"));
    r
}

fn writing(p: &Directory, name: &str) -> WriteStream {
    let w = p.write_silently(name);
    w.on_open(|_| println!("open"));
    w.on_ready(|_| println!("ready"));
    w.on_close(|_| println!("close"));
    w
}

pub(super) fn unheard_errors() -> Continue {
    let place = Directory::new()?;
    let shown = place.clone();
    on_uncaught_exception(move |e, _| {
        let error = e.error().and_then(|error| error.downcast_ref::<Error>());
        let code = error.and_then(|error| error.code());
        println!("uncaught {}", shown.show(e.message(), code));
    });
    run(
        place,
        &[
            ("0", |p| drop(reading(p, "none"))),
            ("1", |p| {
                reading(p, "a").destroy_with("own");
            }),
            ("2", |p| {
                reading(p, "none").destroy();
            }),
            ("3", |p| drop(writing(p, "none/b"))),
            ("4", |p| {
                writing(p, "none/b").destroy();
            }),
            ("5", |p| {
                writing(p, "b").destroy_with("own");
            }),
            ("6", |p| {
                let r = reading(p, "a");
                r.on_error(|_, _| throw("in error")());
                r.destroy_with("own");
            }),
            ("7", |p| {
                let (w, place) = (writing(p, "none/b"), p.clone());
                w.on_error(move |_, e| println!("error {}", place.show_error(e)));
                w.write_then("x", |_| throw("in x")());
                w.write_then("y", |_| println!("no"));
            }),
            ("8", |p| {
                let r = p.read_silently("a");
                r.on_open(|_| throw("in open")());
                r.on_ready(|_| println!("no"));
                r.on_data(|_, _| println!("data"));
                r.on_close(|_| println!("close"));
            }),
        ],
    )
}

/// Prints the result of each write.
fn written(p: &Directory, name: &str) -> WriteStream {
    let (w, place) = (p.write_silently(name), p.clone());
    w.on_open(|_| println!("w open"));
    w.on_finish(|_| println!("w finish"));
    w.on(event::Unpipe, |_| println!("w unpipe"));
    w.on_error(move |_, e| println!("w error {}", place.show_error(e)));
    w.on_close(|_| println!("w close"));
    w
}

/// Prints the end of a stream that is read.
fn read(p: &Directory, name: &str) -> ReadStream {
    let (r, place) = (p.read_silently(name), p.clone());
    r.on_error(move |_, e| println!("r error {}", place.show_error(e)));
    r.on_close(|_| println!("r close"));
    r
}

pub(super) fn piped() -> Continue {
    run(
        Directory::new()?,
        &[
            ("0", |p| {
                let w = written(p, "b");
                read(p, "a").pipe(&w);
                w.destroy_with("own");
            }),
            ("1", |p| {
                let (r, w) = (read(p, "none"), written(p, "b"));
                r.pipe(&w);
                set_timeout(
                    move || {
                        w.destroy();
                    },
                    30,
                );
            }),
            ("2", |p| {
                let r = read(p, "a");
                r.pipe(&written(p, "none/b"));
                set_timeout(
                    move || {
                        r.destroy_with("own");
                    },
                    30,
                );
            }),
        ],
    )
}

fn end(p: &Directory, w: &WriteStream) {
    w.end_then(p.tell("one"));
    w.end_then(p.tell("two"));
    w.write_then("x", p.tell("x"));
}

fn end_in_close(p: &Directory, w: &WriteStream) {
    let place = p.clone();
    w.on_close(move |w| end(&place, &w));
}

pub(super) fn end_after_destroy() -> Continue {
    run(
        Directory::new()?,
        &[
            ("there", |p| end(p, p.write("b").destroy())),
            ("missing", |p| end(p, p.write("none/b").destroy())),
            ("for an error", |p| end(p, p.write("b").destroy_with("own"))),
            ("in open", |p| {
                let place = p.clone();
                p.write("b").on_open(move |w| end(&place, w.destroy()));
            }),
            ("in close", |p| {
                let w = p.write("b");
                end_in_close(p, &w);
                w.destroy();
            }),
            ("in close, for an error", |p| {
                let w = p.write("b");
                end_in_close(p, &w);
                w.destroy_with("own");
            }),
            ("in close, missing", |p| end_in_close(p, &p.write("none/b"))),
            ("written", |p| {
                let w = p.write("b");
                w.write_then("y", p.tell("y"));
                end(p, w.destroy());
            }),
            ("written, and nobody hears", |p| {
                let w = p.write("b");
                w.write("y");
                end(p, w.destroy());
            }),
            ("written, in the next tick", |p| {
                let (w, place) = (p.write("b"), p.clone());
                w.write_then("y", p.tell("y"));
                w.destroy();
                next_tick(move || end(&place, &w));
            }),
            ("written, in open", |p| {
                let place = p.clone();
                p.write("b").on_open(move |w| {
                    w.write_then("y", place.tell("y"));
                    w.write_then("z", place.tell("z"));
                    end(&place, w.destroy());
                });
            }),
            ("ended before", |p| {
                let w = p.write("b");
                w.end_then(p.tell("before"));
                end(p, w.destroy());
            }),
            ("finished before", |p| {
                let (w, place) = (p.write("b"), p.clone());
                w.on_finish(move |w| end(&place, w.destroy()));
                w.end();
            }),
        ],
    )
}

pub(super) fn resume_and_pause() -> Continue {
    fn read(p: &Directory) -> ReadStream {
        let r = p.read_silently("a");
        r.on(event::Pause, |_: ReadStream| println!("pause"));
        r.on(event::Resume, |_: ReadStream| println!("resume"));
        r.on_end(|_| println!("end"));
        r.on_close(|_| println!("close"));
        r
    }
    fn destroy_later(r: &ReadStream) {
        let r = r.clone();
        let destroy = move || {
            r.destroy();
        };
        set_timeout(destroy, 20);
    }
    run(
        Directory::new()?,
        &[
            ("paused", |p| destroy_later(read(p).resume().pause())),
            ("paused twice", |p| {
                destroy_later(read(p).resume().pause().resume().pause());
            }),
            ("paused, and resumed", |p| {
                read(p).resume().pause().resume();
            }),
            ("given up", |p| {
                read(p).resume().destroy();
            }),
        ],
    )
}

pub(super) fn read_by_calls() -> Continue {
    fn show(b: Option<Vec<u8>>) -> String {
        b.map_or("null".to_owned(), |b| {
            String::from_utf8_lossy(&b).into_owned()
        })
    }
    fn flowing(r: &ReadStream) -> String {
        r.readable_flowing()
            .map_or("null".to_owned(), |flowing| flowing.to_string())
    }
    fn listen(r: ReadStream) -> ReadStream {
        r.on(event::Pause, |_: ReadStream| println!("pause"));
        r.on(event::Resume, |_: ReadStream| println!("resume"));
        r.on_end(|_| println!("end"));
        r.on_close(|_| println!("close"));
        r
    }
    fn read(p: &Directory) -> ReadStream {
        listen(p.read_silently("a"))
    }
    run(
        Directory::new()?,
        &[
            ("all", |p| {
                read(p).on_readable(|r| println!("readable {}", show(r.read())));
            }),
            ("in pieces", |p| {
                read(p).on_readable(|r| {
                    println!("readable {}", r.readable_length());
                    while let Some(b) = r.read_bytes(4) {
                        println!("{}", show(Some(b)));
                    }
                });
            }),
            ("beyond the mark", |p| {
                let options = fs::ReadStreamOptions {
                    high_water_mark: Some(4),
                    ..Default::default()
                };
                let r = fs::create_read_stream_with(p.d.join("a"), options);
                listen(r).on_readable(|r| {
                    println!("readable {}", r.readable_length());
                    while let Some(b) = r.read_bytes(6) {
                        println!("{} {}", show(Some(b)), r.readable_high_water_mark());
                    }
                });
            }),
            ("once, and then flowing", |p| {
                let r = read(p);
                println!("{} {}", show(r.read()), flowing(&r));
                r.once(event::Readable, |r: ReadStream| {
                    let b = show(r.read_bytes(3));
                    println!("once {b} {} {}", r.readable_length(), flowing(&r));
                    r.resume();
                });
            }),
            ("with data", |p| {
                let r = read(p);
                r.on_data(|_, b| println!("data {}", show(Some(b.to_vec()))));
                r.on_readable(|r| {
                    println!("readable {}", flowing(&r));
                    r.read_bytes(6);
                    r.read();
                });
            }),
            ("the listener is removed", |p| {
                let r = read(p);
                let f = r.on(event::Readable, |_: ReadStream| println!("never"));
                r.off(f);
                r.on_data(|_, b| println!("data {}", show(Some(b.to_vec()))));
            }),
        ],
    )
}

pub(super) fn finish_of_a_file() -> Continue {
    fn listen(p: &Directory) -> WriteStream {
        let w = p.write_silently("a");
        w.on(event::Prefinish, |_: WriteStream| println!("prefinish"));
        w.on_finish(|_| println!("finish"));
        w.on_close(|_| println!("close"));
        w
    }
    fn write(p: &Directory, then: fn(WriteStream)) {
        let w = listen(p);
        w.on_error(|_, e| println!("{}", e.code().unwrap_or_default()));
        w.on_ready(move |w| {
            set_timeout(move || then(w), 20);
        });
    }
    run(
        Directory::new()?,
        &[
            ("nothing written", |p| {
                write(p, |w| {
                    w.end();
                    println!("ended {}", w.is_writable_finished());
                    w.on_finish(|_| println!("finish, heard late"));
                    next_tick(|| println!("tick"));
                });
            }),
            ("a tick of a callback", |p| {
                write(p, |w| {
                    w.write_then("a", |_| {
                        println!("written");
                        next_tick(|| println!("tick"));
                    });
                    w.end_then(|_| println!("end called back"));
                });
            }),
            ("ended in a callback", |p| {
                write(p, |w| {
                    let ended = w.clone();
                    w.write_then("a", move |_| {
                        ended.end();
                        println!("ended");
                        next_tick(|| println!("tick"));
                    });
                });
            }),
            ("written after the end", |p| {
                write(p, |w| {
                    let late = w.clone();
                    next_tick(move || println!("{}", late.write("late")));
                    w.end();
                });
            }),
            ("ended with no bytes", |p| {
                write(p, |w| {
                    w.end_with("");
                    println!("{}", w.writable_length());
                    next_tick(|| println!("tick"));
                });
            }),
            ("destroyed in prefinish", |p| {
                write(p, |w| {
                    w.on(event::Prefinish, |w: WriteStream| {
                        w.destroy();
                    });
                    w.end_with("a");
                });
            }),
        ],
    )
}
