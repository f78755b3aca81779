//! Stands in for `admin` in a build without that feature: operators see nothing.

use crate::failure::Failure;
use crate::options::Options;
use crate::serving_loop::ServingLoop;
use oneloop::Handle;
use std::rc::Rc;

#[derive(Clone, Debug)]
pub(crate) struct Window;

#[derive(Debug)]
pub(crate) struct Seen;

#[derive(Debug)]
pub(crate) struct Admin;

impl Window {
    pub(crate) fn open(_: &Options) -> Result<Self, Failure> {
        Ok(Window)
    }

    pub(crate) fn show(&self, _: usize, _: &Rc<ServingLoop>) -> Seen {
        Seen
    }

    pub(crate) fn answer(&self, _: &Options, _: &Handle) -> Result<Option<Admin>, String> {
        Ok(None)
    }
}
