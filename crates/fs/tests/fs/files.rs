//! Files on the loop: they work like those of std, and a dropped future loses nothing.

use crate::{BusyPool, begin, begin_and_drop, block_on, poll_once};
use oneloop_core::{EventLoop, Handle, Options, yield_now};
use oneloop_fs::{self as fs, Access, File, NamedTempFile, OpenOptions, TempDir};
use rustix::io::Errno;
use std::io::{self, ErrorKind, Read, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

fn errno(error: &io::Error) -> Option<Errno> {
    Errno::from_io_error(error)
}

/// Bytes that show their offset.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (i % 251) as u8).collect()
}

#[test]
fn a_file_is_written_sought_and_read_like_one_of_std() {
    block_on(|dir| async move {
        let file = File::create_new(dir.join("a")).await.unwrap();
        assert_eq!(file.write(b"hello, world").await.unwrap(), 12);
        assert_eq!(file.stream_position().await.unwrap(), 12);
        assert_eq!(file.read(&mut [0; 8]).await.unwrap(), 0, "at the end");
        assert_eq!(file.seek(SeekFrom::End(-5)).await.unwrap(), 7);
        let mut text = String::new();
        assert_eq!(file.read_to_string(&mut text).await.unwrap(), 5);
        assert_eq!(text, "world");
        assert_eq!(file.seek(SeekFrom::Start(4)).await.unwrap(), 4);
        assert_eq!(file.seek(SeekFrom::Current(-3)).await.unwrap(), 1);
        let before = file.seek(SeekFrom::Current(-2)).await.unwrap_err();
        assert_eq!(before.kind(), ErrorKind::InvalidInput);
        file.write_all(b"E").await.unwrap();
        file.set_len(5).await.unwrap();
        file.sync_all().await.unwrap();
        file.sync_data().await.unwrap();
        assert_eq!(file.metadata().await.unwrap().len(), 5);
        file.rewind().await.unwrap();
        let mut five = [0; 5];
        file.read_exact(&mut five).await.unwrap();
        assert_eq!(&five, b"hEllo");
        let short = file.read_exact(&mut five).await.unwrap_err();
        assert_eq!(short.kind(), ErrorKind::UnexpectedEof);
        file.close().await.unwrap();
    });
}

