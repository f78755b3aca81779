//! The callback clients of a loop, which are notified of what concerns all of them.

use crate::budget::Budget;
use crate::deadlines::Limits;
use oneloop::callback::net::Socket;
use oneloop::core::{Key, Slots};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

/// A client in the callback style. It has no task that could be woken, so it is called. Each call
/// comes with the client's socket: a client that held its own socket would keep itself alive.
pub(crate) trait ListedClient {
    /// The server drains: the client ends once all its input is answered.
    fn drain(self: Rc<Self>, socket: &Socket);

    /// Memory has become scarce, or no longer is: sets how much is read from now on.
    fn limit_input(&self, socket: &Socket);

    /// Reports the queue's length to the budget, and closes the client if it is over the budget.
    fn note_queue(&self, socket: &Socket);

    /// The settings have changed: follows the new timeouts and limits.
    fn follow_settings(self: Rc<Self>, socket: &Socket, before: Limits);

    /// Adds the client's report to the present round.
    fn report(&self, socket: &Socket);

    /// Obeys an order, if it is for this client.
    fn obey(self: Rc<Self>, socket: &Socket);
}

/// A client and its socket.
pub(crate) type ClientEntry = (Rc<dyn ListedClient>, Socket);

/// The callback clients of one loop.
#[derive(Default)]
pub(crate) struct Clients {
    entries: RefCell<Slots<ClientEntry>>,
    /// What the clients were last notified of.
    memory_is_scarce: Cell<bool>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clients({})", self.entries.borrow().len())
    }
}

impl Clients {
    /// Notifies a client of what concerns all, until [`Clients::remove`].
    pub(crate) fn add(&self, client: Rc<dyn ListedClient>, socket: &Socket) -> Key<ClientEntry> {
        self.entries.borrow_mut().insert((client, socket.clone()))
    }

    pub(crate) fn remove(&self, key: Key<ClientEntry>) {
        let entry = self.entries.borrow_mut().remove(key);
        drop(entry); // outside the borrow: a client's drop may call back
    }

    /// Adds each client's report to the current round.
    pub(crate) fn report(&self) {
        self.each(|client, socket| client.report(socket));
    }

    /// Makes each client follow new settings.
    pub(crate) fn follow_settings(&self, before: Limits) {
        self.each(|client, socket| client.follow_settings(socket, before));
    }

    /// Makes the client that an order is for obey it.
    pub(crate) fn obey(&self) {
        self.each(|client, socket| client.obey(socket));
    }

    /// Makes each client finish.
    pub(crate) fn drain(&self) {
        self.each(|client, socket| client.drain(socket));
    }

    /// Reports the queue of each client to the budget, and closes those that are over it.
    pub(crate) fn note_queues(&self) {
        self.each(|client, socket| client.note_queue(socket));
    }

    /// Notifies each client when memory becomes scarce or no longer is, as a callback socket must
    /// know its limit before it reads. Returns whether memory is scarce.
    pub(crate) fn check_memory(&self, budget: &Budget) -> bool {
        let was_scarce = self.memory_is_scarce.get();
        let is_scarce = budget.is_still_scarce(was_scarce);
        // With hysteresis, as a change is a call for each client: around a single threshold, they
        // would be called for each message.
        if is_scarce != was_scarce {
            self.memory_is_scarce.set(is_scarce);
            self.each(|client, socket| client.limit_input(socket));
        }
        is_scarce
    }

    /// Calls a function for each client, on a copy of the list: the call may add and remove
    /// clients.
    fn each(&self, call: impl Fn(Rc<dyn ListedClient>, &Socket)) {
        let entries: Vec<ClientEntry> = {
            let entries = self.entries.borrow();
            entries.iter().map(|(_, entry)| entry.clone()).collect()
        };
        for (client, socket) in entries {
            call(client, &socket);
        }
    }
}
