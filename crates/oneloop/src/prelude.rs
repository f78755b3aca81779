//! The traits whose methods a program calls without naming the traits.
//!
//! ```
//! use oneloop::prelude::*;
//! use std::time::Duration;
//!
//! oneloop::green::run(|| {
//!     let handle = oneloop::Handle::current();
//!     handle.sleep(Duration::from_millis(1)).wait() // a method of `green::Wait`
//! })?;
//! # Ok::<(), oneloop::green::RunError>(())
//! ```
//!
//! It brings no name into scope, so it hides nothing and collides with nothing: a program that names
//! one of these traits, in a bound for instance, imports it from its module. Sockets, files and
//! children have their methods without any trait, so most programs need the prelude only for green
//! threads (`.wait()` on any future; `map` and `imap` of groups and pools), and for functions that
//! are generic over byte streams.

#[cfg(feature = "green")]
#[doc(no_inline)]
pub use crate::green::{GroupMapping as _, Wait as _};
#[doc(no_inline)]
pub use crate::net::{
    AsSource as _, ByteStream as _, HalfClose as _, ReadHalf as _, WriteHalf as _,
};