#[test]
fn operations_at_an_offset_leave_the_cursor_alone() {
    block_on(|dir| async move {
        let file = File::create_new(dir.join("a")).await.unwrap();
        file.write_all(b"0123456789").await.unwrap();
        file.write_all_at(b"xy", 3).await.unwrap();
        let mut four = [0; 4];
        file.read_exact_at(&mut four, 2).await.unwrap();
        assert_eq!(&four, b"2xy5");
        assert_eq!(file.stream_position().await.unwrap(), 10);
        assert_eq!(file.read_at(&mut four, 1 << 40).await.unwrap(), 0);
        let short = file.read_exact_at(&mut four, 8).await.unwrap_err();
        assert_eq!(short.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn an_offset_that_the_kernel_reads_as_negative_is_refused() {
    block_on(|dir| async move {
        let file = File::create_new(dir.join("a")).await.unwrap();
        file.write_all(b"0123456789").await.unwrap();
        for offset in [u64::MAX, 1 << 63] {
            let read = file.read_at(&mut [0; 4], offset).await.unwrap_err();
            let written = file.write_at(b"x", offset).await.unwrap_err();
            assert_eq!([errno(&read), errno(&written)], [Some(Errno::INVAL); 2]);
            let sought = file.seek(SeekFrom::Start(offset)).await.unwrap_err();
            assert_eq!(sought.kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(file.stream_position().await.unwrap(), 10);
    });
}

#[test]
fn a_file_that_is_copied_to_itself_keeps_its_bytes() {
    block_on(|dir| async move {
        let (file, link) = (dir.join("a"), dir.join("link"));
        fs::write(&file, "bytes").await.unwrap();
        fs::symlink("a", &link).await.unwrap();
        assert_eq!(fs::copy(&link, &file).await.unwrap(), 5);
        assert_eq!(fs::read(&file).await.unwrap(), b"bytes");
        let refused = fs::copy(&dir, dir.join("b")).await.unwrap_err();
        assert_eq!(errno(&refused), Some(Errno::ISDIR));
    });
}

#[test]
fn clones_share_the_cursor_and_into_std_keeps_it() {
    block_on(|dir| async move {
        let file = File::create_new(dir.join("a")).await.unwrap();
        file.write_all(b"abcdef").await.unwrap();
        let clone = file.try_clone().unwrap();
        clone.seek(SeekFrom::Start(2)).await.unwrap();
        let mut one = [0];
        file.read_exact(&mut one).await.unwrap();
        assert_eq!(&one, b"c");
        let mut std = file.into_std().await.unwrap();
        let mut rest = String::new();
        std.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "def");
        let again = File::from_std(std).unwrap();
        assert_eq!(again.stream_position().await.unwrap(), 6);
        assert_eq!(clone.stream_position().await.unwrap(), 3);
    });
}

#[test]
fn a_file_opened_for_appending_is_written_at_its_current_end() {
    block_on(|dir| async move {
        let path = dir.join("log");
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let (a, b) = (
            options.open(&path).await.unwrap(),
            options.open(&path).await.unwrap(),
        );
        a.write_all(b"one").await.unwrap();
        b.write_all(b"two").await.unwrap();
        a.write_all(b"three").await.unwrap();
        assert_eq!(a.stream_position().await.unwrap(), 11);
        assert_eq!(b.stream_position().await.unwrap(), 6);
        a.rewind().await.unwrap();
        let mut all = String::new();
        a.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "onetwothree");
    });
}

#[test]
fn a_whole_file_is_read_even_if_its_size_is_wrong() {
    block_on(|dir| async move {
        let path = dir.join("a");
        let bytes = pattern(3 << 20);
        fs::write(&path, &bytes).await.unwrap();
        assert_eq!(fs::read(&path).await.unwrap(), bytes);
        fs::write(&path, "text").await.unwrap();
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "text");
        fs::write(&path, [0xff, 0xfe]).await.unwrap();
        let not_text = fs::read_to_string(&path).await.unwrap_err();
        assert_eq!(not_text.kind(), ErrorKind::InvalidData);

        assert_eq!(fs::metadata("/proc/self/status").await.unwrap().len(), 0);
        let status = fs::read_to_string("/proc/self/status").await.unwrap();
        assert!(status.starts_with("Name:"), "{status}");
        let mut status = String::new();
        let file = File::open("/proc/self/status").await.unwrap();
        file.read_to_string(&mut status).await.unwrap();
        assert!(status.starts_with("Name:"), "{status}");
    });
}

#[test]
fn a_huge_file_is_read_far_beyond_four_gigabytes() {
    block_on(|dir| async move {
        let file = File::create_new(dir.join("sparse")).await.unwrap();
        let far = 5 << 40;
        match file.write_all_at(b"far away", far).await {
            Err(error) if errno(&error) == Some(Errno::FBIG) => {
                return eprintln!("skipped: this file system has no files of 5 TiB");
            }
            written => written.unwrap(),
        }
        file.seek(SeekFrom::End(-8)).await.unwrap();
        let mut buf = [0; 16];
        assert_eq!(file.read(&mut buf).await.unwrap(), 8);
        assert_eq!(&buf[..8], b"far away");
        assert_eq!(file.stream_position().await.unwrap(), far + 8);
    });
}

#[test]
fn uncached_bytes_are_read_by_a_thread() {
    block_on(|dir| async move {
        let path = dir.join("a");
        let bytes = pattern(1 << 20);
        fs::write(&path, &bytes).await.unwrap();
        let file = File::open(&path).await.unwrap();
        file.sync_all().await.unwrap();
        let evict = || {
            let advice = rustix::fs::Advice::DontNeed;
            rustix::fs::fadvise(&file, 0, None, advice).unwrap();
        };
        evict();
        let mut all = Vec::new();
        file.read_to_end(&mut all).await.unwrap();
        assert!(all == bytes);
        evict();
        let mut buf = [0; 4096];
        let busy = BusyPool::new().await;
        {
            let mut read = pin!(file.read_exact_at(&mut buf, 500_000));
            if poll_once(read.as_mut()).await.is_some() {
                return eprintln!("skipped: the file stays in the cache");
            }
            drop(busy);
            read.await.unwrap();
        }
        assert_eq!(buf[..], bytes[500_000..504_096]);
    });
}

#[test]
fn access_checks_what_the_kernel_allows() {
    block_on(|dir| async move {
        fs::write(dir.join("a"), "").await.unwrap();
        let reads = Access {
            read: true,
            ..Access::default()
        };
        fs::access(dir.join("a"), reads).await.unwrap();
        let runs = Access {
            execute: true,
            ..Access::default()
        };
        let error = fs::access(dir.join("a"), runs).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::ACCESS), "even for root");
        let error = fs::access(dir.join("b"), Access::default()).await;
        assert_eq!(errno(&error.unwrap_err()), Some(Errno::NOENT));
    });
}

#[test]
fn a_large_buffer_is_filled_in_parts() {
    block_on(|dir| async move {
        let bytes = pattern((1 << 20) + 77);
        let path = dir.join("a");
        fs::write(&path, &bytes).await.unwrap();
        let file = File::open(&path).await.unwrap();
        let mut read = vec![0; bytes.len()];
        file.read_exact(&mut read).await.unwrap();
        assert!(read == bytes);
        let mut copy = Vec::from(*b"before");
        file.rewind().await.unwrap();
        assert_eq!(file.read_to_end(&mut copy).await.unwrap(), bytes.len());
        assert!(copy[6..] == bytes);
        let to = File::create(dir.join("b")).await.unwrap();
        to.write_all(&bytes).await.unwrap();
        assert!(std::fs::read(dir.join("b")).unwrap() == bytes);
    });
}

#[test]
fn a_thousand_concurrent_reads_each_get_their_bytes() {
    block_on(|dir| async move {
        let path = dir.join("a");
        fs::write(&path, pattern(64_000)).await.unwrap();
        let file = Rc::new(File::open(&path).await.unwrap());
        let reads: Vec<_> = (0..1000)
            .map(|i| {
                let (file, path) = (Rc::clone(&file), path.clone());
                Handle::current().spawn(async move {
                    let mut buf = [0; 64];
                    file.read_exact_at(&mut buf, i * 64).await.unwrap();
                    assert_eq!(buf[..], pattern(64_000)[i as usize * 64..][..64]);
                    fs::read(&path).await.unwrap().len()
                })
            })
            .collect();
        for read in reads {
            assert_eq!(read.await.unwrap(), 64_000);
        }
    });
}

#[test]
fn a_thousand_concurrent_reads_fit_a_pool_of_one_thread_and_a_queue_of_two() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut options = Options::virtual_time();
    options.pool.fs_threads_max = 1;
    options.pool.queued_max = 2;
    let mut event_loop = EventLoop::with(options).unwrap();
    let read = event_loop.block_on(async {
        let file = Rc::new(File::create_new(&path).await.unwrap());
        let writes: Vec<_> = (0..100_u8)
            .map(|i| {
                let (file, path) = (Rc::clone(&file), path.clone());
                Handle::current().spawn(async move {
                    // The queue is full, so some writes never enter it.
                    poll_once(pin!(fs::metadata(&path))).await;
                    file.write_all(&[i]).await.unwrap();
                    File::open(&path).await.unwrap();
                    TempDir::new().await.unwrap();
                })
            })
            .collect();
        for write in writes {
            write.await.unwrap();
        }
        fs::read(&path).await.unwrap()
    });
    assert_eq!(read, (0..100).collect::<Vec<u8>>());
}

