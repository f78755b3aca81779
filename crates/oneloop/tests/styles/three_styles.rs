//! The three styles in one program, on one loop.

use std::cell::RefCell;
use std::rc::Rc;

#[allow(dead_code)] // its `main`
#[path = "../../examples/three_styles.rs"]
mod example;

#[test]
fn callbacks_green_threads_and_async_tasks_talk_through_one_queue() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&lines);
    example::three_styles(move |line| into.borrow_mut().push(line.to_owned())).unwrap();
    let expected = [
        "green thread: got one",
        "green thread: got two",
        "green thread: waited for a future",
        "async task: the green thread counted 2",
        "callback: 2 words in all",
    ];
    assert_eq!(*lines.borrow(), expected);
}
