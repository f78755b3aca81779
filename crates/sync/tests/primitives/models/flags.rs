//! Events and one-shots: no waiter is left asleep.

use super::*;

pub(crate) const KINDS: usize = 11;

#[derive(Default)]
struct Flags {
    event: Event,
    /// True once the event was set while they waited.
    waits: Line<UntilSet, bool>,
    one_shot: OneShot<u32>,
    gets: Line<OneShotGet<u32>>,
    sent: Option<u32>,
}

impl Flags {
    fn take(&mut self, (step, any): Step) {
        match step {
            0 | 1 => {
                let ready = self.waits.begin(self.event.until_set(), false);
                assert_eq!(ready.is_some(), self.event.is_set());
            }
            2 => {
                self.event.set();
                self.waits
                    .0
                    .iter_mut()
                    .for_each(|(_, was_set)| *was_set = true);
            }
            3 => self.event.clear(),
            4 => drop(self.waits.remove(any)),
            5 => {
                if let Some(place) = self.waits.place(any) {
                    let may_pass = self.waits.0[place].1 || self.event.is_set();
                    assert_eq!(self.waits.poll(place).is_some(), may_pass);
                }
            }
            6 | 7 => {
                let got = self.gets.begin(self.one_shot.get(), ());
                assert_eq!(got, self.sent);
            }
            8 => {
                let sent = self.one_shot.send(any as u32);
                assert_eq!(sent.is_ok(), self.sent.is_none(), "it is sent once");
                self.sent.get_or_insert(any as u32);
            }
            9 => drop(self.gets.remove(any)),
            _ => {
                if let Some(place) = self.gets.place(any) {
                    assert_eq!(self.gets.poll(place).map(|(got, ())| got), self.sent);
                }
            }
        }
    }

    fn check(&self) {
        let due = self.waits.0.iter().filter(|(_, was_set)| *was_set);
        assert_eq!(
            self.event.waiting(),
            self.waits.0.len() - due.clone().count()
        );
        assert!(
            due.clone().all(|(wait, _)| wait.is_woken()),
            "a wait sleeps"
        );
        let mut gets = self.gets.0.iter();
        assert!(
            self.sent.is_none() || gets.all(|(get, ())| get.is_woken()),
            "a get sleeps"
        );
    }
}

pub(crate) fn run(steps: &[Step]) {
    follow(Flags::default(), steps, Flags::take, Flags::check);
}
