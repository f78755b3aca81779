//! the trait `std::error::Error` is not implemented for `Failure`

use oneloop::callback::set_timeout;

struct Failure;

fn main() {
    set_timeout(|| Err::<(), _>(Failure), 100);
}
