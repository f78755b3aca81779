//! mismatched types
//! expected `Result<(), Error>`, found `()`
#[oneloop::main]
async fn main() -> std::io::Result<()> {
    oneloop::aio::yield_now().await;
}
