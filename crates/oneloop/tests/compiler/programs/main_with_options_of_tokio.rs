//! `flavor`: a loop has one thread: remove it
//! `worker_threads`: a loop has one thread: remove it
#[oneloop::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() {}
