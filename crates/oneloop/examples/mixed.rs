//! Three styles share one loop: callbacks serve the clients, a green thread counts the words of
//! texts with code for any `Read`, and an async task ends the program.

use oneloop::callback::net::{Server, create_server};
use oneloop::callback::{Thrown, run};
use oneloop::green::{self, Wait, net::TcpStream};
use oneloop::signal::{SIGINT, SIGTERM};
use oneloop::sync::{Queue, ShutdownToken};
use std::io::{self, BufRead, BufReader, Read};
use std::process::ExitCode;

/// Stands for a library that reads from any `Read` and knows no loop.
fn count_words(text: impl Read) -> io::Result<usize> {
    let counts = BufReader::new(text).lines();
    counts
        .map(|line| Ok(line?.split_whitespace().count()))
        .sum()
}

/// Callbacks: each line names the address of a text, or asks the program to end.
fn serve(orders: Queue<Option<String>>, shutdown: ShutdownToken) -> Result<Server, Thrown> {
    let no_more = orders.clone();
    let server = create_server(move |client| {
        let (orders, shutdown) = (orders.clone(), shutdown.clone());
        client.on_error(|_, error| eprintln!("a client failed: {error}"));
        client.on_lines(200, move |_, line| match line {
            "quit" => shutdown.trigger(),
            addr => drop(orders.try_put(Some(addr.to_owned()))),
        });
    });
    server.listen("127.0.0.1:0")?;
    server.on_listening(|server| println!("listening on {}", server.address().unwrap()));
    // The last client has left, so no order can follow.
    server.on_close(move |_| drop(no_more.try_put(None)));
    Ok(server)
}

/// A green thread: it waits where a thread would block, and the loop continues.
fn work(orders: Queue<Option<String>>) -> usize {
    let mut total = 0;
    while let Some(addr) = orders.get().wait() {
        match TcpStream::connect(&addr).and_then(count_words) {
            Ok(count) => {
                println!("{addr} has {count} words");
                total += count;
            }
            Err(error) => println!("{addr}: {error}"),
        }
    }
    total
}

fn main() -> io::Result<ExitCode> {
    let code = run(|| -> Result<(), Thrown> {
        let orders = Queue::unbounded();
        let shutdown = ShutdownToken::on_signals(&[SIGINT, SIGTERM])?;
        let server = serve(orders.clone(), shutdown.clone())?;
        let worker = green::spawn(move || work(orders));
        // An async task: the order in which the program ends, from top to bottom.
        oneloop::aio::spawn(async move {
            shutdown.requested().await;
            server.close();
            println!("{} words in all", worker.await.unwrap());
        });
        Ok(())
    })?;
    Ok(ExitCode::from(code))
}
