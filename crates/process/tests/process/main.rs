//! What child processes promise, also where `SIGCHLD` is ignored.

mod children;
mod without_sigchld;
