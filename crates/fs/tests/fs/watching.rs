//! Watchers: which changes they report, in which order; no change is reported twice or lost
//! silently.

use crate::{begin_and_drop, block_on};
use oneloop_core::{Handle, Timeout, yield_now};
use oneloop_fs::{Change, WatchOptions, Watcher};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

const ALONE: WatchOptions = WatchOptions { recursive: false };
const RECURSIVE: WatchOptions = WatchOptions { recursive: true };

async fn watch(path: &Path, options: WatchOptions) -> Watcher {
    let watcher = Watcher::new().unwrap();
    watcher.watch(path, options).await.unwrap();
    watcher
}

/// Returns the changes until none has come for a while. Time is virtual, so a while is long enough.
async fn changes_until_quiet(watcher: &Watcher) -> Vec<Change> {
    let mut changes = Vec::new();
    loop {
        let next: Timeout<_> = Handle::current().timeout(Duration::from_secs(1), watcher.next());
        match next.await {
            Ok(change) => changes.push(change.unwrap()),
            Err(_) => return changes,
        }
    }
}

/// Returns one line per change, with paths relative to the directory.
fn lines(dir: &Path, changes: &[Change]) -> Vec<String> {
    let name = |path: &PathBuf| match path.strip_prefix(dir).unwrap().to_str().unwrap() {
        "" => ".".to_owned(),
        name => name.to_owned(),
    };
    let line = |change: &Change| match change {
        Change::Created(path) => format!("+{}", name(path)),
        Change::Modified(path) => format!("*{}", name(path)),
        Change::Attributes(path) => format!("@{}", name(path)),
        Change::Removed(path) => format!("-{}", name(path)),
        Change::Renamed { from, to } => format!("{}>{}", name(from), name(to)),
        Change::Gone(path) => format!("gone {}", name(path)),
        Change::Overflow => "overflow".to_owned(),
        other => format!("{other:?}"),
    };
    changes.iter().map(line).collect()
}

async fn change_lines(watcher: &Watcher, dir: &Path) -> String {
    lines(dir, &changes_until_quiet(watcher).await).join(" ")
}

#[test]
fn changes_in_a_directory_are_reported_in_order() {
    block_on(|dir| async move {
        let watcher = watch(&dir, ALONE).await;
        fs::write(dir.join("a"), "bytes").unwrap();
        fs::rename(dir.join("a"), dir.join("b")).unwrap();
        fs::set_permissions(
            dir.join("b"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        fs::remove_file(dir.join("b")).unwrap();
        fs::create_dir(dir.join("sub")).unwrap();
        fs::write(dir.join("sub/unheard"), "").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "+a *a a>b @b -b +sub");
    });
}

#[test]
fn equal_changes_in_a_row_are_reported_once_until_they_are_returned() {
    block_on(|dir| async move {
        fs::write(dir.join("a"), "").unwrap();
        fs::write(dir.join("b"), "").unwrap();
        let watcher = watch(&dir, ALONE).await;
        let mut a = fs::File::options()
            .append(true)
            .open(dir.join("a"))
            .unwrap();
        let mut b = fs::File::options()
            .append(true)
            .open(dir.join("b"))
            .unwrap();
        for _ in 0..100 {
            a.write_all(b"more").unwrap();
        }
        b.write_all(b"more").unwrap();
        a.write_all(b"more").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "*a *b *a");
        a.write_all(b"more").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "*a");
    });
}

#[test]
fn a_file_is_watched_until_it_is_gone() {
    block_on(|dir| async move {
        let path = dir.join("a");
        fs::write(&path, "").unwrap();
        let watcher = watch(&path, ALONE).await;
        fs::write(&path, "bytes").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "*a");
        fs::rename(&path, dir.join("b")).unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "gone a");
        fs::write(dir.join("b"), "more").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "");
        assert!(!watcher.unwatch(&path), "it is not watched any more");
    });
}

