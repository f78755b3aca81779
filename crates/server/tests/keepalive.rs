//! By default, a connection to a machine that has died is closed.

mod harness;

use harness::client::{connect, echo, expect_bytes};
use harness::process::Process;
use harness::server::Server;
use harness::{command, eventually, skip};
use rustix::net::sockopt;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);

/// The server's ends of its TCP connections; `None` where this process may not see them.
fn connections(server: &Server) -> Option<Vec<OwnedFd>> {
    let id = server.child.id();
    let pidfd = pidfd_open(Pid::from_child(&server.child), PidfdFlags::empty()).ok()?;
    let numbers = fs::read_dir(format!("/proc/{id}/fd")).ok()?.flatten();
    let numbers = numbers.filter_map(|fd| fd.file_name().to_str()?.parse().ok());
    let fds: Result<Vec<OwnedFd>, _> = numbers
        .map(|number| pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()))
        .collect();
    let is_connection =
        |fd: &OwnedFd| rustix::net::getpeername(fd).is_ok_and(|peer| peer.is_some());
    Some(fds.ok()?.into_iter().filter(is_connection).collect())
}

fn settings(socket: impl AsFd) -> Option<(Duration, Duration, u32, u32)> {
    sockopt::socket_keepalive(&socket).unwrap().then(|| {
        (
            sockopt::tcp_keepidle(&socket).unwrap(),
            sockopt::tcp_keepintvl(&socket).unwrap(),
            sockopt::tcp_keepcnt(&socket).unwrap(),
            sockopt::tcp_user_timeout(&socket).unwrap(),
        )
    })
}

#[test]
fn clients_and_upstreams_are_probed_unless_that_is_switched_off() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = upstream.local_addr().unwrap().to_string();
    for (args, means) in [
        (&[][..], Some((60 * S, 10 * S, 6, 120_000))),
        (
            &["--threads", "2", "--keepalive", "2m,5s,3"],
            Some((120 * S, 5 * S, 3, 135_000)),
        ),
        (&["--keepalive", "0"], None),
    ] {
        let proxy = Server::start(&[&["--mode", "proxy", "--to", &to], args].concat());
        let mut client = proxy.connect();
        let (server, _) = upstream.accept().unwrap();
        client.write_all(b"hello").unwrap();
        expect_bytes(&server, b"hello"); // client and upstream are connected by now
        let Some(connections) = connections(&proxy) else {
            return skip("the fds of another process may not be seen here");
        };
        assert_eq!(connections.len(), 2, "the client's and the upstream's");
        for connection in &connections {
            assert_eq!(settings(connection), means, "{args:?}");
            assert!(sockopt::tcp_nodelay(connection).unwrap());
        }
        drop(connections);
        drop((client, server));
        proxy.drain();
    }
}

/// A server in its own network namespace, which the test can take down.
struct Network {
    server: Server,
    file: File,
}

impl Network {
    fn start(args: &[&str]) -> Option<Self> {
        let inside = command::main(&[&["--listen", "127.0.0.1:0"], args].concat());
        let mut command = Command::new("unshare");
        command
            .args(["-n", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
            .arg(inside.get_program())
            .args(inside.get_args());
        for (name, value) in inside.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let probe = Command::new("unshare")
            .args(["-n", "ip", "link", "set", "lo", "up"])
            .output();
        if !probe.is_ok_and(|output| output.status.success()) {
            return None;
        }
        let server = Server::from_process(Process::start(command));
        let file = File::open(format!("/proc/{}/ns/net", server.child.id())).unwrap();
        Some(Network { server, file })
    }

    /// Runs a function in that namespace.
    fn within<T: Send>(&self, f: impl FnOnce(SocketAddr) -> T + Send) -> T {
        let (addr, file) = (self.server.addr(), &self.file);
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                let kind = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(file.as_fd(), kind).unwrap();
                f(addr)
            });
            inside.join().unwrap()
        })
    }

    /// Drops all packets from now on, without an error to either side.
    fn go_down(&self) {
        let down = || {
            let mut down = Command::new("ip");
            down.args(["link", "set", "lo", "down"]).status()
        };
        let status = self.within(|_| down());
        assert!(status.unwrap().success());
    }
}

#[test]
fn a_client_whose_machine_died_is_closed() {
    for (mode, talks) in [("echo", true), ("chargen", false)] {
        let Some(network) = Network::start(&["--mode", mode, "--keepalive", "1s,1s,2"]) else {
            return skip("there are no network namespaces here");
        };
        let before = network.server.open_files();
        let client: TcpStream = network.within(connect);
        if talks {
            echo(&client, b"hello"); // and then the machine dies
        }
        eventually("it is connected", || network.server.open_files() > before);
        network.go_down();
        eventually("it is given up", || network.server.open_files() == before);
        drop(client);
    }
}

#[test]
fn wrong_times_are_refused() {
    for wrong in ["1s,1s,0", "500ms", "soon", "1s,1s,1,1"] {
        let output = command::main(&["--keepalive", wrong]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("--keepalive"), "{stderr}");
    }
}
