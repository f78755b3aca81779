//! The modules as rustdoc sees them: the page of each opens with the introduction of its crate.

#[doc(inline)]
pub use oneloop_core as core;
#[doc(inline)]
pub use oneloop_net as net;
#[doc(inline)]
pub use oneloop_sync as sync;

#[cfg(feature = "chaos")]
#[doc(inline)]
pub use oneloop_core::chaos;

#[cfg(feature = "aio")]
#[doc(inline)]
pub use oneloop_aio as aio;
#[cfg(feature = "callback")]
#[doc(inline)]
pub use oneloop_callback as callback;
#[cfg(feature = "cluster")]
#[doc(inline)]
pub use oneloop_cluster as cluster;
#[cfg(feature = "fs")]
#[doc(inline)]
pub use oneloop_fs as fs;
#[cfg(feature = "green")]
#[doc(inline)]
pub use oneloop_green as green;
#[cfg(feature = "inspector")]
#[doc(inline)]
pub use oneloop_inspector as inspector;
#[cfg(feature = "monitor")]
#[doc(inline)]
pub use oneloop_monitor as monitor;
#[cfg(feature = "process")]
#[doc(inline)]
pub use oneloop_process as process;
#[cfg(feature = "tls")]
#[doc(inline)]
pub use oneloop_tls as tls;
#[cfg(feature = "tracing")]
#[doc(inline)]
pub use oneloop_tracing as tracing;
