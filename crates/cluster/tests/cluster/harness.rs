//! A cluster that echoes, and its clients.

use oneloop::EventLoop;
use oneloop::aio::spawn;
use oneloop::cluster::{Cluster, ClusterListener, Connection, Member};
use oneloop::net::Addr;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::{Mutex, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

/// Long enough for a test that passes, however busy the machine is.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A cluster in which all loops listen on one address, and echo.
pub(crate) struct Echoing {
    pub(crate) addr: Addr,
    pub(crate) cluster: Cluster,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Echoing {
    pub(crate) fn start(loops: usize, addr: &str) -> Self {
        let (listens, all_listen) = mpsc::channel();
        let (listens, addr) = (Mutex::new(listens), addr.to_owned());
        let thread = thread::spawn(move || {
            oneloop::cluster(loops, move |member| {
                let (listens, addr) = (listens.lock().unwrap().clone(), addr.clone());
                async move {
                    let listener = member.listen(&addr)?;
                    let name = (listener.local_addr().clone(), member.cluster().clone());
                    listens.send(name).unwrap();
                    while let Some(connection) = listener.accept().await? {
                        spawn(echo(connection));
                    }
                    Ok(())
                }
            })
        });
        let names: Vec<_> = (0..loops).map(|_| all_listen.recv().unwrap()).collect();
        let (addr, cluster) = names[0].clone();
        assert!(names.iter().all(|(other, _)| *other == addr), "{names:?}");
        Echoing {
            addr,
            cluster,
            thread,
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr.inet().unwrap()).unwrap()
    }

    /// Waits until no loop has a connection, stops the cluster, and waits for its end.
    pub(crate) fn stop(self) {
        self.cluster.stop(LONG);
        self.thread.join().unwrap().unwrap();
        assert_eq!(self.cluster.connections().iter().sum::<usize>(), 0);
    }
}

async fn echo(connection: Connection) -> io::Result<()> {
    while let Some(chunk) = connection.read_chunk().await? {
        connection.write_all(&chunk).await?;
    }
    Ok(())
}

/// Sends a byte, and waits for the answer: the connection is served then.
#[track_caller]
pub(crate) fn expect_echo(mut stream: impl Read + Write) {
    stream.write_all(b"x").unwrap();
    let mut answer = [0];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"x");
}

/// Raises the limit of open files; false if it cannot be that high.
pub(crate) fn raise_fds(fds: u64) -> bool {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: Some(fds),
        ..limit
    };
    limit.current.is_none_or(|current| current >= fds)
        || setrlimit(Resource::Nofile, raised).is_ok()
}

/// The loops of two members on one thread: the test decides which of them runs, and when.
pub(crate) fn pair() -> [(EventLoop, Member); 2] {
    members(&Cluster::new(2)).try_into().unwrap()
}

/// The loops of all members, on one thread.
pub(crate) fn members(cluster: &Cluster) -> Vec<(EventLoop, Member)> {
    let member = |id| {
        let event_loop = EventLoop::new().unwrap();
        let member = Member::join(cluster, id, &event_loop.handle());
        (event_loop, member)
    };
    (0..cluster.loops()).map(member).collect()
}

/// A name for each test. All loops share the backlog of a Unix socket, so the one that runs accepts
/// everything.
pub(crate) fn unix_name(test: &str) -> String {
    format!("unix:@oneloop-{test}-{}", std::process::id())
}

/// Connects to a name of that kind.
pub(crate) fn connect_unix(name: &str, count: usize) -> Vec<UnixStream> {
    let addr = SocketAddr::from_abstract_name(&name.as_bytes()[6..]).unwrap();
    let connect = |_| UnixStream::connect_addr(&addr).unwrap();
    (0..count).map(connect).collect()
}

/// What this loop accepts now: the connections, and whether accepting is over.
pub(crate) fn accept_now(
    event_loop: &mut EventLoop,
    listener: &ClusterListener,
) -> (Vec<Connection>, bool) {
    let mut accepted = Vec::new();
    let handle = event_loop.handle();
    let is_over = event_loop.block_on(async {
        // A turn takes no more than a share of I/O, so it ends after a few that find nothing.
        let mut quiet = 0;
        while quiet < 5 {
            quiet += 1;
            let next = || poll_fn(|cx| Poll::Ready(listener.poll_accept(cx)));
            while let Poll::Ready(next) = next().await {
                quiet = 0;
                match next.unwrap() {
                    Some(connection) => accepted.push(connection),
                    None => return true,
                }
            }
            handle.sleep(Duration::from_millis(1)).await;
        }
        false
    });
    (accepted, is_over)
}
