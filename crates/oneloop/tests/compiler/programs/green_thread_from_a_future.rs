//! expected a `FnOnce()` closure, found `{async block@
//! required by a bound in `oneloop::green::spawn`

fn main() {
    oneloop::green::spawn(async { 5 });
}
