//! `start_paused`: time is virtual by default: remove it, or write `virtual_time = false`
//! `chaos`: the value is a number of seeds, such as 200
//! `virtual_time`: the value is `true` or `false`
//! `chaos`: chaos runs on virtual time: remove one of the two
//! `chaos`: it is given twice
//! `seeds`: unknown option; `#[oneloop::test]` has `virtual_time`, `chaos` and `crate`
//! `#[oneloop::test]` adds `#[test]`: remove this one
//! `#[oneloop::test]`: the function cannot be generic
//! `#[oneloop::test]` stands above a function
fn main() {}

#[oneloop::test(start_paused = true)]
async fn paused() {}

#[oneloop::test(chaos = true)]
async fn seeds_without_a_number() {}

#[oneloop::test(virtual_time)]
async fn flag_without_a_value() {}

#[oneloop::test(virtual_time = false, chaos = 3)]
async fn contradiction() {}

#[oneloop::test(chaos = 3, chaos = 4)]
async fn twice() {}

#[oneloop::test(seeds = 3)]
async fn unknown() {}

#[oneloop::test]
#[test]
async fn two_tests() {}

#[oneloop::test]
async fn generic<T>() {}

#[oneloop::test]
struct NoFunction;
