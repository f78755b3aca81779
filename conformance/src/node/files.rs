//! `fs`: order, errors, handles, watching.

use super::{say, text};
use oneloop::callback::fs::{
    self, Error, FileHandle, FsWatcher, MkdirOptions, RmOptions, promises,
};
use oneloop::callback::{Thrown, next_tick, queue_microtask, set_immediate, spawn_micro};
use std::cell::Cell;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;

type Continue = Result<(), Thrown>;

/// `fs.mkdtempSync(require('os').tmpdir()+'/fs-')`
pub(super) fn temp_dir() -> std::io::Result<PathBuf> {
    let dir = tempfile::TempDir::with_prefix("fs-")?;
    Ok(dir.keep())
}

/// `fs.rmSync(d,{recursive:true})`
pub(super) fn remove(dir: &PathBuf) -> Continue {
    Ok(std::fs::remove_dir_all(dir)?)
}

pub(super) fn order() -> Continue {
    let d = temp_dir()?;
    std::fs::write(d.join("a"), "bytes")?;
    fs::read_file(d.join("a"), move |b| {
        println!("read {}", text(&b?));
        next_tick(say("tick"));
        queue_microtask(say("micro"));
        set_immediate(move || {
            println!("immediate in read");
            fs::stat(d.join("a"), move |s| {
                let s = s?;
                println!("stat {} {}", s.len(), s.is_file());
                set_immediate(say("immediate in stat"));
                queue_microtask(say("micro in stat"));
                next_tick(say("tick in stat"));
                remove(&d)
            });
        });
        next_tick(say("tick 2"));
        Continue::Ok(())
    });
    set_immediate(say("immediate"));
    next_tick(say("first tick"));
    println!("main");
    Ok(())
}

/// `D` for the directory, `x-R` for a random name.
fn show(d: &str, error: &Error) {
    let path = error.path().map(|path| path.display().to_string());
    let dest = error.dest().map(|dest| dest.display().to_string());
    let line = format!(
        "{error} | {} {} {} {} {}",
        error.code().unwrap_or_default(),
        error.errno().unwrap_or_default(),
        error.syscall().unwrap_or_default(),
        path.unwrap_or_default(),
        dest.unwrap_or_default()
    );
    println!("{}", line.replace(d, "D").replace("x-XXXXXX", "x-R"));
}

pub(super) fn errors() -> Continue {
    let d = temp_dir()?;
    std::fs::write(d.join("a"), "")?;
    std::fs::create_dir_all(d.join("full/of"))?;
    drop(spawn_micro(async move {
        let shown = d.display().to_string();
        let p = |name: &str| d.join(name);
        let failed = [
            promises::read_file(p("no")).await.map(drop),
            promises::read_file(&d).await.map(drop),
            promises::write_file(&d, "x").await,
            promises::append_file(p("a/b"), "x").await,
            promises::open(p("a"), "wx").await.map(drop),
            promises::stat(p("no")).await.map(drop),
            promises::lstat(p("a/b")).await.map(drop),
            promises::readdir(p("no")).await.map(drop),
            promises::rename(p("no"), p("b")).await,
            promises::copy_file(p("no"), p("b")).await,
            promises::unlink(p("no")).await,
            promises::unlink(p("full")).await,
            promises::rm(p("no")).await,
            promises::rmdir(p("full")).await,
            promises::mkdir(p("a")).await,
            promises::mkdtemp(p("no/x-")).await.map(drop),
            promises::access(p("no")).await,
            promises::link(p("no"), p("b")).await,
            promises::symlink("no", p("a")).await,
            promises::readlink(p("a")).await.map(drop),
            promises::realpath(p("no")).await.map(drop),
            fs::watch(p("no"), |_, _| ()).map(drop),
        ];
        for error in failed.iter().filter_map(|failed| failed.as_ref().err()) {
            show(&shown, error);
        }
        remove(&d)
    }));
    Ok(())
}

pub(super) fn promises() {
    drop(spawn_micro(in_promises()));
    println!("main");
}

