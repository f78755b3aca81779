//! The chat room: what one client types, the others receive, whichever thread serves them.
//!
//! Text is stored once, in a [`Log`]; each member has a position in it. So a line for a thousand
//! members costs one copy of it, and a wake-up for each member that waits.

mod log;
mod speech;

use log::{Log, Position};
use oneloop::core::{Key, Slots};
use std::collections::VecDeque;
use std::iter;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// An unfinished line longer than this many bytes is passed on in parts.
const LINE_MAX: usize = 4096;

/// The limits of a room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// How many bytes may wait for one member.
    pub(crate) waiting_max: usize,
    /// How many bytes may be stored. Beyond it the member with the longest queue is evicted. As
    /// what waits for several members is stored once, that is the member whose queue is as long as
    /// the log.
    pub(crate) stored_max: usize,
    /// Passes control characters on as they are.
    pub(crate) raw: bool,
}

/// Why the room has removed a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evicted {
    /// More than [`Rules::waiting_max`] bytes waited for the member.
    TooSlow,
    /// More than [`Rules::stored_max`] bytes were stored, and the member had the longest queue.
    /// Holds how many members were evicted for that so far.
    OverBudget(u64),
}

/// All members of the chat, on all threads.
#[derive(Debug)]
pub(crate) struct Room {
    /// [`Rules::raw`], which is read without the lock.
    raw: AtomicBool,
    state: Mutex<RoomState>,
    /// Members that may still speak, and acceptors that may still let one in.
    speakers: AtomicUsize,
}

#[derive(Debug)]
struct RoomState {
    rules: Rules,
    log: Log,
    readers: Slots<Reader>,
    /// How many members were evicted because too much was stored.
    over_budget: u64,
}

/// How far a member has read.
///
/// ```text
///   the log:  ……│read│~own~│text that waits│~own~│text that waits│
///                    at     own = two ranges, which are skipped   end, or `until`
/// ```
#[derive(Debug)]
struct Reader {
    /// The next byte to read, which is never one of its own.
    at: Position,
    /// Where reading ends, for a member that has finished.
    until: Option<Position>,
    /// What it said itself since then, which it does not receive: one range for each time that it
    /// spoke while text waited for it. The ranges count as output that waits, so that `--out-soft`
    /// limits them.
    own: VecDeque<Range<Position>>,
    own_bytes: u64,
    /// Set once the member is evicted. The log does not keep text for it any more.
    evicted: Option<Evicted>,
    /// It has read everything, and the next word wakes it. A member for which text waits is woken
    /// only by its eviction.
    waits: bool,
    waker: Option<Waker>,
}

