//! Which process holds an address or a lock, as far as /proc shows it.

use oneloop::net::Addr;
use procfs::net::{self, TcpNetEntry, TcpState, UnixNetEntry};
use procfs::process::{FDTarget, Process, all_processes};
use procfs::{Lock, LockType};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// A process that has what this server wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    ThisServer,
    Other { name: String, pid: i32 },
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Holder::ThisServer => f.write_str("this server"),
            Holder::Other { name, pid } => write!(f, "{name} (pid {pid})"),
        }
    }
}

impl Holder {
    /// The process that listens on an address, or on an overlapping one. `None` where /proc does
    /// not show it, as for the sockets of another user.
    pub(crate) fn of_addr(addr: &Addr) -> Option<Holder> {
        let inodes = match addr {
            Addr::Inet(addr) => inodes_of_inet(*addr),
            Addr::UnixPath(path) => inodes_of_unix(path),
            Addr::UnixAbstract(name) => {
                let name = String::from_utf8_lossy(name);
                inodes_of_unix(&PathBuf::from(format!("@{name}")))
            }
            Addr::UnixUnnamed => Vec::new(),
        };
        inodes.into_iter().find_map(Holder::of_socket)
    }

    /// The process that holds the flock(2) on the file with this inode.
    pub(crate) fn of_lock(inode: u64) -> Option<Holder> {
        let locks = procfs::locks().ok()?;
        let is_it = |lock: &Lock| lock.inode == inode && matches!(lock.lock_type, LockType::FLock);
        let lock = locks.into_iter().find(is_it)?;
        Holder::of_process(&Process::new(lock.pid?).ok()?)
    }

    /// Of many processes that have it, the oldest: the others inherited it, some only between a
    /// fork and an exec that closes it.
    fn of_socket(inode: u64) -> Option<Holder> {
        let processes = all_processes().ok()?.flatten();
        let holders = processes.filter(|process| has_socket(process, inode));
        let oldest = holders.min_by_key(|process| {
            let started = process.stat().map_or(u64::MAX, |stat| stat.starttime);
            (started, process.pid())
        });
        Holder::of_process(&oldest?)
    }

    fn of_process(process: &Process) -> Option<Holder> {
        // A thread of ours, or an address given twice.
        if process.pid().cast_unsigned() == std::process::id() {
            return Some(Holder::ThisServer);
        }
        let name = process.stat().ok()?.comm;
        let pid = process.pid();
        Some(Holder::Other { name, pid })
    }
}

fn has_socket(process: &Process, inode: u64) -> bool {
    let Ok(mut fds) = process.fd() else {
        return false; // /proc hides the fds of another user's process
    };
    fds.any(|fd| fd.is_ok_and(|fd| matches!(fd.target, FDTarget::Socket(of) if of == inode)))
}

/// The sockets that keep another one from listening: those that listen, if there are any, and of
/// these the ones of its family, as an IPv6 socket need not serve IPv4. The other sockets could
/// exist beside it, so none of them is named when /proc hides the owner of the first ones.
fn inodes_of_inet(addr: SocketAddr) -> Vec<u64> {
    let tables = [net::tcp(), net::tcp6()];
    let mut entries: Vec<TcpNetEntry> = tables
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.inode != 0 && overlap(entry.local_address, addr))
        .collect();
    let rank = |entry: &TcpNetEntry| {
        let is_of_family = entry.local_address.is_ipv4() == addr.is_ipv4();
        (entry.state != TcpState::Listen, !is_of_family)
    };
    // A socket of the other family is named only if none of this family is there.
    let first = entries.iter().map(rank).min();
    entries.retain(|entry| Some(rank(entry)) == first);
    entries.into_iter().map(|entry| entry.inode).collect()
}

fn inodes_of_unix(path: &Path) -> Vec<u64> {
    let entries = net::unix().into_iter().flatten();
    let is_there = |entry: &UnixNetEntry| entry.path.as_deref() == Some(path);
    entries.filter(is_there).map(|entry| entry.inode).collect()
}

/// True if no two sockets can listen on both addresses at the same time: one includes the other.
pub(crate) fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let is_part = |a: IpAddr, of: IpAddr| {
        let of_all = match a {
            IpAddr::V4(_) => of == IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => false,
        };
        // A socket on [::] serves IPv4 as well, unless it has IPV6_V6ONLY.
        a == of || of_all || of == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let (ip_a, ip_b) = (a.ip().to_canonical(), b.ip().to_canonical());
    a.port() == b.port() && (is_part(ip_a, ip_b) || is_part(ip_b, ip_a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};

    #[test]
    fn addresses_overlap_if_one_includes_the_other() {
        let overlaps = |a: &str, b: &str| {
            let both = overlap(a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(both, overlap(b.parse().unwrap(), a.parse().unwrap()));
            both
        };
        assert!(overlaps("127.0.0.1:80", "127.0.0.1:80"));
        assert!(overlaps("127.0.0.1:80", "0.0.0.0:80"));
        assert!(overlaps("127.0.0.1:80", "[::]:80"));
        assert!(overlaps("0.0.0.0:80", "[::]:80"));
        assert!(overlaps("[::1]:80", "[::]:80"));
        assert!(overlaps("[::ffff:127.0.0.1]:80", "127.0.0.1:80"));
        assert!(!overlaps("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!overlaps("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!overlaps("[::1]:80", "0.0.0.0:80"));
    }

    #[test]
    fn a_listener_of_this_process_is_this_server() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = tcp.local_addr().unwrap().port();
        let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        let found = Holder::of_addr(&everywhere.into());
        assert_eq!(found, Some(Holder::ThisServer));

        let name = format!("oneloop-holder-{}", std::process::id());
        let addr = UnixAddr::from_abstract_name(&name).unwrap();
        let unix = UnixListener::bind_addr(&addr).unwrap();
        let found = || Holder::of_addr(&Addr::UnixAbstract(name.clone().into()));
        assert_eq!(found(), Some(Holder::ThisServer));
        drop(unix);
        assert_eq!(found(), None);
    }
}
