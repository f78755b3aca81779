//! use oneloop::green::Wait;

use oneloop::{Handle, green};
use std::time::Duration;

fn main() {
    let _ = green::run(|| Handle::current().sleep(Duration::from_secs(1)).wait());
}
