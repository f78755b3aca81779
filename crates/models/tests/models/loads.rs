//! The counts of a cluster. The crate itself has loops on sockets, which no model needs, so the file
//! is taken from there.

use loom::thread;
use oneloop_models::check;
use std::sync::Arc;

#[expect(dead_code, reason = "the cluster uses the rest")]
#[path = "../../../cluster/src/loads.rs"]
mod counted;

use counted::Loads;

#[test]
fn threads_that_place_connections_at_once_give_no_loop_more_than_is_fair() {
    check(|| {
        let loads = Arc::new(Loads::new(2));
        let place = |loads: &Loads| [(); 2].map(|()| loads.place(0, |_| true));
        let other = thread::spawn({
            let loads = Arc::clone(&loads);
            move || place(&loads)
        });
        place(&loads);
        other.join().unwrap();
        assert_eq!(loads.all(), [2, 2]);
    });
}

#[test]
fn a_connection_that_ends_while_another_is_placed_is_counted_once() {
    check(|| {
        let loads = Arc::new(Loads::new(2));
        // Loop 0 has as many as are fair, so the next one of its connections goes to loop 1.
        for index in [0, 0, 1] {
            loads.add(index);
        }
        let other = thread::spawn({
            let loads = Arc::clone(&loads);
            move || loads.remove(1)
        });
        loads.place(0, |_| true);
        other.join().unwrap();
        assert_eq!(loads.all(), [2, 1]);
    });
}
