#![forbid(unsafe_code)]
//! The attributes `#[oneloop::main]` and `#[oneloop::test]`.
//!
//! Both turn an `async fn` into a function that runs it on a loop: the function keeps its name, and
//! contains the async one. So what the compiler says about its body and its result is what
//! it says about any `async fn`.

mod fault;
mod function;
mod options;

use fault::Fault;
use function::{AsyncFunction, Returns};
use options::{MainOptions, TestOptions};
use proc_macro::TokenStream;

/// Makes an async function the `main` of a program: it runs on a new loop, as
/// [`aio::block_on`](../oneloop/aio/fn.block_on.html) runs a future.
///
/// ```
/// use oneloop::aio::sleep;
/// use std::time::Duration;
///
/// #[oneloop::main]
/// async fn main() -> std::io::Result<()> {
///     sleep(Duration::from_millis(1)).await;
///     Ok(())
/// }
/// ```
///
/// The program ends when the function returns; tasks that are left are dropped. The function may
/// return what any `main` may: `()`, a `Result`, an `ExitCode`.
///
/// A loop has one thread, so there is nothing to choose. The only option is `crate = "path"`, for a
/// dependency that is not called `oneloop`.
///
/// # Panics
/// As `block_on`: when the function panics, and when no loop can be made for lack of fds.
#[doc(alias("block_on", "entry point"))]
#[proc_macro_attribute]
pub fn main(options: TokenStream, function: TokenStream) -> TokenStream {
    let (mut faults, options) = MainOptions::parse(options);
    let function = match AsyncFunction::parse("main", function) {
        Ok(function) => function,
        Err(fault) => {
            faults.push(fault);
            AsyncFunction::empty("main") // so that the compiler does not miss it as well
        }
    };
    let call = format!("{}::aio::block_on({}())", options.krate, function.name());
    Fault::all(faults, function.around("", &call, Returns::ItsOutput))
}

/// Makes an async function a test that runs on virtual time: a day of timers passes in a
/// millisecond.
///
/// ```
/// use oneloop::aio::{now, sleep};
/// use std::time::Duration;
///
/// #[oneloop::test]
/// async fn a_day_passes() {
///     let start = now();
///     sleep(Duration::from_secs(24 * 3600)).await;
///     assert_eq!(now() - start, Duration::from_secs(24 * 3600));
/// }
///
/// #[oneloop::test(chaos = 200)]
/// async fn hello_arrives_whole() -> std::io::Result<()> {
///     let (client, server) = oneloop::aio::UnixStream::pair()?;
///     client.write_all(b"hello").await?;
///     drop(client);
///     assert_eq!(server.read_text(100).await?, "hello");
///     Ok(())
/// }
/// ```
///
/// | option | |
/// |---|---|
/// | `virtual_time = false` | the test runs on the kernel's clock |
/// | `chaos = 200` | the test runs once for each seed from 0 to 199, as in `oneloop::chaos::check`; it needs the feature `chaos` |
/// | `crate = "path"` | for a dependency that is not called `oneloop` |
///
/// Each run has a loop of its own. The test may return what any test may, and take further
/// attributes, such as `#[should_panic]` and `#[ignore]`. It also fails
///
/// - if a task panics that is not joined, so that an assertion in a task counts;
/// - if it waits although nothing on its loop could wake it, and no other thread does within 5
///   seconds. The message lists the tasks.
#[doc(alias("start_paused", "pause", "async test"))]
#[proc_macro_attribute]
pub fn test(options: TokenStream, function: TokenStream) -> TokenStream {
    let (mut faults, options) = TestOptions::parse(options);
    let function = match AsyncFunction::parse("test", function) {
        Ok(function) => function,
        Err(fault) => {
            faults.push(fault);
            return Fault::all(faults, TokenStream::new());
        }
    };
    let (testing, name) = (format!("{}::testing", options.krate), function.name());
    let (call, returns) = match (options.chaos, options.virtual_time) {
        (Some(seeds), _) => (format!("chaos({seeds}, {name})"), Returns::Nothing),
        (None, true) => (format!("virtual_time({name})"), Returns::ItsOutput),
        (None, false) => (format!("real_time({name})"), Returns::ItsOutput),
    };
    let (attribute, call) = ("#[::core::prelude::v1::test]", format!("{testing}::{call}"));
    Fault::all(faults, function.around(attribute, &call, returns))
}
