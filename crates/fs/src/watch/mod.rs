//! x
/// x
#[derive(Debug)]
pub struct Change;
/// x
#[derive(Debug)]
pub struct WatchOptions;
/// x
#[derive(Debug)]
pub struct Watcher;
