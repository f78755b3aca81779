//! is not a future
//! required by a bound in `oneloop::aio::spawn`

fn main() {
    oneloop::aio::spawn(|| 5);
}
