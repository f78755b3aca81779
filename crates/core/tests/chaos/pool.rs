//! Jobs on worker threads, which run one at a time under chaos, in an order that the seed chooses.

use crate::harness::{OFFLOADS, check};
use oneloop::aio::{self, offload_to};
use oneloop::callback::{self, run_on};
use oneloop::core::Class;
use oneloop::green;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const JOBS: u32 = 8;
const CLASSES: [Class; 2] = [Class::Fs, Class::Cpu];

/// Notes the order in which jobs begin.
type Begun = Arc<Mutex<Vec<(usize, u32)>>>;

fn job(begun: &Begun, class: usize, number: u32) -> impl FnOnce() -> u32 + Send + use<> {
    let begun = Arc::clone(begun);
    move || {
        begun.lock().unwrap().push((class, number));
        number * number
    }
}

fn assert_begun_in_order(begun: &Begun) {
    let begun = begun.lock().unwrap();
    for class in 0..CLASSES.len() {
        let of_class = begun.iter().filter(|(other, _)| *other == class);
        assert!(
            of_class.is_sorted(),
            "jobs of one class begin in order: {begun:?}"
        );
    }
}

#[test]
fn async_jobs_return_their_results() {
    check(OFFLOADS, |event_loop| {
        event_loop.block_on(async {
            let begun = Begun::default();
            let mut jobs = Vec::new();
            for number in 0..JOBS {
                for (index, class) in CLASSES.into_iter().enumerate() {
                    let job = offload_to(class, job(&begun, index, number));
                    jobs.push(async move { assert_eq!(job.await.unwrap(), number * number) });
                }
            }
            aio::join_all(jobs).await;
            assert_begun_in_order(&begun);
            assert_eq!(begun.lock().unwrap().len(), JOBS as usize * CLASSES.len());
            // A canceled job runs or not, and the program ends in either case.
            let canceled = offload_to(Class::Cpu, job(&begun, 0, JOBS));
            let _ = aio::timeout(Duration::ZERO, canceled).await;
        });
    });
}

#[test]
fn green_jobs_return_their_results() {
    check(OFFLOADS, |event_loop| {
        let ran = green::run_on(event_loop, || {
            let pool = green::Pool::new(3);
            let threads = (0..JOBS)
                .map(|number| pool.submit(move || green::offload(move || number * number)));
            let threads: Vec<_> = threads.collect();
            for (number, thread) in (0..).zip(threads) {
                assert_eq!(thread.join().unwrap(), number * number);
            }
        });
        ran.unwrap();
    });
}

#[test]
fn callback_jobs_return_their_results() {
    check(OFFLOADS, |event_loop| {
        let results = Rc::new(RefCell::new(Vec::new()));
        let begun = Begun::default();
        let (done, at_job) = (Rc::clone(&results), Arc::clone(&begun));
        let code = run_on(event_loop, move || {
            for number in 0..JOBS {
                for (index, class) in CLASSES.into_iter().enumerate() {
                    let done = Rc::clone(&done);
                    let job = job(&at_job, index, number);
                    callback::offload_to(class, job, move |result| {
                        done.borrow_mut().push(result.expect("no panic"));
                    });
                }
            }
        });
        assert_eq!(code.unwrap(), 0);
        assert_begun_in_order(&begun);
        let mut results = results.take();
        results.sort_unstable();
        let expected = (0..JOBS).flat_map(|number| [number * number; CLASSES.len()]);
        assert_eq!(results, Vec::from_iter(expected));
    });
}
