use crate::*;
use oneloop_aio::{JoinSet, race, select, sleep, spawn};
use std::future::ready;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_handler_of_the_first_future_runs_after_the_others_were_dropped() {
    run(async {
        let log = Log::default();
        let chosen = select! {
            () = waits(&log, "a") => 1,
            () = sleep(MS) => {
                log.note("handler");
                2
            }
            () = waits(&log, "c") => 3,
        };
        assert_eq!(chosen, 2);
        assert_eq!(log.text(), "-a -c handler");
    });
}

#[test]
fn the_first_branch_wins_a_tie_with_biased_and_without() {
    run(async {
        assert_eq!(select! { one = ready(1) => one, two = ready(2) => two }, 1);
        assert_eq!(
            select! { biased; two = ready(2) => two, one = ready(1) => one },
            2
        );
        assert_eq!(select! { only = ready(3) => only }, 3);
    });
}

/// Handlers may leave the function, and break and continue loops around the macro.
async fn leaves(log: &Log) -> Result<u32, std::num::ParseIntError> {
    let mut rounds = 0;
    'outer: loop {
        loop {
            rounds += 1;
            select! {
                () = sleep(MS), if rounds == 1 => continue,
                () = sleep(MS), if rounds == 2 => { log.note("break"); break }
                () = sleep(MS), if rounds == 3 => break 'outer,
            }
        }
    }
    let number = select! { text = ready("x") => text.parse::<u32>()? };
    Ok(number)
}

#[test]
fn handlers_use_question_marks_break_continue_and_await() {
    run(async {
        let log = Log::default();
        assert!(leaves(&log).await.is_err());
        assert_eq!(log.text(), "break");
        let slept = select! { () = sleep(MS) => { sleep(MS).await; true } };
        assert!(slept);
    });
}

#[test]
fn a_branch_whose_output_does_not_match_is_disabled_and_the_others_are_waited_for() {
    run(async {
        let mut empty = JoinSet::<u32>::new();
        let chosen = select! {
            Some(done) = empty.join_next() => done.unwrap(),
            () = sleep(MS) => 7,
        };
        assert_eq!(chosen, 7);
        // A match moves, as in a `match`: no `Clone`, no reference.
        let text = select! {
            Err(number) = ready(Ok::<String, u32>("owned".into())) => number.to_string(),
            Ok(mut text) = ready(Ok::<String, u32>("owned".into())) => { text.push('!'); text }
        };
        assert_eq!(text, "owned!");
    });
}

#[test]
fn the_else_branch_runs_when_all_branches_are_disabled() {
    run(async {
        let log = Log::default();
        let chosen = select! {
            Some(()) = ready(None) => 1,
            () = waits(&log, "not created"), if false => 2,
            else => 3,
        };
        assert_eq!((chosen, log.text().as_str()), (3, ""));
        let task = spawn(async {
            select! { Some(()) = ready(None) => {} }
        });
        let error = task.await.unwrap_err();
        let message = error.panic_message().unwrap();
        assert!(message.contains("it has no `else`"), "{message}");
    });
}

#[test]
fn a_handler_uses_what_the_losing_futures_borrowed() {
    run(async {
        let mut count = 0;
        let mut sleeping = pin!(sleep(MS * 3));
        let mut rounds = 0;
        loop {
            select! {
                () = &mut sleeping => break, // continues over the rounds
                () = async { count += 1; sleep(MS).await } => { count += 10; rounds += 1 }
            }
        }
        assert!(rounds >= 2 && count == rounds * 11 + 1, "{rounds} {count}");
    });
}

#[test]
fn a_dropped_select_drops_all_futures_and_panics_reach_the_task() {
    let log = Log::default();
    let selecting = async {
        select! {
            () = waits(&log, "a") => {}
            () = waits(&log, "b") => {}
        }
    };
    let mut selecting = Box::pin(selecting);
    assert!(poll_once(selecting.as_mut()).is_pending());
    drop(selecting);
    assert_eq!(log.text(), "-a -b");
    run(async {
        let task = spawn(async {
            select! {
                () = std::future::pending() => {}
                () = async { panic!("on purpose") } => {}
            }
        });
        assert_eq!(task.await.unwrap_err().panic_message(), Some("on purpose"));
    });
}

#[test]
fn a_select_nests_in_a_race_and_in_itself() {
    run(async {
        let nested = race(
            async {
                select! { () = sleep(MS * 2) => "outer" }
            },
            async {
                select! {
                    inner = async { select! { () = sleep(MS) => "inner" } } => inner,
                    () = sleep(MS * 5) => "late",
                }
            },
        );
        assert_eq!(nested.await.into_inner(), "inner");
    });
}
