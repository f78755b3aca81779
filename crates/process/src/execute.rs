//! Executes a program in a forked child, and reports to the parent why it could not be executed.
//!
//! The standard library does both, too, but asserts that it reaps the child. Where `SIGCHLD` is
//! ignored, the kernel reaps the child, and where another library waits for any child, that library
//! reaps it: the assertion fails, and the error is lost. So a child that has to be forked executes
//! its program here.
//!
//! ```text
//!  parent                               child
//!  fork ──────────────────────────────▶ steps (before_exec.rs)
//!    │                                   │ failed      │ execvp(3)
//!    │             errno                 │             ├─ failed ─┐
//!  ErrorReceiver ◀────── ErrorSender ◀───┴─────────────│──────────┘
//!    │                                                 └─ succeeded: CLOEXEC closes the pipe
//!    ▼
//!  error, or end of file: the program runs
//! ```

use rustix::io::{Errno, fcntl_dupfd_cloexec, read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use std::env;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

/// The arguments of `execvp(3)`. The parent makes them before the fork, because the child must not
/// allocate.
#[derive(Debug)]
pub(crate) struct Image {
    program: CString,
    args: Strings,
    /// `None` for the environment of the parent.
    env: Option<Strings>,
    /// The variable that the child sets to its own id; its pointer is in `env`.
    id_variable: Option<IdVariable>,
}

/// Settings of the standard library's command that its getters do not return.
#[derive(Debug, Default)]
pub(crate) struct HiddenSettings {
    pub(crate) arg0: Option<OsString>,
    pub(crate) clears_env: bool,
    /// The variable that the child sets to its own id.
    pub(crate) id_variable: Option<OsString>,
}

impl Image {
    /// # Errors
    /// `InvalidInput` if a string contains a nul byte.
    pub(crate) fn of(command: &Command, hidden: &HiddenSettings) -> io::Result<Self> {
        let program = command.get_program();
        let arg0 = hidden.arg0.as_deref().unwrap_or(program);
        let args = [arg0].into_iter().chain(command.get_args());
        let id_variable = hidden.id_variable.as_deref().map(IdVariable::new);
        let id_variable = id_variable.transpose()?;
        Ok(Image {
            program: c_string(program)?,
            args: Strings::new(args.map(c_string), None)?,
            env: env_of(command, hidden, id_variable.as_ref())?,
            id_variable,
        })
    }

    /// True if the program is searched for in a `PATH` other than the parent's. `posix_spawn(3)`
    /// searches the parent's.
    pub(crate) fn needs_other_path(command: &Command, hidden: &HiddenSettings) -> bool {
        let is_path = command.get_program().as_bytes().contains(&b'/');
        let sets_path = || command.get_envs().any(|(name, _)| name == "PATH");
        !is_path && (hidden.clears_env || sets_path())
    }

    /// Replaces this process, which is a forked child, by the program. Returns only if that fails.
    #[allow(unsafe_code)]
    pub(crate) fn execute(&self) -> Errno {
        unsafe extern "C" {
            // environ(7)
            static mut environ: *const *const c_char;
        }
        if let Some(variable) = &self.id_variable {
            variable.set(std::process::id());
        }
        if let Some(env) = &self.env {
            // SAFETY: a forked child has one thread, so nothing else uses the variable. The array
            // ends with a null pointer, and lives until the program is executed.
            unsafe { environ = env.pointers.as_ptr() };
        }
        // SAFETY: the strings are owned by `self`, and the array of arguments ends with a null
        // pointer.
        unsafe { libc::execvp(self.program.as_ptr(), self.args.pointers.as_ptr()) };
        Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL)
    }
}

