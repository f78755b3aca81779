//! The chat of the server: members join, speak in any chunks, read in any portions, and leave.

use crate::input::Input;
use crate::room::{Evicted, Member, Room, Rules};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// The longest unfinished line in bytes: the limit of the server.
const LINE_MAX: usize = 4096;

const MEMBERS_MAX: usize = 5;

/// Each member receives what the others say, in order, escaped, and no byte twice; what is stored
/// stays within its limits; a member for which something comes is woken.
pub fn run(input: &[u8]) {
    let mut input = Input::new(input);
    let limits = [usize::MAX, 5000, 1000, 100];
    let rules = Rules {
        waiting_max: limits[input.below(4)],
        stored_max: limits[input.below(4)],
        raw: input.is(),
    };
    let mut chat = Chat {
        rules,
        room: Room::new(rules),
        seats: Vec::new(),
        over_budget: 0,
    };
    while !input.is_empty() {
        chat.step(&mut input);
        chat.check();
    }
    chat.end();
}

struct Chat {
    rules: Rules,
    room: Arc<Room>,
    seats: Vec<Seat>,
    over_budget: u64,
}

/// A member, and what the model knows of it.
struct Seat {
    member: Member,
    woken: Arc<Flag>,
    /// True if its last poll was pending.
    sleeps: bool,
    /// True if there were speakers at that poll.
    awaits_the_last: bool,
    may_speak: bool,
    /// What it said, and the room did not pass on yet.
    line: Vec<u8>,
    /// What was said since its position, its own words as their length.
    queue: VecDeque<Said>,
    /// How many bytes were said after it finished.
    behind: Option<usize>,
    evicted: Option<Evicted>,
}

enum Said {
    Own(usize),
    ByOthers(VecDeque<u8>),
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Chat {
    fn step(&mut self, input: &mut Input<'_>) {
        let step = input.below(16);
        let seat = input.byte();
        let Some(at) = usize::from(seat).checked_rem(self.seats.len()) else {
            return self.join();
        };
        match step {
            0 if self.seats.len() < MEMBERS_MAX => self.join(),
            0..=4 => {
                let length = input.below(64);
                let words = input.bytes(length);
                self.say(at, words);
            }
            5 => {
                // Long texts reach the limits.
                let pattern = input.bytes(3);
                let count = 16 * usize::from(input.byte());
                self.say(at, &pattern.repeat(count));
            }
            6 => self.say(at, b"\n"),
            7..=11 => self.read(at, usize::from(input.byte()) * 8, input.below(4)),
            12 => self.read(at, 1 << 16, 3),
            13 => self.stop_speaking(at),
            14 => self.finish(at),
            _ => {
                let last_words = std::mem::take(&mut self.seats[at].line);
                self.pass_on(at, &last_words);
                drop(self.seats.remove(at));
            }
        }
    }

    fn join(&mut self) {
        self.seats.push(Seat {
            member: self.room.join(),
            woken: Arc::default(),
            sleeps: false,
            awaits_the_last: false,
            may_speak: true,
            line: Vec::new(),
            queue: VecDeque::new(),
            behind: None,
            evicted: None,
        });
    }

    fn say(&mut self, at: usize, words: &[u8]) {
        let seat = &mut self.seats[at];
        if !seat.may_speak {
            return;
        }
        seat.member.say(words);
        seat.line.extend_from_slice(words);
        let end = seat.line.iter().rposition(|byte| *byte == b'\n');
        let mut ready = end.map_or(0, |end| end + 1);
        if seat.line.len() - ready > LINE_MAX {
            ready = seat.line.len() - unfinished(&seat.line);
        }
        let rest = seat.line.split_off(ready);
        let ready = std::mem::replace(&mut seat.line, rest);
        self.pass_on(at, &ready);
    }

    fn stop_speaking(&mut self, at: usize) {
        let seat = &mut self.seats[at];
        seat.member.stop_speaking();
        seat.may_speak = false;
        let last_words = std::mem::take(&mut seat.line);
        self.pass_on(at, &last_words);
    }

    fn finish(&mut self, at: usize) {
        self.seats[at].member.finish();
        let last_words = std::mem::take(&mut self.seats[at].line);
        self.pass_on(at, &last_words);
        let seat = &mut self.seats[at];
        seat.may_speak = false;
        seat.behind.get_or_insert(0);
    }

    /// What the room passes on is in the queue of each member; queues that are too long end.
    fn pass_on(&mut self, speaker: usize, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let text = match self.rules.raw {
            true => text.to_vec(),
            false => escape(text),
        };
        for (at, seat) in self.seats.iter_mut().enumerate() {
            match &mut seat.behind {
                Some(behind) => *behind += text.len(),
                None if at == speaker => seat.queue.push_back(Said::Own(text.len())),
                None => seat.queue.push_back(Said::ByOthers(text.clone().into())),
            }
            seat.skip_own();
        }
        for seat in self.seats.iter_mut().filter(|it| it.evicted.is_none()) {
            if seat.waiting() > self.rules.waiting_max {
                seat.evicted = Some(Evicted::TooSlow);
            } else if seat.stored() > self.rules.stored_max {
                // Slots are not walked in the order of the seats, so the count is not compared.
                self.over_budget += 1;
                seat.evicted = Some(Evicted::OverBudget(self.over_budget));
            }
        }
    }

    fn has_speakers(&self) -> bool {
        self.seats.iter().any(|seat| seat.may_speak)
    }

    fn read(&mut self, at: usize, length: usize, quarters: usize) {
        let has_speakers = self.has_speakers();
        let seat = &mut self.seats[at];
        let waker = Waker::from(Arc::clone(&seat.woken));
        seat.woken.0.store(false, Ordering::SeqCst);
        seat.sleeps = false;
        match seat.member.poll_waiting(&mut Context::from_waker(&waker)) {
            Poll::Pending => {
                assert!(seat.evicted.is_none() && seat.waiting() == 0);
                seat.sleeps = true;
                seat.awaits_the_last = has_speakers;
            }
            Poll::Ready(Err(Evicted::TooSlow)) => {
                assert_eq!(seat.evicted, Some(Evicted::TooSlow));
            }
            Poll::Ready(Err(Evicted::OverBudget(_))) => {
                assert!(matches!(seat.evicted, Some(Evicted::OverBudget(_))));
            }
            Poll::Ready(Ok(())) => {
                assert!(seat.evicted.is_none() && seat.waiting() > 0);
                let mut buf = vec![0; length];
                let count = seat.member.copy_waiting(&mut buf);
                assert_eq!(count, length.min(seat.waiting()));
                // The kernel may take less than it is offered.
                let taken = count * (quarters + 1) / 4;
                seat.take(&buf[..taken]);
                seat.member.take_waiting(taken);
            }
        }
    }

    fn check(&self) {
        let has_speakers = self.has_speakers();
        for seat in &self.seats {
            let may_receive_more = has_speakers && seat.behind.is_none();
            assert_eq!(seat.member.may_receive_more(), may_receive_more);
            let waiting = seat.member.waiting();
            if seat.evicted.is_some() {
                assert_eq!(waiting, 0);
            } else {
                assert!(waiting >= seat.waiting(), "what waits is counted");
                let has_own = seat.queue.iter().any(|said| matches!(said, Said::Own(_)));
                assert!(waiting == seat.waiting() || has_own);
            }
            let is_end = seat.awaits_the_last && !has_speakers;
            let is_due = seat.evicted.is_some() || seat.waiting() > 0 || is_end;
            let is_woken = seat.woken.0.load(Ordering::SeqCst);
            assert!(!seat.sleeps || !is_due || is_woken, "a member sleeps");
        }
    }

    /// Whatever waits can be read to its end.
    fn end(&mut self) {
        for at in 0..self.seats.len() {
            self.read(at, 1 << 24, 3);
            assert!(self.seats[at].evicted.is_some() || self.seats[at].waiting() == 0);
        }
    }
}

impl Seat {
    fn waiting(&self) -> usize {
        let count = |said: &Said| match said {
            Said::Own(_) => 0,
            Said::ByOthers(text) => text.len(),
        };
        self.queue.iter().map(count).sum()
    }

