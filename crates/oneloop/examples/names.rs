//! Connects by name in each style, to a server in the same program: `cargo run --example names`.
//!
//! No lookup blocks the loop. The connect tries the addresses of a name until one answers.

use oneloop::EventLoop;
use oneloop::aio::{self, TcpListener, TcpStream};
use oneloop::callback::{dns, net, run_on};
use oneloop::green;
use std::io::{self, Read};
use std::net::SocketAddr;

/// Listens at a name, greets each client, and returns the port.
async fn serve() -> io::Result<u16> {
    let listener = TcpListener::bind_name("localhost:0").await?;
    let port = listener.local_addr()?.port();
    aio::spawn(async move {
        for _ in 0..3 {
            let (stream, _peer) = listener.accept().await?;
            stream.write_all(b"hello").await?;
        }
        io::Result::Ok(())
    });
    Ok(port)
}

async fn in_async_style(port: u16) -> io::Result<()> {
    let stream = TcpStream::connect(("localhost", port)).await?;
    let greeting = stream.read_chunk().await?;
    println!(
        "async: {:?}",
        greeting.as_deref().map(String::from_utf8_lossy)
    );
    Ok(())
}

fn in_a_green_thread(port: u16) -> io::Result<()> {
    let mut stream = green::net::TcpStream::connect(("localhost", port))?;
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting)?;
    println!("green: {greeting}");
    Ok(())
}

fn in_callbacks(port: u16) -> Result<(), net::Error> {
    dns::lookup("localhost", dns::LookupOptions::default(), |found| {
        println!("callback: localhost is {}", found?);
        Ok::<_, net::Error>(())
    });
    let socket = net::connect(("localhost", port))?;
    socket.on_data(|_, data| println!("callback: {}", String::from_utf8_lossy(data)));
    socket.on_error(|_, error| eprintln!("{error}"));
    Ok(())
}

fn main() -> io::Result<()> {
    let mut event_loop = EventLoop::new()?;
    let port = event_loop.block_on(async {
        let port = serve().await?;
        in_async_style(port).await?;
        let thread = green::spawn(move || in_a_green_thread(port));
        thread.await.expect("it does not panic")?;
        let no_name = oneloop::net::resolve("no-such-name.invalid", port).await;
        println!("and an error: {}", no_name.unwrap_err());
        let local: SocketAddr = ([127, 0, 0, 1], port).into();
        let (host, _) = oneloop::net::resolve_name(local, None).await?;
        println!("{local} is {host}");
        Ok::<_, io::Error>(port)
    })?;
    run_on(&mut event_loop, move || in_callbacks(port))?;
    Ok(())
}
