//! `#[oneloop::main]`: nothing calls the function with arguments
#[oneloop::main]
async fn main(arguments: Vec<String>) {}
