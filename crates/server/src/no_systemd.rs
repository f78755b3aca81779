//! In place of `systemd`, in a build without that feature: no sockets are passed, no manager is
//! notified, and SIGUSR2 has its default action.

pub(crate) mod passed {
    use oneloop::net::Addr;
    use std::fs::File;
    use std::os::fd::OwnedFd;

    pub(crate) const BOUND: &str = "";
    pub(crate) const BOUND_ANY_PORT: &str = "";

    #[derive(Debug)]
    pub(crate) struct Passed;

    #[derive(Debug)]
    pub(crate) struct PassedSocket {
        pub(crate) name: String,
        pub(crate) addr: Addr,
        pub(crate) fd: OwnedFd,
    }

    impl Passed {
        pub(crate) fn take() -> Result<Self, String> {
            Ok(Passed)
        }

        pub(crate) fn activated(&self) -> Vec<String> {
            Vec::new()
        }

        pub(crate) fn take_named(&mut self, name: &str) -> Result<Vec<PassedSocket>, String> {
            Err(format!(
                "cannot listen on fd:{name}: this build leaves out the feature 'systemd'"
            ))
        }

        pub(crate) fn take_at(&mut self, _: &Addr) -> Vec<PassedSocket> {
            Vec::new()
        }

        pub(crate) fn take_lock(&mut self, _: impl Fn(&File) -> bool) -> Option<File> {
            None
        }

        pub(crate) fn close_rest(self) {}
    }
}

pub(crate) mod all_loops {
    #[derive(Debug, Default)]
    pub(crate) struct AllLoops(());
}

pub(crate) mod loops {
    use crate::serving_loop::ServingLoop;
    use oneloop::net::Listener;
    use std::rc::{Rc, Weak};

    pub(crate) type ListenerName = (String, Weak<Listener>);

    pub(crate) fn answer(_: &Rc<ServingLoop>, _: usize, _: Vec<ListenerName>) {}
}

pub(crate) mod process_life {
    use super::passed::Passed;
    use crate::admin::Admin;
    use crate::server::Server;
    use crate::serving_loop::ServingLoop;
    use crate::socket_file::SocketFile;
    use oneloop::Handle;
    use std::future;
    use std::io;
    use std::rc::Rc;
    use std::sync::Arc;

    #[derive(Debug)]
    pub(crate) struct Started;

    impl Started {
        pub(crate) fn of(_: &mut Passed) -> Self {
            Started
        }
    }

    #[derive(Debug)]
    #[allow(
        dead_code,
        reason = "a drop removes the files, and ends the thread of operators"
    )]
    pub(crate) struct Held {
        pub(crate) files: Vec<SocketFile>,
        pub(crate) admin: Option<Admin>,
    }

    #[derive(Debug)]
    pub(crate) struct ProcessLife;

    impl ProcessLife {
        pub(crate) fn begin(_: &Handle, _: Started) -> io::Result<Self> {
            Ok(ProcessLife)
        }

        pub(crate) fn take_over(&mut self, _: &Held) {}

        pub(crate) fn serve(&self, _: &Rc<ServingLoop>) {}

        pub(crate) fn reloads(&self, _: &Arc<Server>) -> impl Fn(bool) + 'static {
            |_| ()
        }

        pub(crate) fn stopping(&self, _: &Server) {}

        pub(crate) async fn until_replaced(&self, _: &ServingLoop, _: &Held) {
            future::pending().await
        }
    }
}
