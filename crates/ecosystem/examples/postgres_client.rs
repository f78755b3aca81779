//! A client of PostgreSQL, tokio-postgres over a stream of the loop: queries side by side on one
//! connection, a transaction, notifications, and a limit for a statement.
//!
//! `cargo run -p oneloop-ecosystem --example postgres_client postgres://USER:PASSWORD@localhost/DATABASE`,
//! with `?sslmode=require` at its end for a connection over TLS.

use oneloop::aio::{TcpStream, block_on, spawn, timeout, try_join_all};
use oneloop::sync::{Receiver, channel};
use oneloop::tls::{ClientOptions, Roots, TlsConnector, TlsStream};
use std::env;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::{ChannelBinding, TlsConnect};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Notification};

fn main() -> Result<(), Box<dyn Error>> {
    let url = env::args().nth(1);
    let url = url.as_deref().unwrap_or("postgres://postgres@localhost");
    let config: Config = url.parse()?;
    match config.get_ssl_mode() {
        SslMode::Require => block_on(show(&config, &Tls::new(&config, Roots::system()?)?)),
        _ => block_on(show(&config, &NoTls)),
    }
}

/// Shows what a client does.
pub(crate) async fn show<T>(config: &Config, tls: &T) -> Result<(), Box<dyn Error>>
where
    T: TlsConnect<TcpStream, Stream: 'static> + Clone,
{
    let (mut client, notifications) = connect(config, open(config).await?, tls.clone()).await?;
    let table = "CREATE TEMPORARY TABLE teas (name TEXT PRIMARY KEY, minutes INT); LISTEN teas";
    client.batch_execute(table).await?;
    add(&mut client, &[("black", 4), ("green", 2)]).await?;
    println!("{:?} minutes", minutes(&client, &["green", "black"]).await?);
    if let Some(notification) = notifications.receive().await {
        println!("notified: {}", notification.payload());
    }
    let second = Duration::from_secs(1);
    let slept = execute_within(second, &client, (config, tls), "SELECT pg_sleep(60)").await;
    println!("{:?}", slept.map_err(|error| error.to_string()));
    Ok(()) // the drop of the client ends its connection
}

/// Connects to the first host of a configuration.
pub(crate) async fn open(config: &Config) -> io::Result<TcpStream> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => TcpStream::connect((&name[..], port)).await,
        _ => Err(io::ErrorKind::InvalidInput.into()), // `aio::UnixStream` reaches the others
    }
}

/// Starts a session over any stream. The connection is a task, which ends once the client is
/// dropped, and the notifications with it.
pub(crate) async fn connect<S>(
    config: &Config,
    stream: S,
    tls: impl TlsConnect<S, Stream: 'static>,
) -> Result<(Client, Receiver<Notification>), tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (client, mut connection) = config.connect_raw(stream, tls).await?;
    let (sender, notifications) = channel(None);
    spawn(async move {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            match message {
                // Fails once its receiver is dropped.
                Ok(AsyncMessage::Notification(notified)) => drop(sender.try_send(notified)),
                Ok(notice) => eprintln!("{notice:?}"),
                Err(error) => return eprintln!("the connection failed: {error}"),
            }
        }
    });
    Ok((client, notifications))
}

/// Adds all teas or none, and notifies the sessions that listen.
pub(crate) async fn add(
    client: &mut Client,
    teas: &[(&str, i32)],
) -> Result<(), tokio_postgres::Error> {
    // A transaction that is dropped before its commit is rolled back.
    let transaction = client.transaction().await?;
    for (name, minutes) in teas {
        let insert = "INSERT INTO teas VALUES ($1, $2)";
        transaction.execute(insert, &[name, minutes]).await?;
        let notify = "SELECT pg_notify('teas', $1)";
        transaction.execute(notify, &[name]).await?;
    }
    transaction.commit().await
}

/// Asks for all teas at once, by one prepared statement: no query waits for the answer of another.
pub(crate) async fn minutes(
    client: &Client,
    names: &[&str],
) -> Result<Vec<i32>, tokio_postgres::Error> {
    let select = client.prepare("SELECT minutes FROM teas WHERE name = $1");
    let select = select.await?;
    let queries = names.iter().map(async |name| {
        let row = client.query_one(&select, &[name]).await?;
        row.try_get(0)
    });
    try_join_all(queries).await
}

/// Executes statements, and asks the server to cancel them after `limit`. A query whose future is
/// dropped would only lose its answer, and hold up the next one.
///
/// # Errors
/// The server's: after a cancel, its code is [`QUERY_CANCELED`](tokio_postgres::error::SqlState).
pub(crate) async fn execute_within<T>(
    limit: Duration,
    client: &Client,
    (config, tls): (&Config, &T),
    statements: &str,
) -> Result<(), Box<dyn Error>>
where
    T: TlsConnect<TcpStream> + Clone,
{
    let mut executed = pin!(client.batch_execute(statements));
    loop {
        if let Ok(result) = timeout(limit, executed.as_mut()).await {
            return Ok(result?);
        }
        // The server ignores a cancel that comes before the statements: so there may be more.
        let token = client.cancel_token();
        let canceled = token.cancel_query_raw(open(config).await?, tls.clone());
        canceled.await?;
    }
}

/// TLS for a connection, as tokio-postgres asks for it.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    host: String,
}

impl Tls {
    /// Trusts these roots, and expects the name of the first host in the server's certificate.
    pub(crate) fn new(config: &Config, roots: Roots) -> io::Result<Self> {
        let Some(Host::Tcp(host)) = config.get_hosts().first() else {
            return Err(io::ErrorKind::InvalidInput.into()); // a Unix socket needs no TLS
        };
        let connector = TlsConnector::new(roots, ClientOptions::default())?;
        let host = host.clone();
        Ok(Tls { connector, host })
    }
}

impl TlsConnect<TcpStream> for Tls {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>>>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move {
            let connected = self.connector.connect(&self.host, stream).await;
            connected.map(Encrypted)
        })
    }
}

/// A connection over TLS. Only this crate may implement the trait of tokio-postgres for its type.
pub(crate) struct Encrypted(TlsStream<TcpStream>);

impl tokio_postgres::tls::TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(&mut self.0), cx)
    }
}