#[test]
fn the_removal_of_the_root_is_reported() {
    block_on(|dir| async move {
        for options in [ALONE, RECURSIVE] {
            let root = dir.join("root");
            fs::create_dir_all(root.join("sub")).unwrap();
            let watcher = watch(&root, options).await;
            fs::remove_dir_all(&root).unwrap();
            assert_eq!(change_lines(&watcher, &dir).await, "-root/sub gone root");
        }
        let missing = Watcher::new().unwrap();
        let error = missing.watch(dir.join("root"), ALONE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn new_directories_are_watched_and_names_in_them_are_reported_once() {
    block_on(|dir| async move {
        let watcher = watch(&dir, RECURSIVE).await;
        fs::create_dir_all(dir.join("a/b/c")).unwrap();
        fs::write(dir.join("a/b/c/file"), "").unwrap();
        let first = change_lines(&watcher, &dir).await;
        assert_eq!(first, "+a +a/b +a/b/c +a/b/c/file");
        fs::write(dir.join("a/b/c/later"), "").unwrap();
        fs::remove_dir_all(dir.join("a/b/c")).unwrap();
        fs::create_dir(dir.join("a/b/c")).unwrap();
        fs::write(dir.join("a/b/c/again"), "").unwrap();
        let lines = change_lines(&watcher, &dir).await;
        assert!(lines.starts_with("+a/b/c/later"), "{lines}");
        assert!(lines.ends_with("-a/b/c +a/b/c +a/b/c/again"), "{lines}");
    });
}

#[test]
fn directories_that_are_created_meanwhile_hide_no_name() {
    block_on(|dir| async move {
        let watcher = watch(&dir, RECURSIVE).await;
        let inside = dir.clone();
        let maker = std::thread::spawn(move || {
            for i in 0..200 {
                let deep = inside.join(format!("{i}/b/c"));
                fs::create_dir_all(&deep).unwrap();
                fs::write(deep.join("file"), "").unwrap();
            }
        });
        let mut created = Vec::new();
        while created.len() < 800 {
            match watcher.next().await.unwrap() {
                Change::Created(path) => created.push(path),
                other => panic!("{other:?}"),
            }
        }
        maker.join().unwrap();
        assert_eq!(
            change_lines(&watcher, &dir).await,
            "",
            "each name was reported once"
        );
        let unique: BTreeSet<_> = created.iter().collect();
        assert_eq!(unique.len(), 800);
    });
}

#[test]
fn changes_in_a_moved_directory_have_its_new_name() {
    block_on(|dir| async move {
        let root = dir.join("root");
        fs::create_dir_all(root.join("a/deep")).unwrap();
        fs::create_dir_all(root.join("b")).unwrap();
        let watcher = watch(&root, RECURSIVE).await;
        fs::rename(root.join("a"), root.join("b/moved")).unwrap();
        assert_eq!(change_lines(&watcher, &root).await, "a>b/moved");
        fs::write(root.join("b/moved/deep/file"), "").unwrap();
        assert_eq!(change_lines(&watcher, &root).await, "+b/moved/deep/file");

        fs::rename(root.join("b/moved"), dir.join("outside")).unwrap();
        assert_eq!(change_lines(&watcher, &root).await, "-b/moved");
        fs::write(dir.join("outside/deep/unheard"), "").unwrap();
        assert_eq!(change_lines(&watcher, &root).await, "");

        fs::rename(dir.join("outside"), root.join("back")).unwrap();
        let mut found = lines(&root, &changes_until_quiet(&watcher).await);
        found.sort(); // a directory has its names in no order
        let all = [
            "+back",
            "+back/deep",
            "+back/deep/file",
            "+back/deep/unheard",
        ];
        assert_eq!(found, all);
        fs::write(root.join("back/deep/new"), "").unwrap();
        assert_eq!(change_lines(&watcher, &root).await, "+back/deep/new");
    });
}

#[test]
fn swapped_names_are_followed() {
    block_on(|dir| async move {
        let watcher = watch(&dir, RECURSIVE).await;
        // By the time a thread looks at `a`, another directory has that name.
        fs::create_dir(dir.join("a")).unwrap();
        fs::rename(dir.join("a"), dir.join("b")).unwrap();
        fs::create_dir(dir.join("a")).unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "+a a>b +a");
        fs::write(dir.join("a/1"), "").unwrap();
        fs::write(dir.join("b/2"), "").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "+a/1 +b/2");
        // One directory replaces another.
        fs::remove_file(dir.join("b/2")).unwrap();
        fs::rename(dir.join("a"), dir.join("b")).unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "-b/2 a>b");
        fs::write(dir.join("b/3"), "").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "+b/3");
    });
}

#[test]
fn exchanged_directories_are_watched_under_their_new_names() {
    block_on(|dir| async move {
        fs::create_dir_all(dir.join("a/in-a")).unwrap();
        fs::create_dir_all(dir.join("b/in-b")).unwrap();
        let watcher = watch(&dir, RECURSIVE).await;
        renameat_with(
            CWD,
            dir.join("a"),
            CWD,
            dir.join("b"),
            RenameFlags::EXCHANGE,
        )
        .unwrap();
        let found = change_lines(&watcher, &dir).await;
        assert_eq!(found, "a>b b>a +b/in-a +a/in-b");
        for name in ["a", "a/in-b", "b", "b/in-a"] {
            fs::write(dir.join(name).join("new"), "").unwrap();
        }
        let in_each = "+a/new +a/in-b/new +b/new +b/in-a/new";
        assert_eq!(change_lines(&watcher, &dir).await, in_each);
    });
}

