//! The primitives of `sync`, against the models that their tests use.

use crate::input::Input;
use crate::models::queues::Order;
use crate::models::{
    Step, barriers, broadcasts, channels, conditions, flags, locks, mutexes, notifies, once_cells,
    queues, rwlocks, semaphores, watches,
};

/// A model walks over all waiters after each step, so more steps would take too long.
const STEPS_MAX: usize = 200;

/// How many waiters a step can name.
const PLACES: usize = 8;

/// No waiter sleeps while what it waits for is there, and each gets what the model says.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    match input.below(13) {
        0 => {
            let (permits, barging) = (input.below(3), input.is());
            semaphores::run(permits, barging, &steps(input, semaphores::KINDS));
        }
        1 => {
            let orders = [
                Order::Fifo,
                Order::HandingOver,
                Order::Lifo,
                Order::Priority,
            ];
            let (order, capacity) = (orders[input.below(4)], capacity(&mut input));
            queues::run(order, capacity, &steps(input, queues::KINDS));
        }
        2 => mutexes::run(&steps(input, mutexes::KINDS)),
        3 => conditions::run(&steps(input, conditions::KINDS)),
        4 => {
            let capacity = capacity(&mut input);
            channels::run(capacity, &steps(input, channels::KINDS));
        }
        5 => flags::run(&steps(input, flags::KINDS)),
        6 => {
            let mut scripts = vec![Vec::new(); 1 + input.below(5)];
            let tasks = scripts.len();
            for _ in 0..STEPS_MAX.min(input.left()) {
                let task = input.below(tasks);
                scripts[task].push(step(&mut input, locks::KINDS));
            }
            locks::run(scripts);
        }
        7 => rwlocks::run(&steps(input, rwlocks::KINDS)),
        8 => notifies::run(&steps(input, notifies::KINDS)),
        9 => {
            let size = input.below(4);
            barriers::run(size, &steps(input, barriers::KINDS));
        }
        10 => once_cells::run(&steps(input, once_cells::KINDS)),
        11 => watches::run(&steps(input, watches::KINDS)),
        _ => {
            let capacity = 1 + input.below(3) as u64;
            broadcasts::run(capacity, &steps(input, broadcasts::KINDS));
        }
    }
}

fn capacity(input: &mut Input<'_>) -> Option<usize> {
    input.below(5).checked_sub(1)
}

fn steps(mut input: Input<'_>, kinds: usize) -> Vec<Step> {
    let count = STEPS_MAX.min(input.left());
    (0..count).map(|_| step(&mut input, kinds)).collect()
}

fn step(input: &mut Input<'_>, kinds: usize) -> Step {
    let step = input.below(kinds * PLACES);
    (step / PLACES, step % PLACES)
}