#[test]
fn operations_on_the_cursor_run_one_after_the_other() {
    block_on(|dir| async move {
        let file = Rc::new(File::create_new(dir.join("a")).await.unwrap());
        let writes: Vec<_> = (0..50_u8)
            .map(|i| {
                let file = Rc::clone(&file);
                Handle::current().spawn(async move { file.write_all(&[i; 100]).await })
            })
            .collect();
        for write in writes {
            write.await.unwrap().unwrap();
        }
        let expected: Vec<u8> = (0..50).flat_map(|i| [i; 100]).collect();
        let mut all = Vec::new();
        file.rewind().await.unwrap();
        file.read_to_end(&mut all).await.unwrap();
        assert!(all == expected, "each whole, in the order of asking");
    });
}

#[test]
fn a_dropped_read_moves_no_byte_from_the_cache_or_from_a_thread() {
    block_on(|dir| async move {
        let path = dir.join("a");
        fs::write(&path, pattern(1000)).await.unwrap();
        let file = File::open(&path).await.unwrap();
        // /proc does not support RWF_NOWAIT, so a thread reads.
        let status = File::open("/proc/self/stat").await.unwrap();
        let mut first = [0; 4];
        status.read_exact(&mut first).await.unwrap();
        let mut cursor = 4;
        for _ in 0..100 {
            let mut one = [0];
            let read = poll_once(pin!(status.read(&mut one))).await;
            cursor += read.map_or(0, |read| read.unwrap() as u64);
            assert_eq!(status.stream_position().await.unwrap(), cursor);
        }
        // A read waits for the operation before it, too.
        let mut buf = [0; 10];
        {
            let _busy = BusyPool::new().await;
            let mut end = pin!(file.seek(SeekFrom::End(0)));
            begin(end.as_mut()).await;
            begin_and_drop(file.read(&mut buf)).await;
        }
        assert_eq!(file.stream_position().await.unwrap(), 0);
        file.read_exact(&mut buf).await.unwrap();
        assert_eq!(buf[..], pattern(10));
    });
}

