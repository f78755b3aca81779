//! What the tests share.

use oneloop::aio::{TcpListener, TcpStream, UnixStream, join, spawn};
use oneloop::net::{ReadHalf, WriteHalf};
use oneloop::tls::{
    ClientOptions, Identity, Roots, ServerOptions, TlsAcceptor, TlsConnector, TlsStream,
};
use oneloop::{EventLoop, Options};
use rcgen::{CertificateParams, DnType, KeyPair};
use std::future::Future;
use std::io;
use std::sync::LazyLock;

/// More than any text of these tests has.
pub(crate) const BYTES_MAX: usize = 64 << 20;

/// Runs a future on a new loop in virtual time.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    EventLoop::with(Options::virtual_time())
        .unwrap()
        .block_on(future)
}

/// A certificate that signs itself, and its key, in PEM.
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Made {
    pub(crate) fn of(names: &[&str]) -> Self {
        let list: Vec<_> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(list).unwrap();
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CommonName, names[0]); // a stranger's differs
        let key = KeyPair::generate().unwrap();
        Made {
            certificate: params.self_signed(&key).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::from_pem(&self.certificate, &self.key).unwrap()
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem(&self.certificate).unwrap()
    }

    pub(crate) fn acceptor(&self, options: ServerOptions) -> TlsAcceptor {
        TlsAcceptor::new([self.identity()], options).unwrap()
    }

    pub(crate) fn connector(&self, options: ClientOptions) -> TlsConnector {
        TlsConnector::new(self.roots(), options).unwrap()
    }
}

/// The certificate of `localhost`.
pub(crate) static LOCALHOST: LazyLock<Made> = LazyLock::new(|| Made::of(&["localhost"]));

pub(crate) fn acceptor() -> TlsAcceptor {
    LOCALHOST.acceptor(ServerOptions::default())
}

pub(crate) fn connector() -> TlsConnector {
    LOCALHOST.connector(ClientOptions::default())
}

/// Does both handshakes of a connection: the client's result, and the server's.
pub(crate) async fn both<S: ReadHalf + WriteHalf>(
    connector: &TlsConnector,
    acceptor: &TlsAcceptor,
    (client, server): (S, S),
) -> (io::Result<TlsStream<S>>, io::Result<TlsStream<S>>) {
    join(
        connector.connect("localhost", client),
        acceptor.accept(server),
    )
    .await
}

/// Two ends that have done their handshakes.
pub(crate) async fn shaken<S: ReadHalf + WriteHalf>(ends: (S, S)) -> (TlsStream<S>, TlsStream<S>) {
    let (client, server) = both(&connector(), &acceptor(), ends).await;
    (client.unwrap(), server.unwrap())
}

/// Both ends of a connection over a Unix socket.
pub(crate) async fn pair() -> (TlsStream<UnixStream>, TlsStream<UnixStream>) {
    shaken(UnixStream::pair().unwrap()).await
}

/// The two ends of a TCP connection: the client, and what the server has accepted.
pub(crate) async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await;
    (client.unwrap(), listener.accept().await.unwrap().0)
}

/// Bytes without a short period.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8).collect()
}

/// Sends back what the peer sends, until its end, and then ends as well.
pub(crate) async fn echo(stream: impl ReadHalf + WriteHalf) -> io::Result<()> {
    while let Some(chunk) = stream.read_chunk().await? {
        stream.write_all(&chunk).await?;
    }
    stream.end()
}

/// The end that a task reads while this one writes.
pub(crate) async fn sent_and_echoed<S>(client: TlsStream<S>, sent: &[u8]) -> Vec<u8>
where
    S: ReadHalf + WriteHalf + 'static,
{
    let client = std::rc::Rc::new(client);
    let reader = std::rc::Rc::clone(&client);
    let echoed = spawn(async move { reader.read_all(BYTES_MAX).await.unwrap() });
    client.write_all(sent).await.unwrap();
    client.shutdown().await.unwrap();
    echoed.await.unwrap()
}