/// Returns the child's environment; `None` for that of the parent.
fn env_of(
    command: &Command,
    hidden: &HiddenSettings,
    id_variable: Option<&IdVariable>,
) -> io::Result<Option<Strings>> {
    let mut changes = command.get_envs().peekable();
    if !hidden.clears_env && changes.peek().is_none() && id_variable.is_none() {
        return Ok(None);
    }
    let mut vars: std::collections::BTreeMap<OsString, OsString> = if hidden.clears_env {
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
    if let Some(name) = &hidden.id_variable {
        vars.remove(name);
    }
    let line = |(name, value): (OsString, OsString)| {
        let mut line = name;
        line.push("=");
        line.push(value);
        c_string(&line)
    };
    let last = id_variable.map(IdVariable::pointer);
    Ok(Some(Strings::new(vars.into_iter().map(line), last)?))
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}

/// C strings, and an array of pointers to them that ends with a null pointer.
#[derive(Debug)]
struct Strings {
    pointers: Vec<*const c_char>,
    _owned: Vec<CString>,
}

impl Strings {
    /// `last` leads to a string that another value owns, and keeps as long as this one.
    fn new(
        strings: impl Iterator<Item = io::Result<CString>>,
        last: Option<*const c_char>,
    ) -> io::Result<Self> {
        let owned = strings.collect::<io::Result<Vec<_>>>()?;
        let pointers = owned.iter().map(|string| string.as_ptr());
        Ok(Strings {
            pointers: pointers.chain(last).chain([ptr::null()]).collect(),
            _owned: owned,
        })
    }
}

// SAFETY: the pointers lead to strings on the heap that this value and its image own. Only the
// variable of the id changes, in atomic bytes.
#[allow(unsafe_code)]
unsafe impl Send for Strings {}
// SAFETY: as for `Send`; shared references only read.
#[allow(unsafe_code)]
unsafe impl Sync for Strings {}

/// A variable of the environment that a forked child sets to its own id: `NAME=` and room for the
/// digits. The bytes are atomic because the child changes them behind a pointer.
#[derive(Debug)]
struct IdVariable {
    text: Box<[AtomicU8]>,
    name_len: usize,
}

impl IdVariable {
    /// # Errors
    /// `InvalidInput` if the name contains a nul byte.
    fn new(name: &OsStr) -> io::Result<Self> {
        let name = c_string(name)?.into_bytes();
        const DIGITS_MAX: usize = 10;
        let room = [b'='; 1].into_iter().chain([0; DIGITS_MAX + 1]);
        Ok(IdVariable {
            name_len: name.len(),
            text: name.into_iter().chain(room).map(AtomicU8::new).collect(),
        })
    }

    fn pointer(&self) -> *const c_char {
        self.text.as_ptr().cast()
    }

    /// Writes the id, and allocates nothing.
    fn set(&self, id: u32) {
        let mut digits = [0; 10];
        let mut rest = id;
        let mut count = 0;
        while rest > 0 || count == 0 {
            digits[count] = b'0' + (rest % 10) as u8;
            rest /= 10;
            count += 1;
        }
        let room = &self.text[self.name_len + 1..];
        for (byte, digit) in room.iter().zip(digits[..count].iter().rev()) {
            byte.store(*digit, Ordering::Relaxed);
        }
        room[count].store(0, Ordering::Relaxed);
    }
}

/// The child's end of a pipe that reports why the program could not be executed. Executing it
/// closes the pipe.
#[derive(Debug)]
pub(crate) struct ErrorSender {
    child: OwnedFd,
}

/// The parent's end of the pipe.
#[derive(Debug)]
pub(crate) struct ErrorReceiver {
    parent: OwnedFd,
}

impl ErrorSender {
    /// The child's end has at least the number `first`.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn open(first: RawFd) -> io::Result<(ErrorSender, ErrorReceiver)> {
        // Non-blocking: a child that another thread forks at this moment inherits the sending end,
        // and may hold it until it executes its own program. The parent must not wait for that.
        let (parent, child) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Above 2: if 0 to 2 are closed in the parent, the pipe could be one of them, and the
        // standard library would overwrite it with the child's standard streams. And behind the
        // fds that are passed to the child.
        let child = fcntl_dupfd_cloexec(&child, first)?;
        Ok((ErrorSender { child }, ErrorReceiver { parent }))
    }

    /// Reports the error, and ends the child.
    #[allow(unsafe_code)]
    pub(crate) fn fail(&self, errno: Errno) -> ! {
        // Never blocks: four bytes fit into an empty pipe.
        let _ = write(&self.child, &errno.raw_os_error().to_ne_bytes());
        // SAFETY: _exit(2) ends the process, and runs no exit handler that the parent has
        // registered.
        unsafe { libc::_exit(127) }
    }
}

impl ErrorReceiver {
    /// Returns the error, after the child has executed its program or failed to.
    pub(crate) fn error(&self) -> Option<io::Error> {
        let mut errno = [0; 4];
        match read(&self.parent, &mut errno) {
            Ok(4) => Some(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(variable: &IdVariable) -> String {
        let bytes = variable
            .text
            .iter()
            .map(|byte| byte.load(Ordering::Relaxed));
        bytes
            .take_while(|byte| *byte != 0)
            .map(char::from)
            .collect()
    }

    #[test]
    fn any_id_fits_and_a_shorter_one_leaves_no_digit_behind() {
        let variable = IdVariable::new("LISTEN_PID".as_ref()).unwrap();
        for id in [u32::MAX, 4_194_304, 10, 1, 0] {
            variable.set(id);
            assert_eq!(text_of(&variable), format!("LISTEN_PID={id}"));
        }
        assert!(IdVariable::new("A\0B".as_ref()).is_err());
    }
}