async fn in_promises() -> Continue {
    let prefix = std::env::temp_dir().join("fs-");
    let d = promises::mkdtemp(prefix).await?;
    let p = |name: &str| d.join(name);
    let shown = |error: Error| error.message().replace(&d.display().to_string(), "D");
    set_immediate(say("immediate"));
    promises::write_file(p("a"), "hello").await?;
    println!("written");
    next_tick(say("tick"));
    queue_microtask(say("micro"));
    promises::append_file(p("a"), ", world").await?;
    let all = text(&promises::read_file(p("a")).await?);
    println!("{all} {}", promises::stat(p("a")).await?.len());
    promises::rename(p("a"), p("b")).await?;
    promises::copy_file(p("b"), p("c")).await?;
    let names = promises::readdir(&d).await?;
    let names: Vec<_> = names
        .iter()
        .map(|name| format!("'{}'", name.display()))
        .collect();
    println!("[ {} ]", names.join(", "));
    if let Err(error) = promises::read_file(p("a")).await {
        println!("{}", shown(error));
    }
    promises::unlink(p("b")).await?;
    let force = RmOptions {
        force: true,
        ..RmOptions::default()
    };
    promises::rm_with(p("no"), force).await?;
    let recursive = MkdirOptions { recursive: true };
    promises::mkdir_with(p("x/y"), recursive).await?;
    promises::mkdir_with(p("x/y"), recursive).await?;
    if let Err(error) = promises::rmdir(&d).await {
        println!("{}", error.code().unwrap_or_default());
    }
    let recursive = RmOptions {
        recursive: true,
        ..RmOptions::default()
    };
    promises::rm_with(&d, recursive).await?;
    if let Err(error) = promises::access(&d).await {
        println!("{}", shown(error));
    }
    Ok(())
}

pub(super) fn handle() -> Continue {
    let d = temp_dir()?;
    fs::open(d.join("a"), "w+", move |h| {
        let h = h?;
        h.clone().write("0123456789", None, move |n| {
            println!("wrote {}", n?.0);
            h.clone().read(vec![0; 4], 2, move |read| {
                let (n, b) = read?;
                println!("read {n} {}", text(&b));
                write_twice(h, d);
                Continue::Ok(())
            });
            Continue::Ok(())
        });
        Continue::Ok(())
    })?;
    Ok(())
}

fn write_twice(h: FileHandle, d: PathBuf) {
    h.clone().write("xy", 3, move |_| {
        h.clone().write("end", None, move |_| {
            h.clone().read(vec![0; 20], 0, move |read| {
                let (n, b) = read?;
                println!("{n} {}", text(&b[..n]));
                h.clone().read(vec![0; 4], None, move |read| {
                    println!("at the end {}", read?.0);
                    cut_and_close(h, d);
                    Continue::Ok(())
                });
                Continue::Ok(())
            });
        });
    });
}

fn cut_and_close(h: FileHandle, d: PathBuf) {
    h.clone().truncate(5, move |_| {
        h.clone().sync(move |_| {
            h.clone().stat(move |s| {
                println!("size {}", s?.len());
                h.clone().close(move |_| read_closed(&h, d));
                Continue::Ok(())
            });
        });
    });
}

fn read_closed(h: &FileHandle, d: PathBuf) {
    h.read(vec![0; 4], 0, move |read| {
        if let Err(e) = read {
            let (code, syscall) = (
                e.code().unwrap_or_default(),
                e.syscall().unwrap_or_default(),
            );
            println!("{e} {code} {syscall}");
        }
        fs::exists(d.join("a"), move |y| {
            println!("{y}");
            fs::exists(d.join("no"), move |y| {
                println!("{y}");
                remove(&d)
            });
        });
    });
}

pub(super) fn watch() -> Continue {
    let d = temp_dir()?;
    std::fs::write(d.join("old"), "")?;
    let watcher = Rc::<Cell<Option<FsWatcher>>>::default();
    let (inside, dir) = (Rc::clone(&watcher), d.clone());
    let w = fs::watch(&d, move |t, n| {
        let n = n.unwrap_or("".as_ref()).display().to_string();
        println!("{t} {n}");
        if n == "last"
            && let Some(w) = inside.take()
        {
            w.close();
            println!("closed");
            let dir = dir.clone();
            set_immediate(move || remove(&dir));
        }
    })?;
    w.on_close(say("close"));
    watcher.set(Some(w));
    let p = move |name: &str| d.join(name);
    fs::append_file(p("old"), "more", move |_| {
        set_immediate(move || {
            std::fs::set_permissions(p("old"), Permissions::from_mode(0o600))?;
            fs::rename(p("old"), p("new"), move |_| {
                set_immediate(move || {
                    fs::unlink(p("new"), move |_| {
                        set_immediate(move || fs::mkdir(p("last"), |made| made));
                    });
                });
            });
            Continue::Ok(())
        });
    });
    Ok(())
}
