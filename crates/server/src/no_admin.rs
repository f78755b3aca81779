//! Stands in for `admin` in a build without that feature: operators see nothing.

use crate::failure::Failure;
use crate::options::Options;
use crate::serving_loop::ServingLoop;
#[cfg(feature = "systemd")]
use crate::socket_file::SocketFile;
use crate::systemd::passed::Passed;
use oneloop::Handle;
#[cfg(feature = "systemd")]
use std::os::fd::OwnedFd;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) struct Window;

#[derive(Debug)]
pub(crate) struct Seen;

/// There is none.
#[derive(Debug)]
pub(crate) enum Admin {}

impl Admin {
    #[cfg(feature = "systemd")]
    pub(crate) fn file(&self) -> Option<&SocketFile> {
        match *self {}
    }

    #[cfg(feature = "systemd")]
    pub(crate) fn socket(&self) -> &OwnedFd {
        match *self {}
    }

    #[cfg(feature = "systemd")]
    pub(crate) fn leave(&self) {
        match *self {}
    }
}

impl Window {
    pub(crate) fn open(_: &Options) -> Result<Self, Failure> {
        Ok(Window)
    }

    pub(crate) fn show(&self, _: usize, _: &Rc<ServingLoop>) -> Seen {
        Seen
    }

    pub(crate) fn answer(
        &self,
        _: &Options,
        _: &Handle,
        _: &mut Passed,
    ) -> Result<Option<Admin>, String> {
        Ok(None)
    }
}
