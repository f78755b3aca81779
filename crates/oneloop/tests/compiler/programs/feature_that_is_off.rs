//! the item is gated behind the `monitor` feature
//! could not find `perf_hooks` in `callback`

use oneloop::monitor::Monitor;

fn main() {
    let _ = oneloop::callback::perf_hooks::monitor_event_loop_delay;
}
