//! Listening on, and taking, addresses as a user says them: a name can stand for several.

use oneloop_core::Handle;
use oneloop_net::{ToTarget, first_that_works};
use std::io;
use std::net::SocketAddr;

/// Binds the first address that works, without waiting.
///
/// # Errors
/// Those of the last address; `InvalidInput` for a name, which needs a look-up.
pub(crate) fn bind_addr<T>(
    target: impl ToTarget,
    bind: impl FnMut(&Handle, SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let target = target.to_target()?;
    let Some(addrs) = target.addrs() else {
        let problem = "a name has to be looked up, which takes its time: bind_name(..).await does";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    };
    bind_first(addrs, bind)
}

/// Binds the first address that works of a name, too.
///
/// # Errors
/// Those of the last address, and those of a failed look-up.
pub(crate) async fn bind_name<T>(
    target: impl ToTarget,
    bind: impl FnMut(&Handle, SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let addrs = target.to_target()?.resolve(&Handle::current()).await?;
    bind_first(&addrs, bind)
}

fn bind_first<T>(
    addrs: &[SocketAddr],
    mut bind: impl FnMut(&Handle, SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let handle = Handle::current();
    first_that_works(addrs, |addr| bind(&handle, addr))
}
