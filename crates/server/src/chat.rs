//! The chat room: what one client types, the others see, whichever thread serves them.
//!
//! What is said is stored once, in a [`Log`]; a member has a position in it.

mod log;
mod speech;

use log::{Log, Position};
use oneloop::{Key, Slots};
use std::collections::VecDeque;
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// An unfinished line longer than this is passed on in parts.
const LINE_MAX: usize = 4096;

/// How a room is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How many bytes may wait for one member.
    pub(crate) waiting_max: usize,
    /// How many may be stored. The member with the longest queue has to go first; since what waits for several
    /// is stored once, that is the one queue that is as long as the log.
    pub(crate) stored_max: usize,
    /// Control characters are passed on as they are.
    pub(crate) raw: bool,
}

/// Why a member hears no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// More than [`Rules::waiting_max`] waited for it.
    TooSlow,
    /// More than [`Rules::stored_max`] was stored, most of all for it: the count of those lost like that.
    Crowded(u64),
}

/// Everybody in the chat.
#[derive(Debug)]
pub(crate) struct Room {
    rules: Rules,
    inside: Mutex<Inside>,
    /// Members that may still say something, and listeners that may bring one in.
    speakers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inside {
    log: Log,
    hearers: Slots<Hearer>,
    /// How many were lost for what was stored.
    crowded: u64,
}

/// How far a member has heard.
#[derive(Debug)]
struct Hearer {
    /// The next byte that it has not heard; never one of its own.
    at: Position,
    /// It hears nothing that was said from here on.
    until: Option<Position>,
    /// What it said itself since then, which it does not hear. There is one range for each time that it spoke
    /// while something waited for it. The ranges count as output that waits, so that `--out-soft` limits them.
    own: VecDeque<Range<Position>>,
    own_bytes: u64,
    /// Then it has no place in the log.
    lost: Option<Lost>,
    /// It has heard everything: the next word wakes it. One for which something waits is woken when it is lost.
    is_waiting: bool,
    waker: Option<Waker>,
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

impl Room {
    pub(crate) fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Room {
            rules,
            inside: Mutex::default(),
            speakers: AtomicUsize::new(0),
        })
    }

    pub(crate) fn join(self: &Arc<Self>) -> Member {
        Member {
            speaker: Some(self.speaker()),
            key: self.lock().join(),
            room: Arc::clone(self),
            line: Vec::new(),
        }
    }

    /// A member that may say something, or a listener that may bring one in.
    pub(crate) fn speaker(self: &Arc<Self>) -> Speaker {
        self.speakers.fetch_add(1, Ordering::AcqRel);
        Speaker {
            room: Arc::clone(self),
        }
    }

