//! Stands in for `access` in a build without that feature: nothing is asked of a client, and none
//! of these types has a value.

use crate::introduction::Introduction;
use crate::options::Options;
use crate::permissions::Permissions;
use crate::refusals::RefusalReason;
use oneloop::net::{Addr, Socket};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) fn check(_: &Options) -> Result<(), String> {
    Ok(())
}

#[derive(Debug)]
pub(crate) enum Access {}

impl Access {
    pub(crate) fn of(_: &Options, _: Option<&Access>) -> Option<Arc<Self>> {
        None
    }

    pub(crate) fn handshake_timeout(&self) -> Duration {
        match *self {}
    }

    pub(crate) fn wait(&self, _: Instant) -> Duration {
        match *self {}
    }

    pub(crate) fn count_accepted(&self, _: Instant) {
        match *self {}
    }

    pub(crate) fn try_count_accepted(&self, _: Instant) -> Result<(), RefusalReason> {
        match *self {}
    }

    pub(crate) fn admit_peer(&self, _: &Addr, _: Instant) -> Result<(), RefusalReason> {
        match *self {}
    }

    pub(crate) fn expects_header(&self, _: &Addr) -> bool {
        match *self {}
    }

    pub(crate) fn admit_client(&self, _: &Addr, _: Instant) -> Result<(), RefusalReason> {
        match *self {}
    }

    pub(crate) fn open(&self, _: &Addr) -> Result<Option<SourceSlot>, RefusalReason> {
        match *self {}
    }

    pub(crate) async fn read_introduction(
        &self,
        _: &Socket,
    ) -> Result<Option<Introduction>, RefusalReason> {
        match *self {}
    }
}

#[derive(Debug)]
pub(crate) enum SourceSlot {}

#[derive(Clone, Copy, Debug)]
pub(crate) enum SendProxy {}

impl SendProxy {
    pub(crate) fn of(_: &Options) -> Option<Self> {
        None
    }

    pub(crate) fn header(self, _: &Introduction) -> Vec<u8> {
        match self {}
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Identity {}

impl Identity {
    pub(crate) fn of(_: &Options) -> Result<Option<Self>, String> {
        Ok(None)
    }

    pub(crate) fn assume(&self) -> Result<(), String> {
        match *self {}
    }
}

impl Permissions {
    pub(crate) fn of(_: &Options) -> Result<Self, String> {
        Ok(Permissions::default())
    }

    #[cfg(feature = "admin")] // the only one that asks for it
    pub(crate) fn private(_: &Options) -> Result<Self, String> {
        Ok(Permissions {
            mode: Some(0o600),
            ..Permissions::default()
        })
    }
}
