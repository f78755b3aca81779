use crate::*;

fn puts_and_gets(queue: &Queue<u32>) -> String {
    trace(|handle, log| {
        let (putting, noting) = (queue.clone(), log.clone());
        handle.spawn(async move {
            for n in 1..=3 {
                putting.put(n).await;
                noting.note(format!("put{n}"));
            }
        });
        let (getting, noting) = (queue.clone(), log.clone());
        handle.spawn(async move {
            for _ in 1..=3 {
                let n = getting.get().await;
                noting.note(format!("get{n}"));
            }
        });
    })
}

#[test]
fn puts_and_gets_take_turns_as_there_is_room() {
    let table = [
        (Queue::bounded(1), "put1 get1 put2 get2 put3 get3"),
        (Queue::handing_over(1), "put1 get1 get2 put2 put3 get3"),
        (Queue::rendezvous(), "get1 put1 get2 put2 get3 put3"),
        (Queue::unbounded(), "put1 put2 put3 get1 get2 get3"),
        (Queue::lifo(None), "put1 put2 put3 get3 get2 get1"),
        (Queue::lifo(Some(2)), "put1 put2 get2 get1 put3 get3"),
    ];
    for (queue, expected) in table {
        assert_eq!(puts_and_gets(&queue), expected, "{:?}", queue.capacity());
    }
}

#[test]
fn with_room_for_one_a_putter_waits_for_each_getter() {
    let text = trace(|handle, log| {
        let queue = Queue::bounded(1);
        for name in ["a", "b", "c"] {
            let (queue, log) = (queue.clone(), log.clone());
            handle.spawn(async move {
                let n: u32 = queue.get().await;
                log.note(format!("{name}-got{n}"));
            });
        }
        let log = log.clone();
        handle.spawn(async move {
            for n in 0..3 {
                queue.put(n).await;
                log.note(format!("put{n}"));
            }
        });
    });
    assert_eq!(text, "put0 a-got0 put1 b-got1 put2 c-got2");
}

#[test]
fn the_smallest_value_comes_first_and_equal_ones_in_the_order_of_their_puts() {
    let queue = Queue::priority(None);
    for (n, name) in [(2, "c"), (1, "a"), (2, "d"), (1, "b")] {
        queue.try_put(ByFirst(n, name)).unwrap();
    }
    let names = [0; 4].map(|_| queue.try_get().unwrap().1).concat();
    assert_eq!(names, "abcd");
}

