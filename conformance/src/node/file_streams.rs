//! `fs.createReadStream` and `fs.createWriteStream`: their events, in which order, and their
//! failures.

use super::files::{remove, temp_dir};
use super::say;
use oneloop::callback::fs::{self, Error, ReadStreamOptions, WriteStreamOptions};
use oneloop::callback::stream::{ReadStream, WriteStream, event};
use oneloop::callback::{Thrown, next_tick, queue_microtask, set_timeout};
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;

type Continue = Result<(), Thrown>;

pub(super) fn read_stream() -> Continue {
    let d = temp_dir()?;
    std::fs::write(d.join("a"), "abcdefghij")?;
    let options = ReadStreamOptions {
        high_water_mark: Some(4),
        start: Some(1),
        end: Some(8),
        ..Default::default()
    };
    let r = fs::create_read_stream_with(d.join("a"), options);
    r.on_open(|_| {
        println!("open");
        next_tick(say("tick of open"));
    });
    r.on_ready(|_| println!("ready"));
    r.on(event::Resume, |_| println!("resume"));
    r.on(event::Pause, |_| println!("pause"));
    let first = Cell::new(true);
    r.on_data(move |r, b| {
        println!("data {} {}", String::from_utf8_lossy(b), r.bytes_read());
        if first.replace(false) {
            next_tick(say("tick of data"));
            queue_microtask(say("micro of data"));
            r.pause();
            println!("{}", r.is_paused());
            let go_on = move || {
                println!("timeout");
                r.resume();
            };
            set_timeout(go_on, 30);
        }
    });
    r.on_end(|r| {
        println!("end {}", r.is_destroyed());
        next_tick(say("tick of end"));
    });
    r.on_close(move |r| {
        println!("close {} {}", r.is_destroyed(), r.bytes_read());
        let backwards = ReadStreamOptions {
            start: Some(5),
            end: Some(1),
            ..Default::default()
        };
        fs::create_read_stream_with(d.join("a"), backwards)
            .on_error(|_, e| println!("{} {}", e.code().unwrap_or_default(), e.message()));
        let e = fs::create_read_stream(d.join("a"));
        e.on_data(|_, _| println!("never"));
        e.on_end(|_| println!("never"));
        let d = d.clone();
        e.on_close(move |e| {
            println!("closed {}", e.is_destroyed());
            remove(&d)
        });
        e.on_open(|e| {
            e.destroy();
        });
    });
    println!("main");
    Ok(())
}

pub(super) fn write_stream() -> Continue {
    let d = temp_dir()?;
    let w = fs::create_write_stream(d.join("a"));
    w.on_open(|_| println!("open"));
    w.on_ready(|_| println!("ready"));
    w.on_drain(|w| println!("drain {}", w.writable_length()));
    w.on_finish(|w| println!("finish {} {}", w.bytes_written(), w.is_destroyed()));
    println!("{} {}", w.write("hello"), w.writable_length());
    let is_little = w.write_then("x".repeat(20_000), |_| println!("written"));
    println!("{is_little} {}", w.writable_length());
    w.on_drain(|w| {
        w.write(" and so on");
        w.end_then(|_| println!("end"));
    });
    w.on_close(move |w| {
        let size = std::fs::metadata(d.join("a"))?.len();
        println!("close {} {size}", w.is_destroyed());
        append(d.clone())
    });
    println!("main");
    Ok(())
}

fn append(d: PathBuf) -> Continue {
    let options = WriteStreamOptions {
        flags: Some("a"),
        ..Default::default()
    };
    let a = fs::create_write_stream_with(d.join("a"), options);
    a.end_with("more");
    a.on_close(move |_| {
        println!("{}", std::fs::metadata(d.join("a"))?.len());
        write_amid(d.clone())
    });
    Ok(())
}

fn write_amid(d: PathBuf) -> Continue {
    let options = WriteStreamOptions {
        flags: Some("r+"),
        start: Some(2),
        ..Default::default()
    };
    let i = fs::create_write_stream_with(d.join("a"), options);
    i.end_with("LL");
    i.on_close(move |_| {
        println!("{}", &std::fs::read_to_string(d.join("a"))?[..6]);
        pipe(d.clone());
        Continue::Ok(())
    });
    Ok(())
}