#[test]
fn a_dropped_write_that_no_thread_has_begun_writes_nothing() {
    block_on(|dir| async move {
        let path = dir.join("a");
        let file = File::create_new(&path).await.unwrap();
        file.write_all(b"kept ").await.unwrap();
        let busy = BusyPool::new().await;
        begin_and_drop(file.write(b"dropped")).await;
        begin_and_drop(file.write_at(b"dropped", 0)).await;
        begin_and_drop(fs::write(&path, "dropped")).await;
        begin_and_drop(fs::remove_file(&path)).await;
        begin_and_drop(fs::create_dir(dir.join("dropped"))).await;
        begin_and_drop(File::create(dir.join("dropped"))).await;
        drop(busy);
        file.write_all(b"too").await.unwrap();
        assert_eq!(file.stream_position().await.unwrap(), 8);
        assert_eq!(fs::read_to_string(&path).await.unwrap(), "kept too");
        assert!(!fs::try_exists(dir.join("dropped")).await.unwrap());
    });
}

#[test]
fn a_dropped_write_that_a_thread_has_begun_moves_the_cursor() {
    block_on(|dir| async move {
        let path = dir.join("a");
        let file = File::create_new(&path).await.unwrap();
        let mut expected: Vec<u8> = Vec::new();
        for i in 0..100_u8 {
            let bytes = [i; 10];
            // The write is mostly pending. Whether a thread then runs it or not, the next operation
            // starts at the cursor that it leaves.
            let written = poll_once(pin!(file.write(&bytes))).await;
            let at = file.stream_position().await.unwrap() as usize;
            assert!(written.is_none() || at == expected.len() + 10);
            assert!(at == expected.len() || at == expected.len() + 10);
            if at > expected.len() {
                expected.extend([i; 10]);
            }
            file.write_all(b"|").await.unwrap();
            expected.push(b'|');
        }
        assert!(fs::read(&path).await.unwrap() == expected);
    });
}

#[test]
fn the_loop_and_the_next_operation_wait_for_a_dropped_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let file = Rc::new(event_loop.block_on(File::create(&path)).unwrap());
    let inside = Rc::clone(&file);
    event_loop.handle().spawn(async move {
        poll_once(pin!(inside.write(b"0123456789"))).await;
        let at = inside.stream_position().await.unwrap();
        assert!(at == 0 || at == 10);
    });
    event_loop.run().unwrap();
    assert!(!event_loop.is_alive(), "nothing is left of it");
    drop(file);
}

#[test]
fn errors_are_those_of_the_kernel() {
    block_on(|dir| async move {
        let missing = File::open(dir.join("missing")).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let error = fs::read(&dir).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::ISDIR));
        let error = fs::create_dir(&dir).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::EXIST));
        fs::write(dir.join("a"), "a").await.unwrap();
        let error = fs::remove_dir(&dir).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::NOTEMPTY));
        let file = File::open(dir.join("a")).await.unwrap();
        let error = file.write(b"b").await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::BADF));
        let file = File::create(dir.join("a")).await.unwrap();
        let error = file.read(&mut [0]).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::BADF));
        let error = File::create_new(dir.join("a")).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::EXIST));
    });
}

