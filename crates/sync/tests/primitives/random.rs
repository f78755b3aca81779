//! The primitives under random steps, against the models in `models/`. `shared.rs` has what many
//! tasks receive or hold together.

use crate::models::queues::Order;
use crate::models::{Step, channels, conditions, flags, locks, mutexes, queues, semaphores};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The steps of a model that has `kinds` kinds of them.
pub(crate) fn steps(kinds: usize) -> impl Strategy<Value = Vec<Step>> {
    vec((0..kinds, 0..8_usize), 1..100)
}

fn capacity() -> impl Strategy<Value = Option<usize>> {
    option::of(0..4_usize)
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Fifo),
        Just(Order::HandingOver),
        Just(Order::Lifo),
        Just(Order::Priority)
    ]
}

proptest! {
    #[test]
    fn a_semaphore_loses_no_permit_and_no_wakeup(
        steps in steps(semaphores::KINDS),
        permits in 0..3_usize,
        barging: bool,
    ) {
        semaphores::run(permits, barging, &steps);
    }

    #[test]
    fn a_queue_loses_no_value_and_no_wakeup_and_keeps_its_order(
        steps in steps(queues::KINDS),
        capacity in capacity(),
        order in order(),
    ) {
        queues::run(order, capacity, &steps);
    }

    #[test]
    fn a_mutex_has_one_owner_at_a_time_in_line_order(steps in steps(mutexes::KINDS)) {
        mutexes::run(&steps);
    }

    #[test]
    fn a_notification_ends_one_wait_which_then_has_the_lock(steps in steps(conditions::KINDS)) {
        conditions::run(&steps);
    }

    #[test]
    fn a_channel_delivers_each_value_once_and_in_order(
        steps in steps(channels::KINDS),
        capacity in capacity(),
    ) {
        channels::run(capacity, &steps);
    }

    #[test]
    fn an_event_and_a_one_shot_leave_no_waiter_asleep(steps in steps(flags::KINDS)) {
        flags::run(&steps);
    }

    #[test]
    fn a_lock_has_one_owner_with_a_balanced_depth(
        scripts in vec(vec((0..locks::KINDS, 0..12_usize), 0..20), 1..6),
    ) {
        locks::run(scripts);
    }
}
