//! Watchers of directories: each new name is reported once, whatever the order of events and jobs.
//! The kernel takes some 10 ms to close an inotify, so these programs run under a quarter of the seeds.

use crate::harness::{Closes, LACKS_FDS, Outcomes, Seam, check_plans_in_dir, has_succeeded, seeds};
use oneloop::aio::fs::{self, Change, WatchOptions, Watcher};
use oneloop::callback::{self, run_on};
use oneloop::chaos::Plan;
use oneloop::{EventLoop, green};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const NAMES: usize = 6;

/// A directory, a directory in it and so on, each with a file beside the next.
fn names(dir: &Path) -> Vec<PathBuf> {
    let mut dir = dir.join("d");
    let mut names = vec![dir.clone()];
    while names.len() < NAMES {
        names.push(dir.join("file"));
        dir.push("d");
        names.push(dir.clone());
    }
    names
}

/// Makes the names while a watcher watches, and removes them without one.
fn make(dir: &Path) {
    for path in names(dir) {
        match path.ends_with("file") {
            true => std::fs::write(path, "").unwrap(),
            false => std::fs::create_dir(path).unwrap(),
        }
    }
}

fn remove(dir: &Path) {
    let _ = std::fs::remove_dir_all(dir.join("d"));
}

const RECURSIVE: WatchOptions = WatchOptions { recursive: true };

const WATCHES: &[Seam] = &[Seam::Run, Seam::Event, Seam::Interrupted, Seam::WouldBlock];

fn check_with_failures(program: impl Fn(&mut EventLoop, &Path) -> bool) {
    let (seeds, outcomes) = (seeds() / 4, Outcomes::default());
    let seams = [WATCHES, LACKS_FDS].concat();
    check_plans_in_dir(seeds, Plan::with_failures, &seams, |event_loop, dir| {
        outcomes.note(program(event_loop, dir));
    });
    outcomes.assert_both(seeds);
}

#[test]
fn an_async_watcher_reports_each_new_name_once() {
    check_plans_in_dir(seeds() / 4, Plan::new, WATCHES, |event_loop, dir| {
        event_loop.block_on(async_watch(dir)).unwrap()
    });
}

#[test]
fn an_async_watcher_reports_each_new_name_once_or_an_error() {
    check_with_failures(|event_loop, dir| has_succeeded(event_loop.block_on(async_watch(dir))));
}

async fn async_watch(dir: &Path) -> io::Result<()> {
    remove(dir);
    let watcher = Watcher::new()?;
    watcher.watch(dir, RECURSIVE).await?;
    make(dir);
    let mut expected = BTreeSet::from_iter(names(dir));
    while !expected.is_empty() {
        if let Change::Created(path) = watcher.next().await? {
            assert!(
                expected.remove(&path),
                "{} was reported before",
                path.display()
            );
        }
    }
    fs::remove_dir_all(dir.join("d")).await
}

#[test]
fn a_green_watcher_reports_each_new_name_once() {
    check_plans_in_dir(seeds() / 4, Plan::new, WATCHES, |event_loop, dir| {
        green_watch(event_loop, dir).unwrap()
    });
}

#[test]
fn a_green_watcher_reports_each_new_name_once_or_an_error() {
    check_with_failures(|event_loop, dir| has_succeeded(green_watch(event_loop, dir)));
}

fn green_watch(event_loop: &mut EventLoop, dir: &Path) -> io::Result<()> {
    let dir = dir.to_owned();
    let ran = green::run_on(event_loop, move || {
        remove(&dir);
        let watcher = green::fs::Watcher::new()?;
        watcher.watch(&dir, RECURSIVE)?;
        let mut expected = BTreeSet::from_iter(names(&dir));
        make(&dir);
        while !expected.is_empty() {
            if let Change::Created(path) = watcher.next()? {
                assert!(
                    expected.remove(&path),
                    "{} was reported before",
                    path.display()
                );
            }
        }
        green::fs::remove_dir_all(dir.join("d"))
    });
    ran.unwrap()
}

#[test]
fn a_callback_watcher_reports_each_new_name_and_closes_once() {
    check_plans_in_dir(seeds() / 4, Plan::new, WATCHES, |event_loop, dir| {
        assert!(callback_watch(event_loop, dir))
    });
}

#[test]
fn a_callback_watcher_closes_once_or_reports_an_error() {
    check_with_failures(callback_watch);
}

/// Returns true if all names were reported.
fn callback_watch(event_loop: &mut EventLoop, dir: &Path) -> bool {
    let numbers = || (0..NAMES).map(|number| PathBuf::from(number.to_string()));
    for number in numbers() {
        let _ = std::fs::remove_file(dir.join(number)); // of the last run
    }
    let dir = dir.to_owned();
    let (left, closes) = (
        Rc::new(RefCell::new(Vec::from_iter(numbers()))),
        Closes::default(),
    );
    let (expected, of_watcher) = (Rc::clone(&left), closes.clone());
    let code = run_on(event_loop, move || {
        let watcher = Rc::new(RefCell::new(None::<callback::fs::FsWatcher>));
        let to_close = Rc::clone(&watcher);
        let watched = callback::fs::watch(&dir, move |_, name| {
            let mut expected = expected.borrow_mut();
            expected.retain(|other| Some(&**other) != name);
            if expected.is_empty() {
                to_close.take().inspect(callback::fs::FsWatcher::close);
            }
        });
        let Ok(watched) = watched else { return };
        let closed = of_watcher.one_more();
        watched.on_close(closed);
        watcher.replace(Some(watched));
        for number in numbers() {
            std::fs::write(dir.join(number), "").unwrap();
        }
    });
    assert_eq!(code.unwrap(), 0);
    closes.assert_all();
    left.borrow().is_empty()
}
