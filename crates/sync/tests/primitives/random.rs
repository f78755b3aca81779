//! The primitives under random steps, against the models in `models/`.

use crate::models::queues::Order;
use crate::models::{
    Step, barriers, broadcasts, channels, conditions, flags, locks, mutexes, notifies, once_cells,
    queues, rwlocks, semaphores, watches,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The steps of a model that has `kinds` kinds of them.
fn steps(kinds: usize) -> impl Strategy<Value = Vec<Step>> {
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

    #[test]
    fn a_rwlock_has_many_readers_or_one_writer_in_line_order(steps in steps(rwlocks::KINDS)) {
        rwlocks::run(&steps);
    }

    #[test]
    fn a_notification_reaches_one_task_or_is_kept_and_a_round_reaches_all(
        steps in steps(notifies::KINDS),
    ) {
        notifies::run(&steps);
    }

    #[test]
    fn a_barrier_opens_when_all_have_arrived(steps in steps(barriers::KINDS), size in 0..4_usize) {
        barriers::run(size, &steps);
    }

    #[test]
    fn a_cell_is_created_by_one_task_at_a_time_until_one_succeeds(
        steps in steps(once_cells::KINDS),
    ) {
        once_cells::run(&steps);
    }

    #[test]
    fn a_watch_leaves_no_receiver_asleep_that_has_not_seen_the_value(
        steps in steps(watches::KINDS),
    ) {
        watches::run(&steps);
    }

    #[test]
    fn a_broadcast_delivers_each_value_to_all_or_says_how_many_were_missed(
        steps in steps(broadcasts::KINDS),
        capacity in 1..4_u64,
    ) {
        broadcasts::run(capacity, &steps);
    }
}
