//! A cluster that echoes, and its clients.

use oneloop::aio::spawn;
use oneloop::cluster::{Cluster, Connection, Member};
use oneloop::net::Addr;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
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
pub(crate) fn pair() -> [(oneloop::EventLoop, Member); 2] {
    let cluster = Cluster::new(2);
    [0, 1].map(|id| {
        let event_loop = oneloop::EventLoop::new().unwrap();
        let member = Member::join(&cluster, id, &event_loop.handle());
        (event_loop, member)
    })
}
