//! `readline`: lines, whatever the chunks of their stream are.

use super::files::{remove, temp_dir};
use super::say;
use oneloop::callback::fs::{self, ReadStreamOptions};
use oneloop::callback::{Thrown, next_tick};
use std::path::PathBuf;

type Continue = Result<(), Thrown>;

const TEXT: &[u8] = b"one\ntwo\r\n\r\nthree\rfour\r\r\n\nf\xc3\xbcnf \xe2\x82\xac\r\na\xffb\nlast";

pub(super) fn lines() -> Continue {
    let d = temp_dir()?;
    std::fs::write(d.join("a"), TEXT)?;
    std::fs::write(d.join("b"), "ends\n")?;
    std::fs::write(d.join("c"), "")?;
    std::fs::write(d.join("d"), "return\r")?;
    let sizes = (1..16).chain((16..=64).step_by(12));
    let runs = sizes.map(|n| ("a", n));
    let others = ["b", "c", "d"].map(|name| [(name, 1), (name, 64)]);
    let runs: Vec<_> = runs.chain(others.into_iter().flatten()).collect();
    go(d, runs.into_iter())
}

/// `go()`
fn go(
    d: PathBuf,
    mut runs: impl Iterator<Item = (&'static str, usize)> + Clone + 'static,
) -> Continue {
    let Some((name, n)) = runs.next() else {
        return remove(&d);
    };
    println!("-- {name} {n}");
    let options = ReadStreamOptions {
        high_water_mark: Some(n),
        ..Default::default()
    };
    let input = fs::create_read_stream_with(d.join(name), options);
    input.on_lines(1024, |_, l| {
        println!("{l:?}");
        next_tick(say("tick"));
    });
    input.on_end(|_| println!("end"));
    input.on_close(move |_| {
        println!("close");
        go(d.clone(), runs.clone())
    });
    Ok(())
}
