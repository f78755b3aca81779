//! Cells: one task at a time creates the value, until one succeeds.

use super::*;
use std::cell::Cell;

pub(crate) const KINDS: usize = 9;

/// What a task's `create` gets; an error makes it fail.
type Created = OneShot<Result<u32, ()>>;

#[derive(Default)]
struct Cells {
    real: OnceCell<u32>,
    creating: Rc<Cell<u32>>,
    value: Option<u32>,
    line: Line<Boxed<Result<u32, ()>>, Created>,
}

impl Cells {
    /// Waits for the value, and creates it when its turn comes.
    fn wait(&self, created: &Created) -> Boxed<Result<u32, ()>> {
        let (cell, created) = (self.real.clone(), created.clone());
        let creating = Rc::clone(&self.creating);
        Box::pin(async move {
            let create = || async {
                creating.set(creating.get() + 1);
                assert_eq!(creating.get(), 1, "two tasks create the value");
                let ends = EndsCreating(&creating);
                let value = created.get().await;
                drop(ends);
                value
            };
            cell.get_or_try_init(create).await.copied()
        })
    }

    fn take(&mut self, (step, any): Step) {
        match step {
            0 | 1 => {
                let created = Created::new();
                let got = self.line.begin(self.wait(&created), created);
                assert_eq!(got, self.value.map(Ok));
            }
            2 | 3 => {
                if let Some(place) = self.line.place(any) {
                    let result = if step == 2 { Ok(any as u32) } else { Err(()) };
                    let _ = self.line.0[place].1.send(result);
                }
            }
            4 => drop(self.line.remove(any)),
            5 => {
                let may_set = self.value.is_none() && self.line.0.is_empty();
                let was_set = self.real.set(any as u32);
                assert_eq!(was_set.is_ok(), may_set);
                if may_set {
                    self.value = Some(any as u32);
                }
            }
            _ => {
                if let Some(place) = self.line.place(any) {
                    self.poll(place);
                }
            }
        }
        assert_eq!(self.real.get().copied(), self.value);
    }

    fn poll(&mut self, place: usize) {
        let Some((got, created)) = self.line.poll(place) else {
            return;
        };
        if self.value.is_none() && got.is_ok() {
            assert_eq!(created.try_get(), Some(got), "it is what the task created");
            self.value = got.ok();
        } else if self.value.is_some() {
            assert_eq!(got.ok(), self.value, "it never changes");
        }
    }

    /// Every `create` fails now; polls what is woken, and nothing else.
    fn settle(&mut self) {
        for (_, created) in &self.line.0 {
            let _ = created.send(Err(()));
        }
        while let Some(place) = self.line.woken() {
            self.poll(place);
        }
        assert!(self.line.0.is_empty(), "a task sleeps");
    }
}

struct EndsCreating<'a>(&'a Cell<u32>);

impl Drop for EndsCreating<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

pub(crate) fn run(steps: &[Step]) {
    let mut model = Cells::default();
    for step in steps {
        model.take(*step);
    }
    model.settle();
}