/// While one lives, there may be more to read.
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
            raw: AtomicBool::new(rules.raw),
            state: Mutex::new(RoomState {
                rules,
                log: Log::default(),
                readers: Slots::default(),
                over_budget: 0,
            }),
            speakers: AtomicUsize::new(0),
        })
    }

    /// Changes the rules. They hold from the next word on.
    pub(crate) fn set_rules(&self, rules: Rules) {
        self.raw.store(rules.raw, Ordering::Relaxed);
        self.lock().rules = rules;
    }

    pub(crate) fn join(self: &Arc<Self>) -> Member {
        Member {
            speaker: Some(self.speaker()),
            key: self.lock().join(),
            room: Arc::clone(self),
            line: Vec::new(),
        }
    }

    /// For a member that may speak, or an acceptor that may let one in.
    pub(crate) fn speaker(self: &Arc<Self>) -> Speaker {
        self.speakers.fetch_add(1, Ordering::AcqRel);
        Speaker {
            room: Arc::clone(self),
        }
    }

    /// How many bytes are stored for members that have not read them.
    #[cfg(test)]
    pub(crate) fn stored(&self) -> usize {
        let state = self.lock();
        let readers = state.readers.iter().filter(|(_, r)| r.evicted.is_none());
        let waits = readers.map(|(_, reader)| state.log.end() - reader.at);
        to_bytes(waits.max().unwrap_or(0))
    }

    fn lock(&self) -> MutexGuard<'_, RoomState> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        let wakers = self.lock().take_wakers();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Passes a text on to all members but the speaker.
    fn broadcast(&self, speaker: Key<Reader>, text: &[u8]) {
        let text = if self.raw.load(Ordering::Relaxed) {
            text.into()
        } else {
            speech::escape(text)
        };
        // Escaped before the lock is taken: the text may be long, and all threads wait for this
        // lock.
        let wakers = {
            let mut state = self.lock();
            state.append(speaker, &text);
            // After the append, so that the newest text counts: the limits hold at every moment
            // that the lock is free.
            state.evict_the_slow();
            state.take_wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl RoomState {
    fn join(&mut self) -> Key<Reader> {
        let at = self.log.enter();
        self.readers.insert(Reader {
            at,
            until: None,
            own: VecDeque::new(),
            own_bytes: 0,
            evicted: None,
            waits: false,
            waker: None,
        })
    }

    fn append(&mut self, speaker: Key<Reader>, text: &[u8]) {
        let start = self.log.end();
        self.log.append(text);
        let end = self.log.end();
        if let Some(reader) = self.readers.get_mut(speaker)
            && reader.evicted.is_none()
        {
            reader.skip(&mut self.log, start..end);
        }
    }

    fn evict_the_slow(&mut self) {
        let rules = self.rules;
        let end = self.log.end();
        let over_budget = &mut self.over_budget;
        let mut verdict = |reader: &Reader| {
            if reader.evicted.is_some() {
                None
            } else if reader.waiting(end) > rules.waiting_max as u64 {
                Some(Evicted::TooSlow)
            } else if end - reader.at > rules.stored_max as u64 {
                *over_budget += 1;
                Some(Evicted::OverBudget(*over_budget))
            } else {
                None
            }
        };
        let all = self.readers.iter();
        let evicted: Vec<_> = all
            .filter_map(|(key, r)| Some((key, verdict(r)?)))
            .collect();
        for (key, why) in evicted {
            if let Some(reader) = self.readers.get_mut(key) {
                reader.evicted = Some(why);
                // The member's task may run much later. The memory is freed now.
                reader.own = VecDeque::new();
                self.log.leave(reader.at);
            }
        }
    }

    fn take_wakers(&mut self) -> Vec<Waker> {
        let keys: Vec<_> = self.readers.iter().map(|(key, _)| key).collect();
        let wakers = keys
            .into_iter()
            .filter_map(|key| self.readers.get_mut(key)?.take_waker());
        wakers.collect()
    }
}

impl Reader {
    fn take_waker(&mut self) -> Option<Waker> {
        let is_woken = std::mem::take(&mut self.waits) || self.evicted.is_some();
        self.waker.take_if(|_| is_woken)
    }

    /// How many bytes wait for the member.
    fn waiting(&self, end: Position) -> u64 {
        // Unsigned and without saturation: a negative queue would be a bug to find.
        // All of its own text is before `until`: a member that has finished does not speak.
        self.until.unwrap_or(end) - self.at - self.own_bytes
    }

    /// Bytes of memory that the ranges of its own text take.
    fn own_memory(&self) -> usize {
        self.own.capacity() * size_of::<Range<Position>>()
    }

    /// Skips what it said itself.
    fn skip(&mut self, log: &mut Log, said: Range<Position>) {
        if self.at == said.start {
            log.advance(self.at, said.end);
            self.at = said.end;
            return;
        }
        self.own_bytes += said.end - said.start;
        match self.own.back_mut() {
            Some(last) if last.end == said.start => last.end = said.end,
            // Lines that are said one directly after the other merge into one range above, so a
            // monologue costs one range.
            _ => self.own.push_back(said),
        }
    }

    /// Copies the text that comes next into the buffer; returns how many bytes.
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

    /// Notes that the member has read `count` more bytes.
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
///
/// ```text
///   speaks and reads ──stop_speaking──▶ only reads ──finish──▶ reads what was said before
///         │                                 │                            │
///         └──────── its queue, or the log, is too long: evicted ─────────┘
/// ```
#[derive(Debug)]
pub(crate) struct Member {
    room: Arc<Room>,
    key: Key<Reader>,
    /// `None` once the client has said its last word.
    speaker: Option<Speaker>,
    /// The line that the client has not finished yet.
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
        // A line that never ends must not be stored without a limit, and must not be cut inside a
        // character.
        let ready = if self.line.len() - whole > LINE_MAX {
            self.line.len() - speech::unfinished(&self.line)
        } else {
            whole
        };
        self.pass_on(ready);
    }

    /// The client speaks no more. Its last words need no end of line.
    pub(crate) fn stop_speaking(&mut self) {
        self.pass_on(self.line.len());
        self.speaker = None;
    }

    /// The client speaks no more, and receives only what was said until now.
    pub(crate) fn finish(&mut self) {
        self.stop_speaking();
        self.with_reader(|reader, log| {
            reader.until.get_or_insert(log.end());
        });
    }

    /// True while others may say something that the client receives.
    pub(crate) fn may_receive_more(&self) -> bool {
        self.room.speakers.load(Ordering::Acquire) > 0
            && self.with_reader(|reader, _| reader.until.is_none())
    }

    /// Passes on the first `bytes` of the line.
    fn pass_on(&mut self, bytes: usize) {
        if bytes > 0 {
            self.room.broadcast(self.key, &self.line[..bytes]);
            self.line.drain(..bytes);
        }
        self.line.shrink_to(2 * self.line.len()); // an idle client keeps no buffer
    }

    fn with_reader<T>(&self, f: impl FnOnce(&mut Reader, &mut Log) -> T) -> T {
        let RoomState { log, readers, .. } = &mut *self.room.lock();
        f(
            readers
                .get_mut(self.key)
                .expect("a member leaves the room only in its drop"),
            log,
        )
    }

    /// Ready when text waits for the client. The task is woken as well when the client is evicted.
    ///
    /// # Errors
    /// The client is evicted.
    pub(crate) fn poll_waiting(&self, cx: &mut Context<'_>) -> Poll<Result<(), Evicted>> {
        self.with_reader(|reader, log| {
            if let Some(why) = reader.evicted {
                return Poll::Ready(Err(why));
            }
            // Registered under the same lock under which text is appended: no word can come
            // between the look and the registration.
            match &mut reader.waker {
                Some(old) => old.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            reader.waits = reader.waiting(log.end()) == 0;
            if reader.waits {
                Poll::Pending
            } else {
                Poll::Ready(Ok(()))
            }
        })
    }

    /// How many bytes wait for the client, and how many the ranges of its own text take: a client
    /// that speaks and never reads must not make those grow forever.
    pub(crate) fn waiting(&self) -> usize {
        self.with_reader(|reader, log| match reader.evicted {
            None => to_bytes(reader.waiting(log.end())) + reader.own_memory(),
            Some(_) => 0,
        })
    }

    /// Copies the text that comes next into the buffer; returns how many bytes.
    pub(crate) fn copy_waiting(&self, buf: &mut [u8]) -> usize {
        self.with_reader(|reader, log| match reader.evicted {
            None => reader.copy(log, buf),
            Some(_) => 0,
        })
    }

    /// Notes that the client was sent `count` bytes of that.
    pub(crate) fn take_waiting(&self, count: usize) {
        self.with_reader(|reader, log| {
            if reader.evicted.is_none() {
                reader.advance(log, count);
            }
        });
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop_speaking();
        let left = {
            let RoomState { log, readers, .. } = &mut *self.room.lock();
            let left = readers.remove(self.key);
            if let Some(Reader {
                evicted: None, at, ..
            }) = left
            {
                log.leave(at);
            }
            left
        };
        drop(left); // outside the lock: it holds a waker, which is foreign code
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

    fn read(member: &Member) -> Result<String, Evicted> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut received = Vec::new();
        while let Poll::Ready(waiting) = member.poll_waiting(&mut cx) {
            waiting?;
            let mut some = [0; 7];
            let count = member.copy_waiting(&mut some);
            member.take_waiting(count);
            received.extend_from_slice(&some[..count]);
        }
        Ok(String::from_utf8(received).unwrap())
    }

    #[track_caller]
    fn expect(member: &Member, received: &str) {
        assert_eq!(read(member), Ok(received.to_owned()));
    }

    #[test]
    fn the_others_receive_whole_lines() {
        let room = Room::new(RULES);
        let (mut a, b) = (room.join(), room.join());
        a.say(b"hel");
        expect(&b, "");
        a.say(b"lo\r\nyou");
        expect(&b, "hello\r\n");
        expect(&a, "");
        drop(a);
        expect(&b, "you"); // last words need no end of line
    }

    #[test]
    fn a_member_that_speaks_while_text_waits_does_not_receive_its_own_later() {
        let room = Room::new(RULES);
        let (mut a, mut b, c) = (room.join(), room.join(), room.join());
        for round in 0..3 {
            a.say(format!("a{round}\n").as_bytes());
            b.say(format!("b{round}\nand more\n").as_bytes());
            b.say(b"and more\n");
        }
        let waiting = |member: &Member| member.with_reader(|reader, log| reader.waiting(log.end()));
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
    fn a_member_that_finishes_receives_what_was_said_before() {
        let room = Room::new(RULES);
        let (mut a, mut b) = (room.join(), room.join());
        a.say(b"before\n");
        b.say(b"last");
        b.finish();
        a.say(b"after\n");
        assert!(!b.may_receive_more());
        expect(&b, "before\n");
        expect(&a, "last");
    }

    #[test]
    fn more_may_come_until_the_last_speaker_is_silent() {
        let room = Room::new(RULES);
        let (door, mut a, mut b) = (room.speaker(), room.join(), room.join());
        a.say(b"bye");
        a.stop_speaking();
        assert!(a.may_receive_more());
        b.stop_speaking();
        assert!(b.may_receive_more(), "a new member may come and speak");
        drop(door);
        assert!(!a.may_receive_more());
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
        a.stop_speaking();
        expect(&b, &line);
    }

    #[test]
    fn the_ranges_that_a_member_skips_count_as_waiting() {
        let room = Room::new(RULES);
        let (mut a, mut b) = (room.join(), room.join());
        for _ in 0..100 {
            a.say(b"\n");
            b.say(b"\n");
        }
        let memory = 100 * size_of::<Range<Position>>();
        assert!(a.waiting() >= 100 + memory && b.waiting() >= 99 + memory);
        read(&a).unwrap();
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
        for (raw, received) in [(false, "\\u{1b}[2J\n"), (true, "\x1b[2J\n")] {
            let room = Room::new(Rules { raw, ..RULES });
            let (mut a, b) = (room.join(), room.join());
            a.say(b"\x1b[2J\n");
            expect(&b, received);
        }
    }

    #[test]
    fn too_long_a_queue_evicts_its_member_only() {
        let rules = Rules {
            waiting_max: 4,
            ..RULES
        };
        let room = Room::new(rules);
        let (mut a, b) = (room.join(), room.join());
        a.say(b"12\n");
        a.say(b"34\n");
        assert_eq!(read(&b), Err(Evicted::TooSlow));
        assert_eq!(room.stored(), 0);
        let c = room.join();
        a.say(b"5\n");
        expect(&c, "5\n");
    }

    #[test]
    fn when_too_much_is_stored_the_member_with_the_longest_queue_is_evicted() {
        let rules = Rules {
            stored_max: 4,
            ..RULES
        };
        let room = Room::new(rules);
        let (mut a, b) = (room.join(), room.join());
        a.say(b"12\n");
        let c = room.join();
        a.say(b"34\n");
        assert_eq!(read(&b), Err(Evicted::OverBudget(1)));
        assert_eq!(room.stored(), 3);
        expect(&c, "34\n");
    }
}
