//! `#[oneloop::main]` needs an `async fn`: write `async` before `fn`
#[oneloop::main]
fn main() {}
