//! a callback cannot return `{integer}`
//! a callback returns nothing, which a semicolon after its last expression does
//! a `Result` whose error counts as thrown

use oneloop::callback::set_timeout;

fn main() {
    set_timeout(|| 5, 100);
}