struct ByFirst(u32, &'static str);
impl Ord for ByFirst {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl PartialOrd for ByFirst {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for ByFirst {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for ByFirst {}

#[test]
fn a_getter_takes_the_value_that_is_smallest_when_it_runs() {
    let queue = Queue::priority(None);
    let waiting = Polled::pending(queue.get());
    queue.try_put(5).unwrap();
    queue.try_put(1).unwrap();
    assert_eq!(waiting.output(), 1);
}

#[test]
fn a_fair_queue_serves_getters_and_putters_in_order() {
    let queue = Queue::bounded(1).fair();
    let getters = [0, 1].map(|_| Polled::pending(queue.get()));
    assert_eq!(queue.getters(), 2);
    now(queue.put('a'));
    assert_eq!(queue.try_get(), None, "it is the first getter's");
    let putters = ['b', 'c'].map(|name| Polled::pending(queue.put(name)));
    assert_eq!((queue.putters(), queue.getters()), (2, 1));
    let [first, second] = getters;
    assert_eq!(first.output(), 'a');
    assert_eq!(queue.try_put('x'), Err(Full('x')), "the room is b's");
    let [b, c] = putters;
    b.output();
    assert_eq!(second.output(), 'b');
    c.output();
    assert_eq!(now(queue.get()), 'c');
}

#[test]
fn a_task_that_runs_takes_what_is_there_and_the_woken_one_keeps_its_place() {
    let queue = Queue::bounded(1);
    let [first, second] = [0, 1].map(|_| Polled::pending(queue.get()));
    now(queue.put('a'));
    assert_eq!(queue.try_peek(), Some('a'));
    assert_eq!(now(queue.get()), 'a');
    now(queue.put('b'));
    assert_eq!(first.output(), 'b');
    drop(second);
    now(queue.put('c'));
    let [d, e] = ['d', 'e'].map(|name| Polled::pending(queue.put(name)));
    assert_eq!(now(queue.get()), 'c');
    assert_eq!(queue.try_put('x'), Ok(()));
    assert_eq!(now(queue.get()), 'x');
    d.output();
    assert_eq!(now(queue.get()), 'd');
    e.output();
}

#[test]
fn a_dropped_getter_loses_nothing() {
    let queue = Queue::unbounded();
    let [first, second] = [0, 1].map(|_| Polled::pending(queue.get()));
    now(queue.put(1));
    drop(first);
    assert_eq!(second.output(), 1);
    let third = Polled::pending(queue.get());
    now(queue.put(2));
    drop(third);
    assert_eq!(queue.try_get(), Some(2));
}

#[test]
fn a_dropped_putter_puts_nothing_and_leaves_its_room_to_the_next() {
    let queue = Queue::bounded(1);
    now(queue.put(1));
    let [two, three] = [2, 3].map(|n| Polled::pending(queue.put(n)));
    assert_eq!(now(queue.get()), 1);
    drop(two);
    three.output();
    assert_eq!((queue.try_get(), queue.try_get()), (Some(3), None));
}

#[test]
fn at_a_rendezvous_a_dropped_putter_takes_its_value_along() {
    let queue = Queue::rendezvous();
    let mut getter = Polled::pending(queue.get());
    let one = Polled::pending(queue.put(1));
    assert!(getter.is_woken());
    drop(one);
    assert!(getter.poll().is_pending(), "the getter keeps its place");
    let later = Polled::pending(queue.get());
    let two = Polled::pending(queue.put(2));
    assert_eq!(getter.output(), 2);
    assert!(!later.is_woken());
    drop(two); // it completed, though it was not polled: nothing changes
    let three = Polled::pending(queue.put(3));
    assert_eq!(later.output(), 3);
    three.output();
}

#[test]
fn at_a_rendezvous_a_try_succeeds_when_the_other_side_waits() {
    let queue = Queue::rendezvous();
    assert_eq!(queue.try_put(1), Err(Full(1)));
    assert_eq!(queue.try_get(), None);
    let getter = Polled::pending(queue.get());
    assert_eq!(queue.try_put(1), Ok(()));
    assert_eq!(queue.try_put(2), Err(Full(2)));
    assert_eq!(getter.output(), 1);
    let putter = Polled::pending(queue.put(2));
    assert_eq!(queue.try_peek(), Some(2));
    assert_eq!(queue.try_get(), Some(2));
    putter.output();
    assert!(queue.is_full() && queue.is_empty());
}

#[test]
fn at_a_rendezvous_a_tried_put_does_not_overtake_an_offer() {
    let queue = Queue::rendezvous();
    let [first, second] = [0, 1].map(|_| Polled::pending(queue.get()));
    let offer = Polled::pending(queue.put(1));
    assert_eq!(queue.try_put(2), Err(Full(2)));
    assert_eq!(first.output(), 1);
    assert_eq!(queue.try_put(2), Ok(()));
    assert_eq!(second.output(), 2);
    offer.output();
}

#[test]
fn at_a_rendezvous_a_tried_put_needs_a_getter_that_takes_the_value() {
    let queue = Queue::rendezvous();
    let [peek, dropped] = [0, 1].map(|_| Polled::pending(queue.peek()));
    assert_eq!(queue.try_put(1), Err(Full(1)), "a peek takes no value");
    let getter = Polled::pending(queue.get());
    assert_eq!(queue.try_put(1), Ok(()));
    assert_eq!(queue.try_put(2), Err(Full(2)), "the getter has its value");
    drop(dropped);
    assert_eq!(peek.output(), 1);
    assert_eq!(getter.output(), 1);
    assert_eq!(queue.try_put(2), Err(Full(2)), "no waiter is left");
    assert!(queue.is_empty());
}

#[test]
fn peeking_waits_in_line_and_takes_nothing() {
    let queue = Queue::unbounded();
    let [peek, other] = [0, 1].map(|_| Polled::pending(queue.peek()));
    let get = Polled::pending(queue.get());
    assert_eq!(queue.try_peek(), None);
    now(queue.put(1));
    assert_eq!(peek.output(), 1);
    assert_eq!(other.output(), 1);
    assert_eq!(get.output(), 1);
    assert!(queue.is_empty());
}

#[test]
fn join_waits_until_all_values_are_done_even_if_one_is_put_at_once() {
    let queue = Queue::unbounded();
    now(queue.join());
    assert_eq!(queue.task_done(), Err(TaskDoneTooOften));
    now(queue.put(1));
    now(queue.put(2));
    let mut join = Polled::pending(queue.join());
    queue.task_done().unwrap();
    assert!(join.poll().is_pending());
    queue.task_done().unwrap();
    now(queue.put(3));
    assert_eq!(queue.unfinished(), 1);
    join.output();
}

#[test]
fn at_a_rendezvous_a_value_is_unfinished_once_it_is_taken() {
    let queue = Queue::rendezvous();
    let put = Polled::pending(queue.put(1));
    assert_eq!(queue.unfinished(), 0);
    Polled::pending(queue.get()).output();
    assert_eq!(queue.unfinished(), 1);
    put.output();
}

#[test]
#[should_panic(expected = "a put was polled after it was ready")]
fn a_put_puts_once() {
    let queue = Queue::unbounded();
    let mut put = queue.put(1);
    now(&mut put);
    now(&mut put);
}

/// A value whose drop uses its queue.
struct Looks(Queue<Looks>);

impl Drop for Looks {
    fn drop(&mut self) {
        self.0.len();
        drop(self.0.try_get());
    }
}

#[test]
fn a_value_may_use_the_queue_while_it_is_dropped() {
    for queue in [Queue::bounded(1), Queue::rendezvous()] {
        let _ = queue.try_put(Looks(queue.clone()));
        drop(Polled::pending(queue.put(Looks(queue.clone()))));
        drop(queue.try_get());
    }
}

#[test]
fn many_putters_take_turns_with_one_getter() {
    let trace = trace(|handle, log| {
        let queue = Queue::priority(Some(2));
        for number in [5, 4, 3, 2] {
            let (queue, log) = (queue.clone(), log.clone());
            handle.spawn(async move {
                queue.put(number).await;
                log.note(format!("put{number}"));
            });
        }
        let (queue, log) = (queue.clone(), log.clone());
        handle.spawn(async move {
            for _ in 0..4 {
                log.note(format!("got{}", queue.get().await));
            }
        });
    });
    assert_eq!(trace, "put5 put4 got4 got5 put3 got3 put2 got2");
}

#[test]
fn a_getter_that_is_handed_a_value_continues_before_its_putter_and_waits_for_it_before_the_next() {
    let trace = trace(|handle, log| {
        let queue = Queue::handing_over(2);
        for number in 1..=5 {
            let (queue, log) = (queue.clone(), log.clone());
            handle.spawn(async move {
                queue.put(number).await;
                log.note(format!("put{number}"));
            });
        }
        let log = log.clone();
        handle.spawn(async move {
            for _ in 1..=5 {
                log.note(format!("got{}", queue.get().await));
            }
        });
    });
    assert_eq!(trace, "put1 put2 got1 got2 got3 put3 got4 put4 got5 put5");
}

#[test]
fn a_putter_continues_when_the_capacity_grows() {
    for queue in [Queue::bounded(1), Queue::handing_over(1)] {
        now(queue.put(1));
        let (second, third) = (queue.put(2), queue.put(3));
        let (second, mut third) = (Polled::pending(second), Polled::pending(third));
        queue.set_capacity(Some(2));
        second.output();
        assert!(third.poll().is_pending());
        queue.set_capacity(Some(1));
        now(queue.get());
        assert!(
            third.poll().is_pending(),
            "there is more in than there is room for"
        );
        now(queue.get());
        third.output();
    }
}

#[test]
#[should_panic(expected = "needs room")]
fn only_a_queue_that_hands_over_can_have_no_room() {
    Queue::<()>::bounded(1).set_capacity(Some(0));
}
