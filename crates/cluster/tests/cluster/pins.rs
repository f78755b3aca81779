//! One core for each loop.

use oneloop::cluster::{ClusterOptions, cluster_with};
use rustix::thread::{CpuSet, sched_getaffinity};
use std::io;
use std::sync::{Arc, Mutex};

fn cores(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .collect()
}

#[test]
fn each_loop_has_one_of_the_allowed_cores_and_the_caller_gets_its_own_back() {
    let before = sched_getaffinity(None).unwrap();
    let allowed = cores(&before);
    let pinned = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&pinned);
    let options = ClusterOptions {
        pins: true,
        ..ClusterOptions::default()
    };
    cluster_with(3, options, move |member| {
        let own = cores(&sched_getaffinity(None).unwrap());
        notes.lock().unwrap().push((member.id(), own));
        async { io::Result::Ok(()) }
    })
    .unwrap();
    let mut pinned = pinned.lock().unwrap();
    pinned.sort();
    let expected = (0..3).map(|id| (id, vec![allowed[id % allowed.len()]]));
    assert_eq!(*pinned, expected.collect::<Vec<_>>());
    assert_eq!(cores(&sched_getaffinity(None).unwrap()), allowed);
}
