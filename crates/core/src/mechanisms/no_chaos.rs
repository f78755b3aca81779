//! The functions of `chaos.rs` for a build without that feature: each does nothing, and costs
//! nothing.

use crate::mechanisms::bug::Bug;
use crate::mechanisms::reactor::Reactor;
use crate::mechanisms::ready::Direction;
use crate::mechanisms::workers::{Class, Hold};
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// There is no plan in such a build.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Plan {}

pub(crate) struct Chaos;

impl Chaos {
    pub(crate) fn new(_plan: Option<Plan>) -> io::Result<Self> {
        Ok(Chaos)
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) fn hold(&self) -> Option<Hold> {
        None
    }

    #[inline]
    pub(crate) fn has_bug(&self, _bug: Bug) -> bool {
        false
    }

    #[inline]
    pub(crate) fn has_held(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) fn stir<T>(&self, _reactor: &mut Reactor<T>) {}

    #[inline]
    pub(crate) fn before_call(&self, _key: u64, _direction: Direction) -> Option<io::Error> {
        None
    }

    #[inline]
    pub(crate) fn after_call(&self, _key: u64, _direction: Direction, _bytes: usize) {}

    #[inline]
    pub(crate) fn limit(&self, len: usize) -> usize {
        len
    }

    #[inline]
    pub(crate) fn resets(&self, _key: u64, _reset: impl FnOnce() -> bool) -> bool {
        false
    }

    #[inline]
    pub(crate) fn misses(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) fn shortage(&self, _errnos: &[Errno]) -> Option<Errno> {
        None
    }

    #[inline]
    pub(crate) fn hang_after(&self) -> Option<Duration> {
        None
    }

    #[inline]
    pub(crate) fn time_max(&self) -> Option<Duration> {
        None
    }

    #[inline]
    pub(crate) fn spins(&self) -> bool {
        false
    }

    #[inline]
    pub(crate) fn note_run(&self, _task: u64) {}

    #[inline]
    pub(crate) fn runs_max(&self, most: usize) -> usize {
        most
    }

    #[inline]
    pub(crate) fn share_bytes(&self, most: usize) -> usize {
        most
    }

    #[inline]
    pub(crate) fn pass(&self, sleep: Duration) -> Duration {
        sleep
    }

    #[inline]
    pub(crate) fn choose_job(&self, _classes: &[Class], _must: bool) -> Option<Class> {
        None
    }
}