#[test]
fn a_directory_is_found_even_if_the_one_above_moves_meanwhile() {
    block_on(|dir| async move {
        fs::create_dir(dir.join("above")).unwrap();
        let watcher = watch(&dir, RECURSIVE).await;
        fs::create_dir(dir.join("above/new")).unwrap();
        let next = watcher.next().await.unwrap(); // a thread is asked to look there next
        assert_eq!(lines(&dir, &[next]), ["+above/new"]);
        fs::rename(dir.join("above"), dir.join("moved")).unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "above>moved");
        fs::write(dir.join("moved/new/file"), "").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "+moved/new/file");
    });
}

#[test]
fn a_directory_that_replaces_a_removed_one_is_watched() {
    block_on(|dir| async move {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(dir.join("a")).unwrap();
        fs::create_dir(outside.path().join("b")).unwrap();
        let watcher = watch(&dir, RECURSIVE).await;
        fs::rename(dir.join("a"), outside.path().join("a")).unwrap();
        fs::rename(outside.path().join("b"), dir.join("a")).unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "-a +a");
        fs::write(dir.join("a/file"), "").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "+a/file");
    });
}

#[test]
fn what_left_a_directory_is_reported_before_that_directory_moves_or_goes() {
    block_on(|dir| async move {
        let outside = tempfile::tempdir().unwrap();
        for deep in ["a/file", "b/file", "c/file"] {
            fs::create_dir_all(dir.join(deep)).unwrap();
        }
        let watcher = watch(&dir, RECURSIVE).await;
        fs::rename(dir.join("a/file"), outside.path().join("1")).unwrap();
        fs::rename(dir.join("b"), dir.join("a")).unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "-a/file b>a");
        fs::rename(dir.join("c/file"), outside.path().join("2")).unwrap();
        fs::rename(dir.join("c"), dir.join("d")).unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "-c/file c>d");
    });
}

#[test]
fn what_comes_back_from_a_directory_that_left_is_created() {
    block_on(|dir| async move {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.join("a/b/c")).unwrap();
        let watcher = watch(&dir, RECURSIVE).await;
        let left = outside.path().join("a");
        fs::rename(dir.join("a"), &left).unwrap();
        fs::rename(left.join("b"), dir.join("a")).unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "-a +a +a/c");
    });
}

#[test]
fn the_names_in_a_directory_that_moves_into_a_new_one_are_reported_there() {
    block_on(|dir| async move {
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::write(dir.join("a/b/file"), "").unwrap();
        let watcher = watch(&dir, RECURSIVE).await;
        fs::create_dir(dir.join("new")).unwrap();
        fs::rename(dir.join("a"), dir.join("new/a")).unwrap();
        let lines = change_lines(&watcher, &dir).await;
        assert_eq!(lines, "+new +new/a +new/a/b +new/a/b/file -a");
        fs::write(dir.join("new/a/b/later"), "").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "+new/a/b/later");
    });
}

#[test]
fn names_that_were_reported_for_a_directory_of_the_same_name_are_reported_again() {
    block_on(|dir| async move {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("a")).unwrap();
        let watcher = watch(&dir, RECURSIVE).await;
        fs::rename(outside.path().join("a"), dir.join("a")).unwrap();
        let next = watcher.next().await.unwrap(); // a thread is asked to look there next
        assert_eq!(lines(&dir, &[next]), ["+a"]);
        fs::rename(dir.join("a"), outside.path().join("a")).unwrap();
        fs::create_dir_all(dir.join("a/b")).unwrap();
        // The thread finds the second directory.
        assert_eq!(change_lines(&watcher, &dir).await, "+a/b -a +a +a/b");
    });
}

/// Returns a directory and all directories below it.
fn dirs_of(root: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![root.to_owned()];
    let mut next = 0;
    while let Some(dir) = dirs.get(next) {
        let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
        let below = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        let below: Vec<_> = below.map(|entry| entry.path()).collect();
        dirs.extend(below);
        next += 1;
    }
    dirs
}

