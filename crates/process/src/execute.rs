//! Executing a program in a forked child, and telling the parent why it could not be.
//!
//! The standard library can do both, and asserts that it then reaps the child. Where `SIGCHLD` is ignored
//! the kernel reaps it, and where another library waits for any child that does: the assertion fails, and
//! the error is lost. So a child that has to be forked executes its program here.

use rustix::io::{Errno, fcntl_dupfd_cloexec, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use std::env;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::ptr;

/// What `execvp(3)` is given: made before the fork, as nothing may be allocated behind it.
#[derive(Debug)]
pub(crate) struct Image {
    program: CString,
    args: Strings,
    /// None if it is the parent's.
    env: Option<Strings>,
}

/// What the getters of the standard library's command do not tell.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    pub(crate) arg0: Option<OsString>,
    pub(crate) clears_env: bool,
}

impl Image {
    /// # Errors
    /// `InvalidInput` for a nul byte.
    pub(crate) fn of(command: &Command, untold: &Untold) -> io::Result<Self> {
        let program = command.get_program();
        let arg0 = untold.arg0.as_deref().unwrap_or(program);
        let args = [arg0].into_iter().chain(command.get_args());
        Ok(Image {
            program: c_string(program)?,
            args: Strings::new(args.map(c_string))?,
            env: env_of(command, untold.clears_env)?,
        })
    }

    /// True if the program is looked for in a `PATH` that is not the parent's, which `posix_spawn(3)`
    /// cannot do.
    pub(crate) fn needs_other_path(command: &Command, untold: &Untold) -> bool {
        let is_path = command.get_program().as_bytes().contains(&b'/');
        let sets_path = || command.get_envs().any(|(name, _)| name == "PATH");
        !is_path && (untold.clears_env || sets_path())
    }

    /// Executes it in place of this process, which is a forked child. Returns only if that fails.
    #[allow(unsafe_code)]
    pub(crate) fn execute(&self) -> Errno {
        unsafe extern "C" {
            // environ(7)
            static mut environ: *const *const c_char;
        }
        if let Some(env) = &self.env {
            // SAFETY: this child has one thread, so nothing else reads or writes the variable, and what it
            // points to ends with a null pointer and lives until the program is executed.
            unsafe { environ = env.pointers.as_ptr() };
        }
        // SAFETY: both are C strings that live, and the pointers to the arguments end with a null one.
        unsafe { libc::execvp(self.program.as_ptr(), self.args.pointers.as_ptr()) };
        Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
    }
}

/// The child's environment; none if it is the parent's.
fn env_of(command: &Command, clears_env: bool) -> io::Result<Option<Strings>> {
    let mut changes = command.get_envs().peekable();
    if !clears_env && changes.peek().is_none() {
        return Ok(None);
    }
    let mut vars: std::collections::BTreeMap<OsString, OsString> = if clears_env {
        Default::default()
    } else {
        env::vars_os().collect()
    };
    for (name, value) in changes {
        match value {
            Some(value) => vars.insert(name.to_owned(), value.to_owned()),
            None => vars.remove(name),
        };
    }
    let line = |(name, value): (OsString, OsString)| {
        let mut line = name;
        line.push("=");
        line.push(value);
        c_string(&line)
    };
    Ok(Some(Strings::new(vars.into_iter().map(line))?))
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

/// C strings, and an array of pointers to them that ends with a null one.
#[derive(Debug)]
struct Strings {
    pointers: Vec<*const c_char>,
    _owned: Vec<CString>,
}

impl Strings {
    fn new(strings: impl Iterator<Item = io::Result<CString>>) -> io::Result<Self> {
        let owned = strings.collect::<io::Result<Vec<_>>>()?;
        let pointers = owned.iter().map(|string| string.as_ptr());
        Ok(Strings {
            pointers: pointers.chain([ptr::null()]).collect(),
            _owned: owned,
        })
    }
}

// SAFETY: the pointers are to what the value owns on the heap, and nothing changes either.
#[allow(unsafe_code)]
unsafe impl Send for Strings {}
// SAFETY: the same.
#[allow(unsafe_code)]
unsafe impl Sync for Strings {}

/// The way by which a child tells why its program could not be executed. It closes when it is.
#[derive(Debug)]
pub(crate) struct Report {
    child: OwnedFd,
}

/// The parent's end of it.
#[derive(Debug)]
pub(crate) struct Reported {
    parent: OwnedFd,
}

impl Report {
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn open() -> io::Result<(Report, Reported)> {
        // Non-blocking: another child that is forked in this moment may hold the other end for long.
        let (parent, child) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // The standard library duplicates the child's standard streams onto 0 to 2, which may be free here.
        let child = fcntl_dupfd_cloexec(&child, 3)?;
        Ok((Report { child }, Reported { parent }))
    }

    /// Called in the child.
    #[allow(unsafe_code)]
    pub(crate) fn fail(&self, errno: Errno) -> ! {
        // A pipe that is empty takes four bytes.
        let _ = write(&self.child, &errno.raw_os_error().to_ne_bytes());
        // SAFETY: _exit(2) ends the process, and calls nothing that the parent has registered.
        unsafe { libc::_exit(127) }
    }
}

impl Reported {
    /// What the child has told, once it has executed its program or failed to.
    pub(crate) fn error(&self) -> Option<io::Error> {
        let mut errno = [0; 4];
        match read(&self.parent, &mut errno) {
            Ok(4) => Some(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            _ => None,
        }
    }
}
