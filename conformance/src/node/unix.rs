//! Unix sockets by path.

use super::text;
use oneloop::callback::net::{self, Error};
use oneloop::callback::{next_tick, set_immediate, set_timeout};
use oneloop::net::Addr;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use tempfile::TempDir;

use super::say;

pub(super) fn unix() -> Result<(), Error> {
    let dir = Rc::new(tempfile::tempdir()?);
    let p = dir.path().join("s.sock");
    let s = net::create_server(|c| {
        let address = c.remote_address().map_or("undefined", |_| "an address");
        let port = c.remote_port().map_or("undefined", |_| "a port");
        println!("connection {address} {port}");
        c.on_data(|c, d| {
            println!("srv data {}", text(d));
            c.end_with("bye");
        });
        c.on_end(|_| println!("srv end"));
        c.on_close(|c, had_error| {
            println!("srv close {had_error}");
            let s = c.server().expect("it was accepted");
            let path = s.address();
            s.close_then(move |_| {
                let exists = matches!(path, Some(Addr::UnixPath(path)) if path.exists());
                println!("closed {exists}");
            });
        });
    });
    s.listen(&*p)?.on_listening(move |s| {
        let _kept = &dir;
        println!(
            "listening {}",
            s.address() == Some(Addr::UnixPath(p.clone()))
        );
        let c = net::connect(&*p)?;
        c.on_connect(|c| {
            println!("connected {}", c.ready_state());
            c.write("hello");
        });
        c.on_data(|_, d| println!("cli data {}", text(d)));
        c.on_end(|_| println!("cli end"));
        c.on_close(|_, had_error| println!("cli close {had_error}"));
        Ok::<_, Error>(())
    });
    Ok(())
}

/// A message without the name of the directory.
fn show(text: impl ToString, dir: &Path) -> String {
    text.to_string().replace(&dir.display().to_string(), "DIR")
}

pub(super) fn unix_errors() -> Result<(), Error> {
    let dir = Rc::new(tempfile::tempdir()?);
    let c = net::connect(&*dir.path().join("s.sock"))?;
    set_immediate(say("immediate"));
    next_tick(say("tick"));
    let at_error = Rc::clone(&dir);
    c.on_error(move |_, e| {
        let Some(Addr::UnixPath(path)) = e.address() else {
            return;
        };
        let (code, syscall) = (e.code().unwrap_or(""), e.syscall().unwrap_or(""));
        let path = show(path.display(), at_error.path());
        println!("{code} {syscall} {path} {}", show(e, at_error.path()));
    });
    c.on_close(move |_, had_error| {
        println!("close {had_error}");
        let dir = Rc::clone(&dir);
        let a = net::create_server(|_| {}).listen(&*dir.path().join("s.sock"))?;
        a.on_listening(move |a| listen_there_too(&a, Rc::clone(&dir)));
        Ok::<_, Error>(())
    });
    Ok(())
}

fn listen_there_too(a: &net::Server, dir: Rc<TempDir>) -> Result<(), Error> {
    let (a, p) = (a.clone(), dir.path().join("s.sock"));
    let b = net::create_server(|_| {});
    b.on_error(move |_, e| {
        println!("{} {}", e.code().unwrap_or(""), show(e, dir.path()));
        a.close();
        let d = net::create_server(|_| {});
        let at_error = Rc::clone(&dir);
        d.on_error(move |_, e| println!("{} {}", e.code().unwrap_or(""), show(e, at_error.path())));
        d.listen(&*dir.path().join("no/such/dir")).map(drop)
    });
    b.listen(&*p).map(drop)
}

pub(super) fn large_reads() -> Result<(), Error> {
    let dir = Rc::new(tempfile::tempdir()?);
    let p = dir.path().join("s.sock");
    let s = net::create_server(|c| {
        c.end_with(vec![0; 200_000]);
        c.resume();
    });
    s.listen(&*p)?.on_listening(move |s| {
        let c = net::connect(&*p)?;
        c.pause();
        let n = Rc::new(Cell::new(0));
        let received = Rc::clone(&n);
        c.on_data(move |_, d| {
            n.set(n.get() + d.len());
            println!("data");
            set_immediate(say("immediate"));
        });
        c.on_end(move |_| println!("end {}", received.get()));
        let dir = Rc::clone(&dir);
        c.on_close(move |_, _| {
            let _kept = &dir;
            s.close();
        });
        set_timeout(
            move || {
                c.resume();
            },
            60,
        );
        Ok::<_, Error>(())
    });
    Ok(())
}

pub(super) fn end_and_no_reset() -> Result<(), Error> {
    let dir = Rc::new(tempfile::tempdir()?);
    let p = dir.path().join("s.sock");
    let options = net::ServerOptions {
        pause_on_connect: true,
        ..net::ServerOptions::default()
    };
    let s = net::create_server_with(options, |c| {
        set_immediate(move || {
            c.write("x");
            c.destroy();
        });
    });
    s.listen(&*p)?.on_listening(move |s| {
        let c = net::connect(&*p)?;
        c.write("unread");
        c.on_data(|_, d| println!("data {}", text(d)));
        c.on_end(|_| println!("end"));
        c.on_error(|_, e| println!("error {}", e.code().unwrap_or("")));
        let dir = Rc::clone(&dir);
        c.on_close(move |_, had_error| {
            let _kept = &dir;
            println!("close {had_error}");
            s.close();
        });
        Ok::<_, Error>(())
    });
    Ok(())
}