/// Creates, moves and removes directories at random, the same ones for the same seed.
fn stir(root: &Path, mut seed: u64) {
    let mut below = |max: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed as usize % max
    };
    for _ in 0..400 {
        let dirs = dirs_of(root);
        let (from, to) = (&dirs[below(dirs.len())], &dirs[below(dirs.len())]);
        let to = to.join(["a", "b", "c", "d"][below(4)]);
        // Many of these calls fail.
        let _ = match below(18) {
            0..6 => fs::create_dir(to),
            6 if from != root => fs::remove_dir_all(from),
            _ if from != root => fs::rename(from, to),
            _ => Ok(()),
        };
    }
}

/// How often the watcher may be asked again whether it watches a directory.
const ROUNDS: u32 = 20;

#[test]
fn no_directory_is_lost_in_a_storm_of_renames() {
    for seed in 1..=10 {
        block_on(|dir| async move {
            let watcher = watch(&dir, RECURSIVE).await;
            let root = dir.clone();
            let storm = std::thread::spawn(move || stir(&root, seed));
            while !storm.is_finished() {
                changes_until_quiet(&watcher).await;
            }
            storm.join().unwrap();
            let mut untold: BTreeSet<_> = dirs_of(&dir).into_iter().collect();
            // The watcher may still have changes of the storm to look at. A directory that it has
            // lost stays untold, however often a file is created in it.
            for round in 0..ROUNDS {
                for dir in &untold {
                    fs::write(dir.join(format!("file{round}")), "").unwrap();
                }
                for change in changes_until_quiet(&watcher).await {
                    if let Change::Created(file) = change {
                        untold.remove(file.parent().unwrap());
                    }
                }
                if untold.is_empty() {
                    break;
                }
            }
            assert_eq!(untold, BTreeSet::new(), "seed {seed}");
        });
    }
}

#[test]
fn nested_roots_each_report() {
    block_on(|dir| async move {
        fs::create_dir(dir.join("sub")).unwrap();
        let watcher = watch(&dir, RECURSIVE).await;
        watcher.watch(dir.join("sub"), ALONE).await.unwrap();
        fs::write(dir.join("sub/a"), "").unwrap();
        assert_eq!(
            change_lines(&watcher, &dir).await,
            "+sub/a",
            "the same at once"
        );
        assert!(watcher.unwatch(&dir));
        fs::write(dir.join("sub/b"), "").unwrap();
        fs::write(dir.join("unheard"), "").unwrap();
        assert_eq!(change_lines(&watcher, &dir).await, "+sub/b");
    });
}

