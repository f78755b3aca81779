//! The styles together: the same scenarios in each, and all of them on one loop.

mod datagrams;
mod endings;
mod examples;
mod files;
mod pools;
mod sandbox;
mod starvation;
mod three_styles;
