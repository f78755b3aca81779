//! File events: one inotify instance a loop, in which handles of the same file share a watch.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::abi::memory::{free_text, path_of, text_for};
use crate::call::Call;
use crate::handle;
use crate::layout::{FsEvent, FsEventCallback, Loop, kind};
use crate::state::{LoopState, Token};
use oneloop_core::{Interest, Key, Reactor, Trigger};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, CString, c_int};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::{io, ptr};

const RENAME: c_int = 1;
const CHANGE: c_int = 2;

/// What inotify reports.
const EVENTS: WatchFlags = WatchFlags::ATTRIB
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

/// The watched files of a loop.
#[derive(Debug, Default)]
pub(crate) struct Files {
    instance: Option<(OwnedFd, Key<Token>)>,
    /// By watch descriptor.
    watched: BTreeMap<c_int, Watched>,
    due: VecDeque<Report>,
    /// The name in the report that is being delivered.
    name: Option<Rc<CStr>>,
}

/// A file that some handles watch.
#[derive(Debug)]
struct Watched {
    path: CString,
    handles: Vec<Live<FsEvent>>,
}

#[derive(Debug)]
struct Report {
    handle: Live<FsEvent>,
    name: Rc<CStr>,
    events: c_int,
}

impl Files {
    /// The inotify instance, which is made for the first handle.
    fn instance(&mut self, reactor: &mut Reactor<Token>) -> io::Result<&OwnedFd> {
        if self.instance.is_none() {
            let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let key = reactor.add(&fd, Interest::READ, Trigger::Level, Token::Files)?;
            self.instance = Some((fd, key));
        }
        Ok(&self.instance.as_ref().expect("it was just made").0)
    }

    fn start(
        &mut self,
        handle: Live<FsEvent>,
        path: CString,
        reactor: &mut Reactor<Token>,
    ) -> io::Result<c_int> {
        let descriptor = inotify::add_watch(self.instance(reactor)?, &path, EVENTS)?;
        let watched = self.watched.entry(descriptor);
        let watched = watched.or_insert_with(|| Watched {
            path,
            handles: Vec::new(),
        });
        watched.handles.push(handle);
        Ok(descriptor)
    }

    fn stop(&mut self, handle: Live<FsEvent>) {
        self.due.retain(|report| report.handle != handle);
        let descriptor = handle.descriptor.get();
        let Some(watched) = self.watched.get_mut(&descriptor) else {
            return;
        };
        watched.handles.retain(|other| *other != handle);
        if watched.handles.is_empty() {
            self.watched.remove(&descriptor);
            if let Some((instance, _)) = &self.instance {
                let _ = inotify::remove_watch(instance, descriptor); // the file may be gone
            }
        }
    }

    /// Reads what has happened.
    pub(crate) fn read(&mut self) {
        let Some((instance, _)) = &self.instance else {
            return;
        };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(instance, &mut buffer);
        while let Ok(event) = events.next() {
            let Some(watched) = self.watched.get(&event.wd()) else {
                continue;
            };
            let changed = ReadFlags::ATTRIB | ReadFlags::MODIFY;
            let happened = event.events();
            let change = if happened.intersects(changed) {
                CHANGE
            } else {
                0
            };
            let rename = if happened.difference(changed).is_empty() {
                0
            } else {
                RENAME
            };
            let name: Rc<CStr> = event
                .file_name()
                .map_or_else(|| last_of(&watched.path), Rc::from);
            self.due.extend(watched.handles.iter().map(|handle| Report {
                handle: *handle,
                name: Rc::clone(&name),
                events: change | rename,
            }));
        }
    }

    /// Watches all files in an instance of a forked child.
    pub(crate) fn recreate(&mut self, reactor: &mut Reactor<Token>) -> io::Result<()> {
        let Some((_, key)) = self.instance.take() else {
            return Ok(());
        };
        reactor.forget(key);
        self.due.clear();
        for watched in std::mem::take(&mut self.watched).into_values() {
            for handle in watched.handles {
                let descriptor = self.start(handle, watched.path.clone(), reactor)?;
                handle.descriptor.set(descriptor);
            }
        }
        Ok(())
    }
}

/// The name that inotify leaves out if the watched file itself has changed.
fn last_of(path: &CStr) -> Rc<CStr> {
    let bytes = path.to_bytes();
    let name = bytes.rsplit(|byte| *byte == b'/').next().unwrap_or(bytes);
    CString::new(name).map_or_else(|_| Rc::from(path), Rc::from)
}

pub(crate) fn begin(owner: Live<Loop>, handle: Live<FsEvent>) {
    handle::begin(owner, handle.as_handle(), kind::FS_EVENT);
    handle.path.set(ptr::null_mut());
    handle.callback.set(None);
    handle.descriptor.set(-1);
}

pub(crate) fn start(
    handle: Live<FsEvent>,
    callback: Option<FsEventCallback>,
    path: &CStr,
) -> Result<(), Errno> {
    if handle.handle.is_active() || handle.handle.is_closing() {
        return Err(Errno::INVAL);
    }
    let state = handle.handle.state();
    let text = text_for(path).ok_or(Errno::NOMEM)?;
    let mut files = state.files.borrow_mut();
    let started = files.start(handle, path.to_owned(), &mut state.reactor.borrow_mut());
    match started {
        Ok(descriptor) => handle.descriptor.set(descriptor),
        Err(error) => {
            free_text(text);
            return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO));
        }
    }
    handle.path.set(text);
    handle.callback.set(callback);
    handle.handle.activate();
    Ok(())
}

pub(crate) fn stop(handle: Live<FsEvent>) {
    if handle.handle.is_active() {
        handle.handle.state().files.borrow_mut().stop(handle);
        free_text(handle.path.replace(ptr::null_mut()));
        handle.descriptor.set(-1);
        handle.handle.deactivate();
    }
}

/// The path of a handle that is started.
pub(crate) fn path(handle: Live<FsEvent>) -> Option<CString> {
    handle.handle.is_active().then(|| path_of(handle))
}

/// The next call of a handle whose file has changed. The name is there until the next one.
pub(crate) fn next_call(state: &LoopState) -> Option<Call> {
    let mut files = state.files.borrow_mut();
    let Report {
        handle,
        name,
        events,
    } = files.due.pop_front()?;
    let name = files.name.insert(name).as_ptr();
    Some(Call::FsEvent(handle.callback.get()?, handle, name, events))
}