#[test]
fn the_first_half_of_a_rename_is_reported_as_a_removal_after_a_moment() {
    block_on(|dir| async move {
        let (inside, outside) = (dir.join("inside"), dir.join("outside"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        let watcher = watch(&inside, ALONE).await;
        fs::write(inside.join("a"), "").unwrap();
        fs::rename(inside.join("a"), outside.join("a")).unwrap();
        fs::write(inside.join("a"), "").unwrap();
        fs::rename(outside.join("a"), inside.join("b")).unwrap();
        fs::rename(inside.join("b"), outside.join("b")).unwrap();
        assert_eq!(change_lines(&watcher, &inside).await, "+a -a +a +b -b");
    });
}

#[test]
fn many_files_that_move_outside_are_reported_at_once() {
    block_on(|dir| async move {
        let outside = tempfile::tempdir().unwrap();
        let names: Vec<_> = (0..200).map(|number| number.to_string()).collect();
        for name in &names {
            fs::write(dir.join(name), "").unwrap();
        }
        let watcher = watch(&dir, ALONE).await;
        for name in &names {
            fs::rename(dir.join(name), outside.path().join(name)).unwrap();
        }
        let start = Handle::current().now();
        let first = watcher.next().await.unwrap();
        assert_eq!(first, Change::Removed(dir.join("0")));
        assert_eq!(Handle::current().now(), start, "no time had to pass");
        let rest = names[1..]
            .iter()
            .map(|name| Change::Removed(dir.join(name)));
        assert_eq!(
            changes_until_quiet(&watcher).await,
            rest.collect::<Vec<_>>()
        );
    });
}

#[test]
fn a_storm_of_changes_is_reported_to_the_last() {
    block_on(|dir| async move {
        let watcher = watch(&dir, ALONE).await;
        let inside = dir.clone();
        let storm = std::thread::spawn(move || {
            for i in 0..3000 {
                let path = inside.join(format!("{}", i % 50));
                fs::write(&path, "bytes").unwrap();
                fs::remove_file(&path).unwrap();
            }
        });
        let (mut created, mut removed) = (0, 0);
        while removed < 3000 {
            match watcher.next().await.unwrap() {
                Change::Created(_) => created += 1,
                Change::Removed(_) => removed += 1,
                Change::Modified(_) => {}
                other => panic!("{other:?}"),
            }
            assert!(created >= removed);
        }
        storm.join().unwrap();
        assert_eq!(
            (created, change_lines(&watcher, &dir).await),
            (3000, String::new())
        );
    });
}

#[test]
fn events_that_the_kernel_drops_are_reported_as_an_overflow() {
    block_on(|dir| async move {
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        let limit: usize = limit.trim().parse().unwrap();
        if limit > 200_000 {
            return eprintln!("skipped: the kernel keeps {limit} events");
        }
        let watcher = watch(&dir, RECURSIVE).await;
        let (a, b) = (dir.join("a"), dir.join("b"));
        fs::create_dir(dir.join("stays")).unwrap();
        changes_until_quiet(&watcher).await;
        for _ in 0..limit / 4 + 100 {
            fs::write(&a, "").unwrap();
            fs::rename(&a, &b).unwrap();
            fs::remove_file(&b).unwrap();
        }
        // These are lost.
        fs::create_dir_all(dir.join("new/deep")).unwrap();
        fs::remove_dir(dir.join("stays")).unwrap();
        let changes = changes_until_quiet(&watcher).await;
        let overflows = changes.iter().filter(|change| **change == Change::Overflow);
        assert_eq!(overflows.count(), 1);
        assert_eq!(changes.last(), Some(&Change::Overflow));
        // But from now on, every change is reported again.
        fs::write(dir.join("new/deep/file"), "").unwrap();
        fs::create_dir(dir.join("stays")).unwrap();
        fs::write(dir.join("stays/too"), "").unwrap();
        let lines = change_lines(&watcher, &dir).await;
        assert_eq!(lines, "+new/deep/file +stays +stays/too");
    });
}

#[test]
fn a_dropped_wait_loses_no_change() {
    block_on(|dir| async move {
        let watcher = watch(&dir, RECURSIVE).await;
        for i in 0..50 {
            begin_and_drop(watcher.next()).await;
            let name = dir.join(format!("{i}"));
            {
                let mut next = pin!(watcher.next());
                crate::begin(next.as_mut()).await;
                fs::create_dir(&name).unwrap();
                yield_now().await; // it is woken, and goes before it looks
            }
            assert_eq!(watcher.next().await.unwrap(), Change::Created(name.clone()));
            // A thread will look at the new directory: a dropped wait for that loses nothing,
            // either.
            let _ = crate::poll_once(pin!(watcher.next())).await;
            fs::write(name.join("file"), "").unwrap();
            let file = Change::Created(name.join("file"));
            assert_eq!(watcher.next().await.unwrap(), file);
        }
    });
}

#[test]
fn a_dropped_watch_watches_nothing_and_keeps_nothing_alive() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    fs::create_dir_all(path.join("a/b/c")).unwrap();
    let mut event_loop = oneloop_core::EventLoop::new().unwrap();
    let watcher = event_loop.block_on(async {
        let watcher = Watcher::new().unwrap();
        for _ in 0..20 {
            // A quick thread may complete the watch at the first poll.
            let watched = crate::poll_once(pin!(watcher.watch(&path, RECURSIVE))).await;
            assert_eq!(watcher.unwatch(&path), watched.is_some());
            yield_now().await;
        }
        fs::write(path.join("a/b/unheard"), "").unwrap();
        assert!(crate::poll_once(pin!(watcher.next())).await.is_none());
        watcher.watch(&path, RECURSIVE).await.unwrap();
        fs::write(path.join("a/b/new"), "").unwrap();
        let new = Change::Created(path.join("a/b/new"));
        assert_eq!(watcher.next().await.unwrap(), new);
        watcher
    });
    event_loop.run().unwrap(); // ends only if nothing keeps the loop alive
    drop(watcher);
}

#[test]
fn an_unreferenced_watcher_lets_the_loop_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut event_loop = oneloop_core::EventLoop::new().unwrap();
    event_loop.handle().spawn(async move {
        let watcher = watch(&path, ALONE).await;
        watcher.set_referenced(false);
        watcher.next().await
    });
    event_loop.run().unwrap();
}

#[test]
fn a_watcher_is_a_stream_of_its_changes() {
    use oneloop_core::Stream;
    block_on(|dir| async move {
        let mut watcher = watch(&dir, ALONE).await;
        fs::write(dir.join("a"), "").unwrap();
        let change = std::future::poll_fn(|cx| Stream::poll_next(pin!(&mut watcher).as_mut(), cx));
        assert_eq!(
            change.await.unwrap().unwrap(),
            Change::Created(dir.join("a"))
        );
    });
}
