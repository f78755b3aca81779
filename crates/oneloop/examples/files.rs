//! Watches a directory while another task works in it, once in each style: `cargo run --example
//! files`.
//!
//! Each task writes a draft and renames it into place; each watcher prints what it saw.

use oneloop::callback::{self, Thrown};
use oneloop::{EventLoop, Options, aio, green};
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

type Say = Rc<dyn Fn(&str)>;

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Notes a change, for the watchers of two styles. True when the file is in place.
fn tell(style: &str, change: &aio::fs::Change, say: &Say) -> bool {
    use aio::fs::Change;
    match change {
        Change::Created(path) => say(&format!("{style}: {} is there", name(path))),
        Change::Renamed { from, to } => {
            say(&format!("{style}: {} is {} now", name(from), name(to)));
            return true;
        }
        _ => {} // modified, perhaps several times
    }
    false
}

async fn in_async(say: Say) -> io::Result<()> {
    use aio::fs::{self, NamedTempFile, TempDir, WatchOptions, Watcher};
    let dir = TempDir::new().await?;
    let watcher = Watcher::new()?;
    watcher.watch(&dir, WatchOptions::default()).await?;
    let path = dir.path().to_owned();
    let worker = aio::spawn(async move {
        let file = NamedTempFile::new().await?;
        file.file().write_all(b"a report\n").await?;
        fs::copy(file.path(), path.join("draft")).await?;
        fs::rename(path.join("draft"), path.join("report")).await
    });
    while !tell("async", &watcher.next().await?, &say) {}
    worker.await??;
    dir.close().await
}

fn in_green(say: &Say) -> io::Result<()> {
    use green::fs::{self, File, TempDir, WatchOptions, Watcher};
    let dir = TempDir::new()?;
    let watcher = Watcher::new()?;
    watcher.watch(&dir, WatchOptions::default())?;
    let path = dir.path().to_owned();
    let worker = green::spawn(move || {
        writeln!(File::create(path.join("draft"))?, "a report")?;
        fs::rename(path.join("draft"), path.join("report"))
    });
    while !tell("green", &watcher.next()?, say) {}
    worker.join().expect("it does not panic")?;
    dir.close()
}

fn in_callbacks(say: Say) {
    use callback::fs;
    fs::mkdtemp(std::env::temp_dir().join("files-"), move |dir| {
        let dir = dir?;
        let watcher = fs::watch(&dir, move |what, name| {
            let name = name.unwrap_or(Path::new("?")).display();
            say(&format!("callback: {what} {name}"));
        })?;
        let (draft, report) = (dir.join("draft"), dir.join("report"));
        fs::write_file(draft.clone(), "a report\n", move |written| {
            written?;
            fs::rename(draft, report, move |renamed| {
                renamed?;
                // The events of it are handled before this immediate runs.
                callback::set_immediate(move || {
                    watcher.close();
                    fs::rm_with(
                        dir,
                        fs::RmOptions {
                            recursive: true,
                            force: false,
                        },
                        |removed| removed,
                    );
                });
                Ok::<_, Thrown>(())
            });
            Ok::<_, Thrown>(())
        });
        Ok::<_, Thrown>(())
    });
}

/// Runs the three styles, one after the other, and passes each line to a function.
pub(crate) fn files(say: impl Fn(&str) + 'static) -> io::Result<()> {
    let say: Say = Rc::new(say);
    let mut event_loop = EventLoop::with(Options::virtual_time())?;
    event_loop.block_on(in_async(Rc::clone(&say)))?;
    let inside = Rc::clone(&say);
    green::run_on(&mut event_loop, move || in_green(&inside))??;
    callback::run_on(&mut event_loop, move || in_callbacks(say))?;
    Ok(())
}

fn main() -> io::Result<()> {
    files(|line| println!("{line}"))
}
