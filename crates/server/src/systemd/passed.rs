//! The sockets with which the server was started: those of a service manager, as `sd_listen_fds(3)`
//! defines it, and those of its predecessor in a hot restart, which come the same way.
//!
//! `--listen fd:NAME` takes the sockets of that name. An address of `--listen` takes the sockets that
//! listen there, instead of binding it. Without `--listen`, the server takes all sockets that a
//! service manager has passed.

use crate::failure::in_words;
use oneloop::net::{Addr, Listener};
use oneloop_posix::take_inherited;
use rustix::io::Errno;
use rustix::net::{SocketType, sockopt};
use std::env;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process;
use tracing::warn;

/// The number of the first fd.
const FIRST: i32 = 3;

/// The name of sockets that the predecessor has bound itself.
pub(crate) const BOUND: &str = "oneloop-bound";
/// The name of those whose port the kernel chose.
pub(crate) const BOUND_ANY_PORT: &str = "oneloop-bound-any-port";
/// The name of locks on the paths of Unix sockets.
pub(crate) const LOCK: &str = "oneloop-lock";
/// The name of the socket for operators.
pub(crate) const ADMIN: &str = "oneloop-admin";
/// The name of the connection to the predecessor.
pub(crate) const PREDECESSOR: &str = "oneloop-predecessor";

/// What the server was started with.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    sockets: Vec<PassedSocket>,
    locks: Vec<File>,
    predecessor: Option<UnixStream>,
}

/// One socket that listens.
#[derive(Debug)]
pub(crate) struct PassedSocket {
    number: i32,
    /// As `FileDescriptorName=` of systemd.socket(5) sets it.
    pub(crate) name: String,
    pub(crate) addr: Addr,
    pub(crate) fd: OwnedFd,
}

impl PassedSocket {
    /// True if the server itself, or a predecessor, has bound it.
    fn is_bound_by_us(&self) -> bool {
        [ADMIN, BOUND, BOUND_ANY_PORT].contains(&self.name.as_str())
    }
}

impl Passed {
    /// Takes what was passed to this process. To be called before it opens any file.
    ///
    /// # Errors
    /// A sentence that names the variable or the fd that is wrong.
    pub(crate) fn take() -> Result<Passed, String> {
        let variable = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let mut passed = Passed::default();
        // A shell that a service manager has started hands its variables down to what it starts, but
        // not the sockets: only the number of this process says that they are here.
        if variable("LISTEN_PID").and_then(|pid| pid.parse().ok()) != Some(process::id()) {
            return Ok(passed);
        }
        let count = variable("LISTEN_FDS").unwrap_or_default();
        let names = names_of(&count, variable("LISTEN_FDNAMES").as_deref())?;
        for (number, name) in (FIRST..).zip(names) {
            passed.add(number, name)?;
        }
        Ok(passed)
    }

