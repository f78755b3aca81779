//! Files: what was written is read, whatever the order of the jobs.

use crate::harness::{check_in_dir, payload};
use oneloop::aio::{self, fs};
use oneloop::callback::{self, run_on, stream};
use oneloop::green;
use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;

const FILES: usize = 3;

#[test]
fn async_files_keep_their_bytes() {
    check_in_dir(|event_loop, dir| {
        event_loop.block_on(async {
            let files = (0..FILES).map(|number| {
                let path = dir.join(format!("{number}"));
                async move {
                    let bytes = payload(number, number * 10_000 + 1);
                    let file = fs::File::create(&path).await.unwrap();
                    for part in bytes.chunks(7_000) {
                        file.write_all(part).await.unwrap();
                    }
                    file.close().await.unwrap();
                    assert_eq!(fs::read(&path).await.unwrap(), bytes);
                    let renamed = path.with_extension("new");
                    fs::rename(&path, &renamed).await.unwrap();
                    assert!(!fs::try_exists(&path).await.unwrap());
                    fs::remove_file(&renamed).await.unwrap();
                }
            });
            aio::join_all(files).await;
        });
    });
}

#[test]
fn green_files_keep_their_bytes() {
    check_in_dir(|event_loop, dir| {
        let path = dir.to_owned();
        let ran = green::run_on(event_loop, move || {
            let threads = (0..FILES).map(|number| {
                let path = path.join(format!("{number}"));
                green::spawn(move || {
                    let bytes = payload(number, number * 10_000 + 1);
                    let mut file = green::fs::File::create(&path).unwrap();
                    file.write_all(&bytes).unwrap();
                    drop(file);
                    let mut read = Vec::new();
                    let mut file = green::fs::File::open(&path).unwrap();
                    file.read_to_end(&mut read).unwrap();
                    assert_eq!(read, bytes);
                    green::fs::remove_file(&path).unwrap();
                })
            });
            for thread in Vec::from_iter(threads) {
                thread.join().unwrap();
            }
        });
        ran.unwrap();
    });
}

#[test]
fn callback_files_keep_their_bytes() {
    check_in_dir(|event_loop, dir| {
        let path = dir.to_owned();
        let done = Rc::new(Cell::new(0));
        let count = Rc::clone(&done);
        let code = run_on(event_loop, move || {
            for number in 0..FILES {
                let from = path.join(format!("{number}"));
                let to = path.join(format!("{number}.copy"));
                let bytes = payload(number, number * 30_000 + 1);
                let (count, expected) = (Rc::clone(&count), bytes.clone());
                callback::fs::write_file(from.clone(), bytes, move |written| {
                    written.unwrap();
                    let dest = callback::fs::create_write_stream(to.clone());
                    dest.once(stream::event::WriteClose, move |_| {
                        callback::fs::read_file(to, move |read| {
                            assert_eq!(read.unwrap(), expected);
                            count.set(count.get() + 1);
                        });
                    });
                    callback::fs::create_read_stream(from).pipe(&dest);
                });
            }
        });
        assert_eq!(code.unwrap(), 0);
        assert_eq!(done.get(), FILES);
    });
}
