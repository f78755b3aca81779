//! The chat room: what one client types, the others see, whichever thread serves them.

use crate::output::Output;
use bytes::Bytes;
use oneloop::{Key, Slots};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;

/// What a piece costs besides its bytes: without it, many small ones would count as nothing.
const PIECE_BYTES: usize = 64;
/// An unfinished line longer than this is passed on in parts.
const LINE_MAX: usize = 4096;

/// Everybody in the chat.
#[derive(Debug)]
pub(crate) struct Room {
    members: Mutex<Slots<Arc<Mailbox>>>,
    /// How much may wait in one mailbox before its owner is given up.
    mailbox_max: usize,
    /// Who may still say something, or bring somebody in who does.
    speakers: AtomicUsize,
}

/// While it lives, there may be more to hear.
#[derive(Debug)]
pub(crate) struct Speaker {
    room: Arc<Room>,
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if self.room.speakers.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.room.wake_all();
        }
    }
}

/// What the others said, until its owner's connection fetches it.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// Each is shared with the mailboxes of all others.
    pieces: VecDeque<Bytes>,
    /// What they count against the most that may wait.
    weight: usize,
    overflowed: bool,
    waker: Option<Waker>,
}

/// Nothing that holds one of these locks can leave the inside half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Room {
    pub(crate) fn new(mailbox_max: usize) -> Arc<Self> {
        Arc::new(Room {
            members: Mutex::default(),
            mailbox_max,
            speakers: AtomicUsize::new(0),
        })
    }

    pub(crate) fn join(self: &Arc<Self>) -> Member {
        let mailbox = Arc::<Mailbox>::default();
        let key = lock(&self.members).insert(Arc::clone(&mailbox));
        Member {
            speaker: Some(self.speaker()),
            room: Arc::clone(self),
            key,
            mailbox,
            line: Vec::new(),
        }
    }

    /// Somebody who may say something, or bring in who does.
    pub(crate) fn speaker(self: &Arc<Self>) -> Speaker {
        self.speakers.fetch_add(1, Ordering::AcqRel);
        Speaker {
            room: Arc::clone(self),
        }
    }

    fn wake_all(&self) {
        let members = lock(&self.members);
        let wakers: Vec<_> = members
            .iter()
            .filter_map(|(_, m)| lock(&m.inside).waker.take())
            .collect();
        drop(members);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Puts text into every mailbox but the speaker's own: one copy for all of them.
    fn tell_others(&self, speaker: Key<Arc<Mailbox>>, text: &[u8]) {
        let piece = Bytes::copy_from_slice(text);
        let members = lock(&self.members);
        let others = members.iter().filter(|(key, _)| *key != speaker);
        let put = others.filter_map(|(_, mailbox)| mailbox.put(&piece, self.mailbox_max));
        let wakers: Vec<_> = put.collect();
        drop(members);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Mailbox {
    fn put(&self, piece: &Bytes, weight_max: usize) -> Option<Waker> {
        let mut inside = lock(&self.inside);
        let weight = inside.weight + piece.len() + PIECE_BYTES;
        if inside.overflowed || weight > weight_max {
            inside.overflowed = true;
            inside.pieces = VecDeque::new(); // it will never be read
        } else {
            inside.weight = weight;
            inside.pieces.push_back(piece.clone());
        }
        inside.waker.take()
    }
}

/// The owner of a mailbox can't keep up with the others.
#[derive(Debug)]
pub(crate) struct Overflowed;

/// One client in the room; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    room: Arc<Room>,
    key: Key<Arc<Mailbox>>,
    mailbox: Arc<Mailbox>,
    /// Until the client has said its last.
    speaker: Option<Speaker>,
    /// The line that the client has not finished.
    line: Vec<u8>,
}

impl Member {
    /// Passes on every whole line, so that the lines of two clients never mix.
    pub(crate) fn say(&mut self, input: &[u8]) {
        self.line.extend_from_slice(input);
        let whole = self
            .line
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        let ready = if whole == 0 && self.line.len() > LINE_MAX {
            self.line.len()
        } else {
            whole
        };
        self.pass_on(ready);
    }

    /// The client says no more. The last words need no end of line.
    pub(crate) fn hush(&mut self) {
        self.pass_on(self.line.len());
        self.speaker = None;
    }

    /// True while others may say something.
    pub(crate) fn may_hear_more(&self) -> bool {
        self.room.speakers.load(Ordering::Acquire) > 0
    }

    /// Passes on the first so many bytes.
    fn pass_on(&mut self, bytes: usize) {
        if bytes > 0 {
            self.room.tell_others(self.key, &self.line[..bytes]);
            self.line.drain(..bytes);
        }
        self.line.shrink_to(2 * self.line.len()); // an idle client keeps no buffer
    }

    /// Moves what the others said behind `out`, while less than `out_max` waits there; leaves the
    /// waker for the next time.
    pub(crate) fn fetch(
        &self,
        out: &mut Output,
        out_max: usize,
        waker: &Waker,
    ) -> Result<(), Overflowed> {
        let mut inside = lock(&self.mailbox.inside);
        if inside.overflowed {
            return Err(Overflowed);
        }
        while out.len() < out_max
            && let Some(piece) = inside.pieces.pop_front()
        {
            inside.weight -= piece.len() + PIECE_BYTES;
            out.push(piece);
        }
        if inside.pieces.is_empty() {
            inside.pieces = VecDeque::new();
        }
        match &mut inside.waker {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        Ok(())
    }

    /// True while something the others said has not been fetched.
    pub(crate) fn has_mail(&self) -> bool {
        !lock(&self.mailbox.inside).pieces.is_empty()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.hush();
        let mailbox = lock(&self.room.members).remove(self.key);
        drop(mailbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(member: &Member) -> Result<usize, Overflowed> {
        let mut out = Output::default();
        member.fetch(&mut out, usize::MAX, Waker::noop())?;
        Ok(out.len())
    }

    #[test]
    fn the_others_hear_whole_lines() {
        let room = Room::new(1000);
        let (mut a, b) = (room.join(), room.join());
        a.say(b"hel");
        assert_eq!(hear(&b).unwrap(), 0);
        a.say(b"lo\r\nyou");
        assert_eq!(
            (hear(&b).unwrap(), hear(&a).unwrap()),
            ("hello\r\n".len(), 0)
        );
        drop(a);
        assert_eq!(hear(&b).unwrap(), "you".len(), "last words are heard");
    }

    #[test]
    fn there_is_more_to_hear_until_the_last_one_is_silent() {
        let room = Room::new(1000);
        let (door, mut a, mut b) = (room.speaker(), room.join(), room.join());
        a.say(b"bye");
        a.hush();
        assert!(a.may_hear_more());
        b.hush();
        assert!(b.may_hear_more(), "somebody may come in and say something");
        drop(door);
        assert!(!a.may_hear_more());
        assert_eq!(hear(&b).unwrap(), "bye".len());
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_parts() {
        let room = Room::new(1 << 20);
        let (mut a, b) = (room.join(), room.join());
        a.say(&vec![b'x'; LINE_MAX + 1]);
        assert_eq!(hear(&b).unwrap(), LINE_MAX + 1);
        assert!(a.line.is_empty());
    }

    #[test]
    fn a_full_mailbox_is_its_owners_end_only() {
        let room = Room::new(PIECE_BYTES + 4);
        let (mut a, b) = (room.join(), room.join());
        a.say(b"12\n");
        a.say(b"34\n");
        assert!(hear(&b).is_err());
        let c = room.join();
        a.say(b"5\n");
        assert_eq!(hear(&c).unwrap(), "5\n".len());
    }
}
