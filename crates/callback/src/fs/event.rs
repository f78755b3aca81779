//! The events of an [`FsWatcher`]. Each is a type, for [`FsWatcher::on`].

use super::{EventType, FsWatcher};
use crate::tables::emitter;
use std::path::Path;

emitter! { FsWatcher {
    /// `'change'`: what happened, and to which name below the watched path. Without a name, the kernel
    /// dropped events: look at everything again. (Node emits nothing then.)
    Change(what: EventType, name: Option<&'a Path>) => on_change;
    /// `'error'`: a directory below cannot be watched. Without a listener, the error is thrown.
    Error(error: &'a crate::Error) => on_error, unheard throws error;
    /// `'close'`: the watcher emits nothing more.
    Close() => on_close;
} }