fn pipe(d: PathBuf) {
    let c = fs::create_write_stream(d.join("b"));
    c.on_pipe(|_, _| println!("pipe"));
    c.on_unpipe(|_, _| println!("unpipe"));
    c.on_finish(|c| println!("piped {}", c.bytes_written()));
    let from = d.join("a");
    c.on_close(move |_| {
        println!(
            "{}",
            std::fs::read(d.join("a"))? == std::fs::read(d.join("b"))?
        );
        remove(&d)
    });
    fs::create_read_stream(from).pipe(&c);
}

/// `code message`, with `D` for the directory.
fn shown(e: &Error, d: &str) -> String {
    let message = e.message().replace(d, "D");
    format!("{} {message}", e.code().unwrap_or_default())
}

/// Prints an error with a name before it.
fn tell(name: &'static str, d: &str) -> impl FnOnce(Result<(), Error>) + 'static {
    let d = d.to_owned();
    move |result| match result {
        Ok(()) => println!("{name} undefined"),
        Err(e) => println!("{name} {}", shown(&e, &d)),
    }
}

fn listen_reading(name: &'static str, r: ReadStream, d: &str) -> ReadStream {
    let d = d.to_owned();
    r.on_open(move |_| println!("{name} open"));
    r.on_ready(move |_| println!("{name} ready"));
    r.on_data(move |_, _| println!("{name} data"));
    r.on_end(move |_| println!("{name} end"));
    r.on_error(move |_, e| {
        let syscall = e.syscall().unwrap_or("undefined");
        println!("{name} error {} {syscall}", shown(e, &d));
    });
    r.on_close(move |r| println!("{name} close {}", r.is_destroyed()));
    r
}

fn listen_writing(name: &'static str, w: WriteStream, d: &str) -> WriteStream {
    let d = d.to_owned();
    w.on_open(move |_| println!("{name} open"));
    w.on_ready(move |_| println!("{name} ready"));
    w.on_finish(move |_| println!("{name} finish"));
    w.on_error(move |_, e| {
        let syscall = e.syscall().unwrap_or("undefined");
        println!("{name} error {} {syscall}", shown(e, &d));
    });
    w.on_close(move |w| println!("{name} close {}", w.is_destroyed()));
    w
}

pub(super) fn errors() -> Continue {
    let d = temp_dir()?;
    let name: Rc<str> = d.display().to_string().into();
    let r = listen_reading("r", fs::create_read_stream(d.join("none")), &name);
    r.on_close(move |_| not_there(d.clone(), Rc::clone(&name)));
    Ok(())
}

fn not_there(d: PathBuf, name: Rc<str>) {
    let w = listen_writing("w", fs::create_write_stream(d.join("none/a")), &name);
    w.write_then("lost", tell("written", &name));
    w.end_then(tell("ended", &name));
    w.on_close(move |_| late(d.clone(), Rc::clone(&name)));
}

fn late(d: PathBuf, name: Rc<str>) {
    let l = listen_writing("l", fs::create_write_stream(d.join("late")), &name);
    let shown = Rc::clone(&name);
    l.on_open(move |l| {
        l.end();
        l.write_then("late", tell("late", &shown));
    });
    l.on_close(move |l| {
        l.write_then("later", tell("later", &name));
        l.end_then(tell("ended", &name));
        given_up(d.clone(), Rc::clone(&name));
    });
}

fn given_up(d: PathBuf, name: Rc<str>) {
    let g = listen_writing("g", fs::create_write_stream(d.join("given")), &name);
    let shown = Rc::clone(&name);
    g.on_open(move |g| {
        g.destroy();
        g.write_then("given", tell("given", &shown));
    });
    g.on_close(move |_| {
        let i = listen_reading("i", fs::create_read_stream(&d), &name);
        let d = d.clone();
        i.on_close(move |_| remove(&d));
    });
}