    /// How many bytes the room stores for it.
    fn stored(&self) -> usize {
        let count = |said: &Said| match said {
            Said::Own(length) => *length,
            Said::ByOthers(text) => text.len(),
        };
        self.queue.iter().map(count).sum::<usize>() + self.behind.unwrap_or(0)
    }

    fn skip_own(&mut self) {
        while let Some(Said::Own(_)) = self.queue.front() {
            self.queue.pop_front();
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let Some(Said::ByOthers(text)) = self.queue.front_mut() else {
                panic!("it receives more than was said");
            };
            assert_eq!(text.pop_front(), Some(*byte));
            if text.is_empty() {
                self.queue.pop_front();
                self.skip_own();
            }
        }
    }
}

/// How many bytes at the end are a CR, or the beginning of a character.
fn unfinished(line: &[u8]) -> usize {
    if line.ends_with(b"\r") {
        return 1;
    }
    let is_beginning = |count: &usize| {
        let end = line.len().checked_sub(*count).map(|at| &line[at..]);
        let error = end.and_then(|end| std::str::from_utf8(end).err());
        error.is_some_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=3).find(is_beginning).unwrap_or(0)
}

/// No byte of what is passed on controls a terminal.
fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = String::new();
    for chunk in text.utf8_chunks() {
        let letters: Vec<char> = chunk.valid().chars().collect();
        for (at, letter) in letters.iter().enumerate() {
            let is_end = *letter == '\r' && letters.get(at + 1) == Some(&'\n');
            match letter {
                '\n' | '\t' => escaped.push(*letter),
                _ if is_end => escaped.push(*letter),
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' => {
                    escaped.push_str(&format!("\\u{{{:x}}}", u32::from(*letter)));
                }
                '\u{2066}'..='\u{2069}' => {
                    escaped.push_str(&format!("\\u{{{:x}}}", u32::from(*letter)));
                }
                _ if letter.is_control() => {
                    escaped.push_str(&format!("\\u{{{:x}}}", u32::from(*letter)));
                }
                _ => escaped.push(*letter),
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|byte| escaped.push_str(&format!("\\x{byte:02x}")));
    }
    escaped.into_bytes()
}
