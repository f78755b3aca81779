//! What the loop promises: its order, its rules, and its life inside of other programs.

mod embedded;
mod event_loop;
mod full_stderr;
mod observers;
mod parked;
mod rules;
