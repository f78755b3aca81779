//! Child processes in the three styles: each sorts the same words with sort(1), and none blocks the
//! loop.

use oneloop::aio;
use oneloop::callback::{self, child_process};
use oneloop::green;
use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

const WORDS: &str = "pear\napple\nfig\n";

/// async/await: one call.
async fn sorted() -> io::Result<String> {
    let mut command = aio::process::Command::new("sort");
    let output = command.input(WORDS).output().await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Green threads: the `Read` and `Write` of the standard library, on the pipes of the child.
fn sorted_green() -> io::Result<String> {
    use green::process::{Command, Stdio};
    let mut command = Command::new("sort");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(WORDS.as_bytes())?;
    drop(stdin); // ends the input
    let mut text = String::new();
    child
        .stdout
        .take()
        .expect("it is piped")
        .read_to_string(&mut text)?;
    child.wait()?;
    Ok(text)
}

/// Callbacks: events, as in Node.
fn sort_with_callbacks() -> Result<(), child_process::Error> {
    let child = child_process::spawn("sort", [""; 0])?;
    child.stdin().expect("it is piped").end_with(WORDS);
    let stdout = child.stdout().expect("it is piped");
    let sorted = Rc::new(RefCell::new(Vec::new()));
    let all = Rc::clone(&sorted);
    stdout.on_data(move |_, bytes| sorted.borrow_mut().extend_from_slice(bytes));
    stdout.on_end(move |_| show("callback", &String::from_utf8_lossy(&all.borrow())));
    Ok(())
}

fn show(style: &str, text: &str) {
    println!("{style}: {}", text.trim().replace('\n', ", "));
}

fn main() -> io::Result<()> {
    show("async", &aio::block_on(sorted())?);
    show("green", &green::run(sorted_green)??);
    callback::run(sort_with_callbacks)?;
    Ok(())
}
