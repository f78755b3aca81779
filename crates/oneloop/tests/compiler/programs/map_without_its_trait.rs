//! use oneloop::green::GroupMapping;

use oneloop::green::{Pool, run};

fn main() {
    let _ = run(|| Pool::new(10).map(0..100, |n| n * n));
}
