//! Who runs, and when.

use oneloop::green::{JoinHandle, spawn, yield_now};

pub(super) fn spawn_order() {
    fn run(name: &'static str) {
        println!("{name} runs");
    }
    let threads: Vec<JoinHandle<()>> = ["a"].map(|name| spawn(move || run(name))).into();
    for thread in threads {
        thread.join().expect("it only prints");
    }
    yield_now();
}