#[test]
fn operations_on_names_do_what_those_of_std_do() {
    block_on(|dir| async move {
        let name = |name: &str| dir.join(name);
        fs::create_dir_all(name("d/e/f")).await.unwrap();
        fs::write(name("a"), "bytes").await.unwrap();
        fs::rename(name("a"), name("b")).await.unwrap();
        assert_eq!(fs::copy(name("b"), name("c")).await.unwrap(), 5);
        fs::hard_link(name("b"), name("hard")).await.unwrap();
        fs::symlink("b", name("soft")).await.unwrap();
        assert_eq!(fs::read_link(name("soft")).await.unwrap(), Path::new("b"));
        assert!(fs::metadata(name("soft")).await.unwrap().is_file());
        let link = fs::symlink_metadata(name("soft")).await.unwrap();
        assert!(link.file_type().is_symlink());
        let real = fs::canonicalize(name("d/../soft")).await.unwrap();
        assert_eq!(real, fs::canonicalize(name("b")).await.unwrap());
        let mut permissions = fs::metadata(name("b")).await.unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(name("b"), permissions).await.unwrap();
        assert!(
            fs::metadata(name("hard"))
                .await
                .unwrap()
                .permissions()
                .readonly()
        );
        fs::remove_file(name("soft")).await.unwrap();
        assert!(!fs::try_exists(name("soft")).await.unwrap());
        fs::remove_dir(name("d/e/f")).await.unwrap();
        fs::remove_dir_all(name("d")).await.unwrap();
        assert!(!fs::try_exists(name("d")).await.unwrap());
    });
}

#[test]
fn a_directory_of_thousands_is_listed_and_a_dropped_read_loses_no_name() {
    block_on(|dir| async move {
        for i in 0..2000 {
            std::fs::write(dir.join(format!("{i:04}")), "").unwrap();
        }
        std::fs::create_dir(dir.join("sub")).unwrap();
        let mut names = Vec::new();
        let mut entries = fs::read_dir(&dir).await.unwrap();
        loop {
            // Polled once and dropped: the batch that a thread reads is returned later.
            if let Some(entry) = poll_once(pin!(entries.next_entry())).await {
                match entry.unwrap() {
                    Some(entry) => names.push(entry.file_name().to_owned()),
                    None => break,
                }
                continue;
            }
            match entries.next_entry().await.unwrap() {
                Some(entry) => {
                    let is_dir = entry.file_type().await.unwrap().is_dir();
                    assert_eq!(is_dir, entry.file_name() == "sub");
                    assert_eq!(is_dir, entry.metadata().await.unwrap().is_dir());
                    assert_eq!(entry.path(), dir.join(entry.file_name()));
                    names.push(entry.file_name().to_owned());
                }
                None => break,
            }
        }
        names.sort();
        assert_eq!(names.len(), 2001);
        names.dedup();
        assert_eq!(names.len(), 2001);
        let missing = fs::read_dir(dir.join("missing")).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    });
}

#[test]
fn temporary_files_and_directories_remove_themselves() {
    let mut event_loop = EventLoop::with(Options::virtual_time()).unwrap();
    let (dropped, file) = event_loop.block_on(async {
        let dir = TempDir::new().await.unwrap();
        let file = NamedTempFile::new_in(&dir).await.unwrap();
        file.file().write_all(b"complete").await.unwrap();
        let temporary = file.path().to_owned();
        let placed = dir.path().join("placed");
        let written = file.persist(&placed).await.unwrap();
        assert_eq!(written.stream_position().await.unwrap(), 8);
        assert_eq!(fs::read_to_string(&placed).await.unwrap(), "complete");
        assert!(!fs::try_exists(temporary).await.unwrap());

        let unnamed = fs::tempfile().await.unwrap();
        unnamed.write_all(b"nobody finds it").await.unwrap();

        let closed = TempDir::with_prefix_in("closed-", &dir).await.unwrap();
        let path = closed.path().to_owned();
        fs::write(path.join("a"), "").await.unwrap();
        closed.close().await.unwrap();
        assert!(!fs::try_exists(path).await.unwrap());
        let kept = TempDir::new_in(&dir).await.unwrap().keep();
        assert!(fs::try_exists(kept).await.unwrap());
        let file = NamedTempFile::new().await.unwrap();
        (dir.path().to_owned(), file.path().to_owned())
    });
    drop(event_loop); // it waits for what the pool is at
    assert!(!dropped.exists() && !file.exists());
}