    /// How many bytes are stored for members that have not heard them.
    #[cfg(test)]
    pub(crate) fn stored(&self) -> usize {
        let inside = self.lock();
        let hearers = inside.hearers.iter().filter(|(_, h)| h.lost.is_none());
        let waits = hearers.map(|(_, hearer)| inside.log.end() - hearer.at);
        to_bytes(waits.max().unwrap_or(0))
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // Nothing that holds the lock can leave the inside half-changed.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        let wakers = self.lock().take_wakers();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Has all members but the speaker hear a text.
    fn tell_others(&self, speaker: Key<Hearer>, text: &[u8]) {
        let text = if self.rules.raw {
            text.into()
        } else {
            speech::escape(text)
        };
        let wakers = {
            let mut inside = self.lock();
            inside.append(speaker, &text);
            inside.lose_the_slow(&self.rules);
            inside.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Inside {
    fn join(&mut self) -> Key<Hearer> {
        let at = self.log.enter();
        self.hearers.insert(Hearer {
            at,
            until: None,
            own: VecDeque::new(),
            own_bytes: 0,
            lost: None,
            is_waiting: false,
            waker: None,
        })
    }

    fn append(&mut self, speaker: Key<Hearer>, text: &[u8]) {
        let start = self.log.end();
        self.log.append(text);
        let end = self.log.end();
        if let Some(hearer) = self.hearers.get_mut(speaker)
            && hearer.lost.is_none()
        {
            hearer.skip(&mut self.log, start..end);
        }
    }

    fn lose_the_slow(&mut self, rules: &Rules) {
        let end = self.log.end();
        let crowded = &mut self.crowded;
        let mut lost = |hearer: &Hearer| {
            if hearer.lost.is_some() {
                None
            } else if hearer.waiting(end) > rules.waiting_max as u64 {
                Some(Lost::TooSlow)
            } else if end - hearer.at > rules.stored_max as u64 {
                *crowded += 1;
                Some(Lost::Crowded(*crowded))
            } else {
                None
            }
        };
        let all = self.hearers.iter();
        let lost: Vec<_> = all.filter_map(|(key, h)| Some((key, lost(h)?))).collect();
        for (key, why) in lost {
            if let Some(hearer) = self.hearers.get_mut(key) {
                hearer.lost = Some(why);
                hearer.own = VecDeque::new();
                self.log.leave(hearer.at);
            }
        }
    }

    fn take_wakers(&mut self) -> Vec<Waker> {
        let keys: Vec<_> = self.hearers.iter().map(|(key, _)| key).collect();
        let wakers = keys
            .into_iter()
            .filter_map(|key| self.hearers.get_mut(key)?.take_waker());
        wakers.collect()
    }
}

impl Hearer {
    fn take_waker(&mut self) -> Option<Waker> {
        let is_woken = std::mem::take(&mut self.is_waiting) || self.lost.is_some();
        self.waker.take_if(|_| is_woken)
    }

    /// How many bytes wait for it.
    fn waiting(&self, end: Position) -> u64 {
        // What it said itself lies before its last byte: it says nothing after taking leave.
        self.until.unwrap_or(end) - self.at - self.own_bytes
    }

    /// How much memory it takes to know what it said itself.
    fn own_memory(&self) -> usize {
        self.own.capacity() * size_of::<Range<Position>>()
    }

    /// Passes over what it said itself.
    fn skip(&mut self, log: &mut Log, said: Range<Position>) {
        if self.at == said.start {
            log.advance(self.at, said.end);
            self.at = said.end;
            return;
        }
        self.own_bytes += said.end - said.start;
        match self.own.back_mut() {
            Some(last) if last.end == said.start => last.end = said.end,
            _ => self.own.push_back(said),
        }
    }

    /// Copies what it hears next, as far as the buffer has room; gives how many bytes.
    fn copy(&self, log: &Log, buf: &mut [u8]) -> usize {
        let end = self.until.unwrap_or(log.end());
        let (mut at, mut filled) = (self.at, 0);
        for own in self.own.iter().cloned().chain(iter::once(end..end)) {
            filled += log.copy(at, own.start, &mut buf[filled..]);
            if filled == buf.len() {
                break;
            }
            at = own.end;
        }
        filled
    }

    /// Notes that the member has heard `count` more bytes.
    fn advance(&mut self, log: &mut Log, count: usize) {
        let from = self.at;
        self.at += count as u64;
        while let Some(own) = self.own.front()
            && own.start <= self.at
        {
            self.at += own.end - own.start;
            self.own_bytes -= own.end - own.start;
            self.own.pop_front();
        }
        if self.own.is_empty() {
            self.own = VecDeque::new();
        }
        log.advance(from, self.at);
    }
}

/// One client in the room; it leaves when this is dropped.
#[derive(Debug)]
pub(crate) struct Member {
    room: Arc<Room>,
    key: Key<Hearer>,
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
        let ready = if self.line.len() - whole > LINE_MAX {
            self.line.len() - speech::unfinished(&self.line)
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

    /// The client says no more, and hears only what was said until now.
    pub(crate) fn take_leave(&mut self) {
        self.hush();
        self.with_hearer(|hearer, log| {
            hearer.until.get_or_insert(log.end());
        });
    }

    /// True while others may say something that the client hears.
    pub(crate) fn may_hear_more(&self) -> bool {
        self.room.speakers.load(Ordering::Acquire) > 0
            && self.with_hearer(|hearer, _| hearer.until.is_none())
    }

    /// Passes on the first so many bytes.
    fn pass_on(&mut self, bytes: usize) {
        if bytes > 0 {
            self.room.tell_others(self.key, &self.line[..bytes]);
            self.line.drain(..bytes);
        }
        self.line.shrink_to(2 * self.line.len()); // an idle client keeps no buffer
    }

    fn with_hearer<T>(&self, f: impl FnOnce(&mut Hearer, &mut Log) -> T) -> T {
        let Inside { log, hearers, .. } = &mut *self.room.lock();
        f(
            hearers.get_mut(self.key).expect("it leaves in drop only"),
            log,
        )
    }

    /// Ready when something that others said waits for the client. The task hears, too, when the client is lost.
    pub(crate) fn poll_waiting(&self, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        self.with_hearer(|hearer, log| {
            if let Some(why) = hearer.lost {
                return Poll::Ready(Err(why));
            }
            match &mut hearer.waker {
                Some(old) => old.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            hearer.is_waiting = hearer.waiting(log.end()) == 0;
            if hearer.is_waiting {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        })
    }

    /// How many bytes wait for the client, with the memory that it takes to skip what it said itself: a
    /// client that talks and never reads must not make that grow forever.
    pub(crate) fn waiting(&self) -> usize {
        self.with_hearer(|hearer, log| match hearer.lost {
            None => to_bytes(hearer.waiting(log.end())) + hearer.own_memory(),
            Some(_) => 0,
        })
    }

    /// Copies what the client hears next, as far as the buffer has room; gives how many bytes.
    pub(crate) fn copy_waiting(&self, buf: &mut [u8]) -> usize {
        self.with_hearer(|hearer, log| match hearer.lost {
            None => hearer.copy(log, buf),
            Some(_) => 0,
        })
    }

    /// The client was sent so many bytes of that.
    pub(crate) fn take_waiting(&self, count: usize) {
        self.with_hearer(|hearer, log| {
            if hearer.lost.is_none() {
                hearer.advance(log, count);
            }
        });
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.hush();
        let left = {
            let Inside { log, hearers, .. } = &mut *self.room.lock();
            let left = hearers.remove(self.key);
            if let Some(Hearer { lost: None, at, .. }) = left {
                log.leave(at);
            }
            left
        };
        drop(left); // a waker is in there
    }
}

fn to_bytes(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        waiting_max: 1000,
        stored_max: 1000,
        raw: false,
    };

    fn hear(member: &Member) -> Result<String, Lost> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut heard = Vec::new();
        while let Poll::Ready(waiting) = member.poll_waiting(&mut cx) {
            waiting?;
            let mut some = [0; 7];
            let count = member.copy_waiting(&mut some);
            member.take_waiting(count);
            heard.extend_from_slice(&some[..count]);
        }
        Ok(String::from_utf8(heard).unwrap())
    }

    #[track_caller]
    fn expect(member: &Member, heard: &str) {
        assert_eq!(hear(member), Ok(heard.to_owned()));
    }

    #[test]
    fn the_others_hear_whole_lines() {
        let room = Room::new(RULES);
        let (mut a, b) = (room.join(), room.join());
        a.say(b"hel");
        expect(&b, "");
        a.say(b"lo\r\nyou");
        expect(&b, "hello\r\n");
        expect(&a, "");
        drop(a);
        expect(&b, "you"); // last words are heard
    }

    #[test]
    fn who_talks_while_something_waits_does_not_hear_itself_later() {
        let room = Room::new(RULES);
        let (mut a, mut b, c) = (room.join(), room.join(), room.join());
        for round in 0..3 {
            a.say(format!("a{round}\n").as_bytes());
            b.say(format!("b{round}\nand more\n").as_bytes());
            b.say(b"and more\n");
        }
        let waiting = |member: &Member| member.with_hearer(|h, log| h.waiting(log.end()));
        assert_eq!(waiting(&a), 3 * "b0\nand more\nand more\n".len() as u64);
        expect(&b, "a0\na1\na2\n");
        a.say(b"bye\n");
        expect(&b, "bye\n");
        let b_said = |round| format!("b{round}\nand more\nand more\n");
        expect(&a, &(0..3).map(b_said).collect::<String>());
        let all = |round| format!("a{round}\n{}", b_said(round));
        expect(&c, &format!("{}bye\n", (0..3).map(all).collect::<String>()));
        assert_eq!(room.stored(), 0);
    }

    #[test]
    fn who_takes_leave_hears_what_was_said_before() {
        let room = Room::new(RULES);
        let (mut a, mut b) = (room.join(), room.join());
        a.say(b"before\n");
        b.say(b"last");
        b.take_leave();
        a.say(b"after\n");
        assert!(!b.may_hear_more());
        expect(&b, "before\n");
        expect(&a, "last");
    }

    #[test]
    fn there_is_more_to_hear_until_the_last_one_is_silent() {
        let room = Room::new(RULES);
        let (door, mut a, mut b) = (room.speaker(), room.join(), room.join());
        a.say(b"bye");
        a.hush();
        assert!(a.may_hear_more());
        b.hush();
        assert!(b.may_hear_more(), "a member may come in and say something");
        drop(door);
        assert!(!a.may_hear_more());
        expect(&b, "bye");
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_parts_of_whole_characters() {
        let room = Room::new(Rules {
            waiting_max: 1 << 20,
            stored_max: 1 << 20,
            raw: false,
        });
        let (mut a, b) = (room.join(), room.join());
        let line = "é".repeat(LINE_MAX);
        let (first, rest) = line.as_bytes().split_at(LINE_MAX + 1);
        a.say(first);
        assert_eq!(a.line.len(), 1);
        a.say(rest);
        a.hush();
        expect(&b, &line);
    }

    #[test]
    fn what_a_member_has_to_skip_counts_as_waiting() {
        let room = Room::new(RULES);
        let (mut a, mut b) = (room.join(), room.join());
        for _ in 0..100 {
            a.say(b"\n");
            b.say(b"\n");
        }
        let memory = 100 * size_of::<Range<Position>>();
        assert!(a.waiting() >= 100 + memory && b.waiting() >= 99 + memory);
        hear(&a).unwrap();
        assert_eq!(a.waiting(), 0);
    }

    #[test]
    fn no_more_than_a_long_line_is_kept_behind_a_whole_one() {
        let room = Room::new(Rules {
            waiting_max: 1 << 20,
            stored_max: 1 << 20,
            raw: false,
        });
        let (mut a, b) = (room.join(), room.join());
        let input = format!("whole\n{}", "x".repeat(16 * LINE_MAX));
        a.say(input.as_bytes());
        assert!(a.line.len() <= LINE_MAX, "{} bytes are kept", a.line.len());
        expect(&b, &input);
    }

    #[test]
    fn control_characters_are_passed_on_only_in_a_raw_room() {
        for (raw, heard) in [(false, "\\u{1b}[2J\n"), (true, "\x1b[2J\n")] {
            let room = Room::new(Rules { raw, ..RULES });
            let (mut a, b) = (room.join(), room.join());
            a.say(b"\x1b[2J\n");
            expect(&b, heard);
        }
    }

    #[test]
    fn too_long_a_queue_is_its_members_end_only() {
        let rules = Rules {
            waiting_max: 4,
            ..RULES
        };
        let room = Room::new(rules);
        let (mut a, b) = (room.join(), room.join());
        a.say(b"12\n");
        a.say(b"34\n");
        assert_eq!(hear(&b), Err(Lost::TooSlow));
        assert_eq!(room.stored(), 0);
        let c = room.join();
        a.say(b"5\n");
        expect(&c, "5\n");
    }

    #[test]
    fn when_too_much_is_stored_the_longest_queue_goes_first() {
        let rules = Rules {
            stored_max: 4,
            ..RULES
        };
        let room = Room::new(rules);
        let (mut a, b) = (room.join(), room.join());
        a.say(b"12\n");
        let c = room.join();
        a.say(b"34\n");
        assert_eq!(hear(&b), Err(Lost::Crowded(1)));
        assert_eq!(room.stored(), 3);
        expect(&c, "34\n");
    }
}
