//! a callback cannot return `Put<&str>`
//! a future does nothing until it is awaited, so a semicolon would lose it
//! a method that does not wait, such as a queue's `try_put`

use oneloop::callback::set_timeout;
use oneloop::sync::Queue;

fn main() {
    let queue = Queue::unbounded();
    set_timeout(move || queue.put("tea"), 100);
}
