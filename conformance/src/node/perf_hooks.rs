//! The loop's utilization, and its delay.

use super::compute_for;
use oneloop::callback::perf_hooks::{event_loop_utilization, monitor_event_loop_delay};
use oneloop::callback::set_timeout;
use std::time::Duration;

pub(super) fn utilization_and_delay() {
    set_timeout(
        || {
            let before = event_loop_utilization();
            compute_for(50);
            set_timeout(
                move || {
                    let e = event_loop_utilization().since(&before);
                    let half = e.utilization > 0.3 && e.utilization < 0.7;
                    println!("busy~0.5 {half} [ 'idle', 'active', 'utilization' ]");
                    delay();
                },
                50,
            );
        },
        5,
    );
}

fn delay() {
    let mut monitor = monitor_event_loop_delay(Duration::from_millis(10));
    monitor.enable();
    set_timeout(
        || {
            compute_for(80);
            set_timeout(
                move || {
                    monitor.disable();
                    println!("max>=70ms {}", monitor.max() >= Duration::from_millis(70));
                },
                30,
            );
        },
        30,
    );
}
