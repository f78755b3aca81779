//! Tasks and a blocking thread share one runtime: tasks serve the clients, the thread counts the
//! words of texts with code for any `Read`, and the main task ends the program.

use futures_util::StreamExt;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Stands for a library that reads from any `Read` and knows no runtime.
fn count_words(text: impl Read) -> io::Result<usize> {
    let counts = BufReader::new(text).lines();
    counts
        .map(|line| Ok(line?.split_whitespace().count()))
        .sum()
}

/// A task for each client: each line names the address of a text, or asks the program to end.
async fn serve(
    client: TcpStream,
    orders: UnboundedSender<String>,
    shutdown: CancellationToken,
) -> Result<(), LinesCodecError> {
    let mut lines = FramedRead::new(client, LinesCodec::new_with_max_length(200));
    while let Some(line) = lines.next().await {
        match line?.as_str() {
            "quit" => shutdown.cancel(),
            addr => drop(orders.send(addr.to_owned())),
        }
    }
    Ok(())
}

/// A thread of its own, because the library blocks it.
fn work(mut orders: UnboundedReceiver<String>) -> usize {
    let mut total = 0;
    while let Some(addr) = orders.blocking_recv() {
        match std::net::TcpStream::connect(&addr).and_then(count_words) {
            Ok(count) => {
                println!("{addr} has {count} words");
                total += count;
            }
            Err(error) => println!("{addr}: {error}"),
        }
    }
    total
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (orders, received) = unbounded_channel();
    let worker = tokio::task::spawn_blocking(move || work(received));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (clients, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted?;
                let serving = serve(client, orders.clone(), shutdown.clone());
                clients.spawn(async {
                    if let Err(error) = serving.await {
                        eprintln!("a client failed: {error}");
                    }
                });
            }
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = shutdown.cancelled() => break,
        }
    }
    // The order in which the program ends, from top to bottom.
    drop(listener);
    clients.close();
    clients.wait().await;
    drop(orders); // no client is left, so no order can follow
    println!("{} words in all", worker.await?);
    Ok(())
}