    fn add(&mut self, number: i32, name: String) -> Result<(), String> {
        let fd = take_inherited(number).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::BADF) => format!("LISTEN_FDS passes fd {number} ({name}): it is not open"),
            _ => format!(
                "LISTEN_FDS passes fd {number} ({name}): {}",
                in_words(&error)
            ),
        })?;
        match name.as_str() {
            LOCK => self.locks.push(File::from(fd)),
            PREDECESSOR => self.predecessor = Some(UnixStream::from(fd)),
            _ => {
                let addr = addr_of(&fd)
                    .map_err(|why| format!("cannot listen on fd {number} ({name}): {why}"))?;
                self.sockets.push(PassedSocket {
                    number,
                    name,
                    addr,
                    fd,
                });
            }
        }
        Ok(())
    }

    /// The names of the sockets that a service manager has passed, each once.
    pub(crate) fn activated(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for socket in self
            .sockets
            .iter()
            .filter(|socket| !socket.is_bound_by_us())
        {
            if !names.contains(&socket.name) {
                names.push(socket.name.clone());
            }
        }
        names
    }

    /// Takes the sockets of that name, or the one with that number.
    ///
    /// # Errors
    /// A sentence that says which names there are.
    pub(crate) fn take_named(&mut self, name: &str) -> Result<Vec<PassedSocket>, String> {
        let number = name.parse().ok();
        let by_name = self.take_if(|socket| socket.name == name);
        let taken = if by_name.is_empty() {
            self.take_if(|socket| Some(socket.number) == number)
        } else {
            by_name
        };
        if taken.is_empty() {
            let names = self.activated();
            let what = if names.is_empty() {
                "no socket was passed to this process: start it from a socket unit, or by \
                 systemd-socket-activate"
                    .to_owned()
            } else {
                format!(
                    "the sockets that were passed are named {}",
                    names.join(", ")
                )
            };
            return Err(format!("cannot listen on fd:{name}: {what}"));
        }
        Ok(taken)
    }

    /// Takes the sockets that listen on an address. For port 0 these are the sockets of one port that
    /// the kernel chose for a predecessor.
    pub(crate) fn take_at(&mut self, addr: &Addr) -> Vec<PassedSocket> {
        let wanted = match addr.inet() {
            Some(inet) if inet.port() == 0 => {
                let is_it = |socket: &&PassedSocket| {
                    let ip = socket.addr.inet().map(|addr| addr.ip());
                    socket.name == BOUND_ANY_PORT && ip == Some(inet.ip())
                };
                match self.sockets.iter().find(is_it) {
                    Some(first) => first.addr.clone(),
                    None => return Vec::new(),
                }
            }
            _ => addr.clone(),
        };
        self.take_if(|socket| socket.addr == wanted)
    }

    fn take_if(&mut self, is_it: impl Fn(&PassedSocket) -> bool) -> Vec<PassedSocket> {
        self.sockets
            .extract_if(.., |socket| is_it(socket))
            .collect()
    }

    /// Takes the lock that the predecessor holds on the path of a Unix socket.
    pub(crate) fn take_lock(&mut self, is_it: impl Fn(&File) -> bool) -> Option<File> {
        let index = self.locks.iter().position(is_it)?;
        Some(self.locks.swap_remove(index))
    }

    /// Takes the connection to the predecessor, in a hot restart.
    pub(crate) fn take_predecessor(&mut self) -> Option<UnixStream> {
        self.predecessor.take()
    }

    /// Closes what no service has taken, and logs it.
    pub(crate) fn close_rest(self) {
        for socket in self.sockets {
            let PassedSocket {
                number, name, addr, ..
            } = &socket;
            if name == ADMIN {
                // The address contains the number of the process, unless it was given.
            } else if socket.is_bound_by_us() {
                warn!(%addr, "no longer listening there: no --listen names it");
            } else {
                warn!(fd = number, name, %addr, "a socket was passed, and no --listen takes it: closed");
            }
        }
    }
}

/// The names of the fds, in their order.
fn names_of(count: &str, names: Option<&str>) -> Result<Vec<String>, String> {
    let count: usize = match count {
        "" => 0,
        count => count
            .parse()
            .map_err(|_| format!("LISTEN_FDS={count}: give the number of sockets"))?,
    };
    let names: Vec<String> = match names {
        // What sd_listen_fds_with_names(3) returns where no names were given.
        None => vec!["unknown".to_owned(); count.min(FDS_MAX)],
        Some("") if count == 0 => Vec::new(),
        Some(names) => names.split(':').map(str::to_owned).collect(),
    };
    if names.len() == count {
        Ok(names)
    } else {
        let given = names.len();
        Err(format!(
            "LISTEN_FDNAMES has {given} names, and LISTEN_FDS={count}: give as many names as sockets"
        ))
    }
}

/// A count beyond it is an error: no process has that many fds.
const FDS_MAX: usize = 1 << 20;

