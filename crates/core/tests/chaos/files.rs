//! Files: what was written is read, whatever the order of the jobs.

use crate::harness::{
    CACHED_FILES, Closes, LACKS_FDS, check_in_dir, check_in_dir_with_failures, has_succeeded,
    payload,
};
use oneloop::aio::{self, fs};
use oneloop::callback::{self, run_on, stream};
use oneloop::{EventLoop, green};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

const FILES: usize = 3;

#[test]
fn async_files_keep_their_bytes() {
    check_in_dir(CACHED_FILES, |event_loop, dir| {
        event_loop.block_on(async_files(dir)).unwrap()
    });
}

#[test]
fn async_files_keep_their_bytes_or_an_error_is_reported() {
    check_in_dir_with_failures(&[CACHED_FILES, LACKS_FDS], |event_loop, dir| {
        has_succeeded(event_loop.block_on(async_files(dir)))
    });
}

async fn async_files(dir: &Path) -> io::Result<()> {
    let files = (0..FILES).map(|number| async_file(dir.join(format!("{number}")), number));
    aio::join_all(files).await.into_iter().collect()
}

async fn async_file(path: PathBuf, number: usize) -> io::Result<()> {
    let bytes = payload(number, number * 10_000 + 1);
    let file = fs::File::create(&path).await?;
    for part in bytes.chunks(7_000) {
        file.write_all(part).await?;
    }
    file.close().await?;
    assert_eq!(fs::read(&path).await?, bytes);
    let (file, mut read) = (fs::File::open(&path).await?, Vec::new());
    file.read_to_end(&mut read).await?;
    assert_eq!(read, bytes);
    let renamed = path.with_extension("new");
    fs::rename(&path, &renamed).await?;
    assert!(!fs::try_exists(&path).await?);
    fs::remove_file(&renamed).await
}

#[test]
fn green_files_keep_their_bytes() {
    check_in_dir(CACHED_FILES, |event_loop, dir| {
        green_files(event_loop, dir).unwrap()
    });
}

#[test]
fn green_files_keep_their_bytes_or_an_error_is_reported() {
    check_in_dir_with_failures(&[CACHED_FILES, LACKS_FDS], |event_loop, dir| {
        has_succeeded(green_files(event_loop, dir))
    });
}

fn green_files(event_loop: &mut EventLoop, dir: &Path) -> io::Result<()> {
    let path = dir.to_owned();
    let ran = green::run_on(event_loop, move || {
        let threads = (0..FILES).map(|number| {
            let path = path.join(format!("{number}"));
            green::spawn(move || green_file(&path, number))
        });
        let threads: Vec<_> = threads.collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        let ended: Vec<io::Result<()>> = ended.collect();
        ended.into_iter().collect()
    });
    ran.unwrap()
}

fn green_file(path: &Path, number: usize) -> io::Result<()> {
    let bytes = payload(number, number * 10_000 + 1);
    let mut file = green::fs::File::create(path)?;
    file.write_all(&bytes)?;
    drop(file);
    let mut read = Vec::new();
    let mut file = green::fs::File::open(path)?;
    file.read_to_end(&mut read)?;
    assert_eq!(read, bytes);
    green::fs::remove_file(path)
}

#[test]
fn callback_files_keep_their_bytes() {
    check_in_dir(CACHED_FILES, |event_loop, dir| {
        assert_eq!(callback_files(event_loop, dir), FILES)
    });
}

#[test]
fn callback_files_keep_their_bytes_or_an_error_is_reported() {
    check_in_dir_with_failures(&[CACHED_FILES, LACKS_FDS], |event_loop, dir| {
        callback_files(event_loop, dir) == FILES
    });
}

/// Returns the number of files whose copies were read.
fn callback_files(event_loop: &mut EventLoop, dir: &Path) -> usize {
    let path = dir.to_owned();
    let (done, closes) = (Rc::new(Cell::new(0)), Closes::default());
    let (count, of_streams) = (Rc::clone(&done), closes.clone());
    let code = run_on(event_loop, move || {
        for number in 0..FILES {
            let from = path.join(format!("{number}"));
            let bytes = payload(number, number * 30_000 + 1);
            let (count, expected) = (Rc::clone(&count), bytes.clone());
            let closes = of_streams.clone();
            callback::fs::write_file(from.clone(), bytes, move |written| {
                if written.is_ok() {
                    callback_copy(from, expected, count, &closes);
                }
            });
        }
    });
    assert_eq!(code.unwrap(), 0);
    closes.assert_all();
    done.get()
}

fn callback_copy(from: PathBuf, expected: Vec<u8>, done: Rc<Cell<usize>>, closes: &Closes) {
    let to = from.with_extension("copy");
    let dest = callback::fs::create_write_stream(to.clone());
    let source = callback::fs::create_read_stream(from);
    let (source_closed, dest_closed) = (closes.one_more(), closes.one_more());
    let has_failed = Rc::new(Cell::new(false));
    // As in Node, a pipe destroys neither of its ends when the other one fails.
    let (fails, other) = (Rc::clone(&has_failed), dest.clone());
    source.on_error(move |_, _| {
        fails.set(true);
        other.destroy();
    });
    let (fails, other) = (Rc::clone(&has_failed), source.clone());
    dest.on(stream::event::WriteError, move |_| {
        fails.set(true);
        other.destroy();
    });
    source.on_close(move |_| source_closed());
    dest.once(stream::event::WriteClose, move |_| {
        dest_closed();
        if has_failed.get() {
            return;
        }
        callback::fs::read_file(to, move |read| {
            if let Ok(read) = read {
                assert_eq!(read, expected);
                done.set(done.get() + 1);
            }
        });
    });
    source.pipe(&dest);
}
