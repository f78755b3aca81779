//! What an [`FsWatcher`](super::FsWatcher) tells. Each event is a type, for [`FsWatcher::on`](super::FsWatcher::on).

use super::EventType;
use crate::error::Error as NodeError;
use crate::events::Event;
use crate::thrown::Thrown;
use std::path::Path;

/// `'change'`: what happened, and to which name below what is watched. Without a name, more happened than the
/// kernel keeps: look at everything again. (Node tells nothing then.)
#[derive(Clone, Copy, Debug)]
pub struct Change;

impl Event for Change {
    type Args<'a> = (EventType, Option<&'a Path>);
}

/// `'error'`: a directory below cannot be watched. Unheard, it is thrown.
#[derive(Clone, Copy, Debug)]
pub struct Error;

impl Event for Error {
    type Args<'a> = &'a NodeError;

    fn unheard(error: &NodeError) -> Result<(), Thrown> {
        Err(error.clone().into())
    }
}

/// `'close'`: nothing more is told.
#[derive(Clone, Copy, Debug)]
pub struct Close;

impl Event for Close {
    type Args<'a> = ();
}
