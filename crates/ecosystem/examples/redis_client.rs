//! A client of Redis, the crate redis over a stream of the loop: commands side by side on one
//! connection, a pipeline, and a subscription.
//!
//! `cargo run -p oneloop-ecosystem --example redis_client redis://localhost`

use oneloop::aio::{TcpStream, block_on, local, spawn, timeout, try_join_all};
use oneloop::sync::{Receiver, channel};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncCommands, AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Msg,
    ProtocolVersion, PushInfo, RedisError, RedisResult,
};
use std::error::Error;
use std::time::Duration;
use std::{env, io};
use tokio::io::{AsyncRead, AsyncWrite};

fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1);
    let url = url.as_deref().unwrap_or("redis://localhost");
    block_on(show(&url.into_connection_info()?))
}

/// Shows what a client does.
pub(crate) async fn show(info: &ConnectionInfo) -> Result<(), Box<dyn Error>> {
    let (mut connection, pushes) = connect(info, open(info).await?).await?;
    println!("visits: {:?}", visit(&connection, "tea", 10).await?);
    let (before, after): (Option<String>, String) = redis::pipe()
        .atomic()
        .get("example:teapot")
        .set("example:teapot", "full")
        .ignore()
        .get("example:teapot")
        .query_async(&mut connection)
        .await?;
    println!("{before:?}, then {after}");
    connection.subscribe("example:news").await?;
    let _: i64 = connection.publish("example:news", "tea is ready").await?;
    let message = timeout(Duration::from_secs(1), next_message(&pushes)).await?;
    println!(
        "{:?}",
        message.map(|message| message.get_payload::<String>())
    );
    Ok(()) // the drop of the last connection ends it
}

/// Connects to the server of a URL.
pub(crate) async fn open(info: &ConnectionInfo) -> io::Result<TcpStream> {
    match info.addr() {
        ConnectionAddr::Tcp(name, port) => TcpStream::connect((&name[..], *port)).await,
        _ => Err(io::ErrorKind::InvalidInput.into()), // `aio::UnixStream` reaches the others
    }
}

/// Starts a session over any stream, which any number of tasks share by clones. The connection is a
/// task, which ends once the last clone is dropped, and what the server pushes with it.
pub(crate) async fn connect(
    info: &ConnectionInfo,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
) -> RedisResult<(MultiplexedConnection, Receiver<PushInfo>)> {
    let (sender, pushes) = channel(None);
    let sender = local(sender);
    let config = AsyncConnectionConfig::new()
        .set_response_timeout(None) // it needs tokio's clock; `timeout` has the loop's
        .set_push_sender(move |push| sender.with(|sender| sender.try_send(push)));
    let settings = info.redis_settings().clone();
    let settings = settings.set_protocol(ProtocolVersion::RESP3); // the one that has pushes
    let stream = local(stream); // redis demands `Send`
    let connected = MultiplexedConnection::new_with_config(&settings, stream, config);
    let (connection, driver) = connected.await?;
    spawn(driver);
    Ok((connection, pushes))
}

/// Counts visits of a page, all at once: no command waits for the answer of another.
pub(crate) async fn visit(
    connection: &MultiplexedConnection,
    page: &str,
    visits: usize,
) -> Result<Vec<i64>, RedisError> {
    let visits = (0..visits).map(async |_| {
        let mut connection = connection.clone();
        connection.incr(format!("example:visits:{page}"), 1).await
    });
    try_join_all(visits).await
}

/// The next message of a subscription, `None` once the connection has ended.
pub(crate) async fn next_message(pushes: &Receiver<PushInfo>) -> Option<Msg> {
    loop {
        // The server also pushes that a subscription has begun.
        if let Some(message) = Msg::from_push_info(pushes.receive().await?) {
            return Some(message);
        }
    }
}
