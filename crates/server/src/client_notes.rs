//! What the server knows of some clients beside their sockets.

use crate::access::SourceSlot;
use crate::introduction::Introduction;
use std::cell::RefCell;
use std::collections::HashMap;

/// What is known of one client.
#[derive(Debug, Default)]
pub(crate) struct ClientNote {
    pub(crate) introduction: Option<Introduction>,
    /// Its place among the connections of its source.
    pub(crate) slot: Option<SourceSlot>,
}

/// The notes of one loop, by the numbers of its clients. Only clients that there is something to
/// say of have one, so that no other client pays for it.
#[derive(Debug, Default)]
pub(crate) struct ClientNotes(RefCell<HashMap<u64, ClientNote>>);

impl ClientNotes {
    pub(crate) fn add(&self, number: u64, note: ClientNote) {
        if note.introduction.is_some() || note.slot.is_some() {
            self.0.borrow_mut().insert(number, note);
        }
    }

    /// How a balancer has introduced the client, if one has.
    pub(crate) fn introduction(&self, number: u64) -> Option<Introduction> {
        let notes = self.0.borrow();
        // Nearly always there are none, and then no number is hashed, here and below.
        if notes.is_empty() {
            return None;
        }
        notes.get(&number)?.introduction.clone()
    }

    /// Frees the client's place among the connections of its source.
    pub(crate) fn free_slot(&self, number: u64) {
        if self.0.borrow().is_empty() {
            return;
        }
        let mut notes = self.0.borrow_mut();
        let slot = notes.get_mut(&number).and_then(|note| note.slot.take());
        drop((notes, slot)); // the borrow ends first
    }

    /// Forgets a client that is gone.
    pub(crate) fn remove(&self, number: u64) {
        if self.0.borrow().is_empty() {
            return;
        }
        let note = self.0.borrow_mut().remove(&number); // the borrow ends here
        drop(note);
    }
}
