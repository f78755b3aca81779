//! A guard that keeps the loop alive.

use crate::state::Handle;

impl Handle {
    /// Keeps the loop alive while the guard lives: for work that only its owner knows about.
    pub fn keep_alive(&self) -> KeepAlive {
        self.state.count_wait(true);
        KeepAlive {
            handle: self.clone(),
        }
    }
}

/// Keeps a loop alive: see [`Handle::keep_alive`].
#[derive(Debug)]
#[must_use = "the loop is kept alive only while this lives"]
#[doc(alias("ref", "uv_ref"))]
pub struct KeepAlive {
    handle: Handle,
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.handle.state.count_wait(false);
    }
}
