//! What child processes promise, also in programs that ignore `SIGCHLD`.

mod children;
mod without_sigchld;