#[test]
fn a_fifo_occupies_no_thread_and_loses_no_byte() {
    block_on(|dir| async move {
        let path = dir.join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let no_reader = OpenOptions::new()
            .write(true)
            .open(&path)
            .await
            .unwrap_err();
        assert_eq!(errno(&no_reader), Some(Errno::NXIO));
        let reader = Rc::new(File::open(&path).await.unwrap());
        let error = reader.seek(SeekFrom::Start(0)).await.unwrap_err();
        assert_eq!(errno(&error), Some(Errno::SPIPE));

        // The first read waits for a writer. Ten such reads occupy no thread of the pool.
        let inside = Rc::clone(&reader);
        let waiting = Handle::current().spawn(async move {
            let mut buf = [0; 5];
            inside.read_exact(&mut buf).await.map(|()| buf)
        });
        let others: Vec<_> = (0..10)
            .map(|_| Handle::current().spawn(fs::read(path.clone())))
            .collect();
        yield_now().await;
        assert!(fs::read("/proc/self/stat").await.is_ok());
        others.into_iter().for_each(|other| other.cancel());
        assert!(fs::read("/proc/self/stat").await.is_ok());

        let writer = OpenOptions::new().write(true).open(&path).await.unwrap();
        writer.write_all(b"first").await.unwrap();
        assert_eq!(&waiting.await.unwrap().unwrap(), b"first");
        for round in 0..50_u8 {
            let mut buf = [0; 1];
            {
                let mut read = pin!(reader.read(&mut buf));
                begin(read.as_mut()).await;
                writer.write_all(&[round]).await.unwrap();
                yield_now().await; // the reader is woken, and goes before it reads
            }
            reader.read_exact(&mut buf).await.unwrap();
            assert_eq!(buf[0], round);
        }
        writer.close().await.unwrap();
        assert_eq!(reader.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(reader.as_fd().try_clone_to_owned().is_ok());
    });
}

#[test]
fn a_whole_fifo_is_read_and_written() {
    block_on(|_| async move {
        let (read, write) = io::pipe().unwrap();
        let reader = File::from_std(std::os::fd::OwnedFd::from(read).into()).unwrap();
        let writer = File::from_std(std::os::fd::OwnedFd::from(write).into()).unwrap();
        let bytes = pattern(1 << 20);
        let expected = bytes.clone();
        let written = Handle::current().spawn(async move {
            writer.write_all(&bytes).await.unwrap();
            writer.close().await.unwrap();
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).await.unwrap();
        assert!(read == expected);
        written.await.unwrap();
    });
}

#[test]
fn a_task_that_reads_cached_bytes_keeps_its_io_budget() {
    block_on(|dir| async move {
        let path = dir.join("a");
        fs::write(&path, pattern(1 << 20)).await.unwrap();
        let file = File::open(&path).await.unwrap();
        let turns = Handle::current().stats().turns;
        let mut all = Vec::new();
        file.read_to_end(&mut all).await.unwrap();
        let took = Handle::current().stats().turns - turns;
        assert!(took >= 8, "a megabyte in {took} turns of at most 128 KiB");
    });
}

#[test]
fn time_stands_still_while_a_file_is_read() {
    block_on(|dir| async move {
        let handle = Handle::current();
        let start = handle.now();
        let sleep = handle.spawn(handle.sleep(Duration::from_secs(60)));
        fs::write(dir.join("a"), pattern(1 << 20)).await.unwrap();
        let file = File::open(dir.join("a")).await.unwrap();
        file.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(handle.now(), start);
        sleep.await.unwrap();
        assert_eq!(handle.now() - start, Duration::from_secs(60));
    });
}

#[test]
fn a_file_may_outlive_its_loop() {
    let dir = tempfile::tempdir().unwrap();
    let mut event_loop = EventLoop::new().unwrap();
    let file = event_loop
        .block_on(File::create(dir.path().join("a")))
        .unwrap();
    drop(event_loop);
    let mut std = std::fs::File::from(file.as_fd().try_clone_to_owned().unwrap());
    std.write_all(b"still open").unwrap();
    drop(file);
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"still open");
}
