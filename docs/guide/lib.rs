#![forbid(unsafe_code)]
//! The code blocks of the documentation, as tests.
//!
//! `cargo test --doc -p oneloop-guide` compiles every Rust block of the guide and of the READMEs,
//! and runs each that is not marked `no_run`. The folder `programs` holds the complete programs
//! that the guide quotes; `tests/pages.rs` compares the quotes with them, and runs them. The folder
//! `peers` holds what users of tokio, Node and gevent write: see `peers/README.md`.

/// Includes Markdown files as documentation of private items, where rustdoc finds their examples.
macro_rules! pages {
    ($($name:ident $path:literal)*) => {$(
        #[cfg(doctest)]
        #[doc = include_str!($path)]
        struct $name;
    )*};
}

pages! {
    Introduction "src/introduction.md"
    EventLoop "src/event-loop.md"
    FromTokio "src/from-tokio.md"
    FromNode "src/from-node.md"
    FromGevent "src/from-gevent.md"
    Async "src/async.md"
    Callback "src/callback.md"
    Cookbook "src/cookbook.md"
    Green "src/green.md"
    Mixing "src/mixing.md"
    Send "src/send.md"
    TokioContext "src/tokio-context.md"
    Tls "src/tls.md"
    Endings "src/endings.md"
    Errors "src/errors.md"
    Cores "src/cores.md"
    Testing "src/testing.md"
    Chaos "src/chaos.md"
    Operating "src/operating.md"
    Access "src/access.md"
    Metrics "src/metrics.md"
    Inspector "src/inspector.md"
    Service "src/service.md"
    Examples "src/examples.md"
    Readme "../../README.md"
    Facade "../../crates/oneloop/README.md"
    Core "../../crates/core/README.md"
    Sync "../../crates/sync/README.md"
    Fs "../../crates/fs/README.md"
    Process "../../crates/process/README.md"
    Aio "../../crates/aio/README.md"
    CallbackCrate "../../crates/callback/README.md"
    GreenCrate "../../crates/green/README.md"
    Net "../../crates/net/README.md"
    Tokio "../../crates/tokio/README.md"
    Cluster "../../crates/cluster/README.md"
    Monitor "../../crates/monitor/README.md"
    InspectorCrate "../../crates/inspector/README.md"
}
