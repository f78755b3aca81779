//! `&str` is not a time
//! write a number of milliseconds, as in Node, or a `std::time::Duration`

use oneloop::callback::set_interval;

fn main() {
    set_interval(|| {}, "1s");
}