/// The address of a socket that listens for streams, of any family.
///
/// # Errors
/// What is wrong with the fd.
fn addr_of(fd: &OwnedFd) -> Result<Addr, String> {
    let kind = match sockopt::socket_type(fd) {
        Ok(kind) => kind,
        Err(Errno::NOTSOCK) => return Err("it is not a socket".to_owned()),
        Err(error) => return Err(in_words(&error.into())),
    };
    if kind != SocketType::STREAM {
        return Err(match kind {
            SocketType::DGRAM => "it is a socket for datagrams: use ListenStream= in its unit",
            SocketType::SEQPACKET => "it is a socket for packets: use ListenStream= in its unit",
            _ => "it is not a socket for streams: use ListenStream= in its unit",
        }
        .to_owned());
    }
    match sockopt::socket_acceptconn(fd) {
        Ok(false) if rustix::net::getpeername(fd).is_ok_and(|peer| peer.is_some()) => {
            Err("it is a connection, and does not listen: use Accept=no in its unit".to_owned())
        }
        Ok(false) => Err("it does not listen".to_owned()),
        _ => Listener::addr_of_fd(fd.as_fd()).map_err(|error| in_words(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    fn names(count: &str, names: Option<&str>) -> Result<Vec<String>, String> {
        names_of(count, names)
    }

    #[test]
    fn there_are_as_many_names_as_sockets() {
        let owned = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(names("2", Some("web:admin")), owned(&["web", "admin"]));
        assert_eq!(names("2", None), owned(&["unknown", "unknown"]));
        assert_eq!(names("1", Some("")), owned(&[""]));
        assert_eq!(names("0", Some("")), owned(&[]));
        assert_eq!(names("", None), owned(&[]));
        for (count, given) in [
            ("2", Some("web")),
            ("1", Some("a:b")),
            ("0", Some("a")),
            ("99999999999", None),
            ("-1", None),
            ("two", None),
        ] {
            let problem = names(count, given).unwrap_err();
            assert!(problem.contains("LISTEN_FD"), "{problem}");
        }
    }

    #[test]
    fn what_does_not_listen_for_streams_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let client = TcpStream::connect(addr).unwrap();
        let fresh = rustix::net::socket(rustix::net::AddressFamily::INET, SocketType::STREAM, None);
        let why = |fd: OwnedFd| addr_of(&fd).unwrap_err();
        assert!(why(client.into()).contains("Accept=no"));
        assert_eq!(why(fresh.unwrap()), "it does not listen");
        assert!(why(UdpSocket::bind("127.0.0.1:0").unwrap().into()).contains("datagrams"));
        assert!(why(File::open("/dev/null").unwrap().into()).contains("not a socket"));
        assert_eq!(addr_of(&listener.into()), Ok(addr.into()));
    }

    fn passed(name: &str, listener: impl Into<OwnedFd>) -> PassedSocket {
        let fd = listener.into();
        PassedSocket {
            number: FIRST,
            name: name.to_owned(),
            addr: addr_of(&fd).unwrap(),
            fd,
        }
    }

    #[test]
    fn sockets_are_taken_by_name_by_number_and_by_address() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let tcp = || TcpListener::bind("127.0.0.1:0").unwrap();
        let mut passed = Passed {
            sockets: vec![
                passed("web", tcp()),
                passed("web", UnixListener::bind(&path).unwrap()),
                passed(BOUND_ANY_PORT, tcp()),
                passed("admin", tcp()),
            ],
            ..Passed::default()
        };
        assert_eq!(passed.activated(), ["web", "admin"]);
        let problem = passed.take_named("wep").unwrap_err();
        assert!(problem.contains("named web, admin"), "{problem}");
        let any_port = "127.0.0.1:0".parse().unwrap();
        assert_eq!(passed.take_at(&any_port).len(), 1);
        assert!(passed.take_at(&any_port).is_empty(), "it is taken");
        let unix = passed.take_at(&Addr::UnixPath(path));
        assert_eq!(unix[0].name, "web");
        assert_eq!(passed.take_named("web").unwrap().len(), 1);
        assert_eq!(passed.take_named("3").unwrap()[0].name, "admin");
        assert!(
            passed
                .take_named("3")
                .unwrap_err()
                .contains("no socket was passed")
        );
    }
}
