//! Upcases standard input, of any kind, while a timer ticks: `cargo run --example stdin`.
//!
//! `cargo run --example stdin green` and `… callback` do the same in the other styles.

use oneloop::callback::process::{stderr, stdin, stdout};
use oneloop::callback::{self, clear_interval, set_interval};
use oneloop::{aio, green};
use std::cell::Cell;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(10);

/// A number that a timer increments.
type Ticks = Rc<Cell<u32>>;

fn count(ticks: &Ticks) {
    ticks.set(ticks.get() + 1);
}

/// async/await: bytes as they come.
async fn in_async_style() -> io::Result<u32> {
    let ticks = Ticks::default();
    let counted = Rc::clone(&ticks);
    let timer = aio::spawn(async move {
        let mut interval = aio::interval(TICK);
        loop {
            interval.tick().await;
            count(&counted);
        }
    });
    let (stdin, stdout) = (aio::stdin()?, aio::stdout()?);
    while let Some(chunk) = stdin.read_chunk().await? {
        stdout.write_all(&chunk.to_ascii_uppercase()).await?;
    }
    stdout.flush().await?;
    timer.cancel();
    Ok(ticks.get())
}

/// Green threads: line by line, as if the code blocked.
fn in_a_green_thread() -> io::Result<u32> {
    let ticks = Ticks::default();
    let counted = Rc::clone(&ticks);
    let timer = green::spawn(move || {
        loop {
            green::sleep(TICK);
            count(&counted);
        }
    });
    let mut stdout = green::stdout()?;
    for line in BufReader::new(green::stdin()?).lines() {
        writeln!(stdout, "{}", line?.to_uppercase())?;
    }
    stdout.flush()?;
    timer.kill();
    Ok(ticks.get())
}

/// Callbacks: a pipe with backpressure.
fn in_callbacks() {
    let ticks = Ticks::default();
    let counted = Rc::clone(&ticks);
    let timer = set_interval(move || count(&counted), TICK.as_millis() as f64);
    stdin().on_data(|stdin, bytes| {
        if !stdout().write(bytes.to_ascii_uppercase()) {
            stdin.pause();
        }
    });
    stdout().on_drain(|_| {
        stdin().resume();
    });
    stdin().on_end(move |_| {
        clear_interval(timer);
        stderr().write(format!("{} ticks\n", ticks.get()));
    });
}

fn main() -> io::Result<ExitCode> {
    let ticks = match env::args().nth(1).as_deref() {
        Some("callback") => return Ok(callback::run(in_callbacks)?.into()),
        Some("green") => green::run(in_a_green_thread)??,
        _ => aio::block_on(in_async_style())?,
    };
    eprintln!("{ticks} ticks");
    Ok(ExitCode::SUCCESS)
}
