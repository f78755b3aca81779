//! What the styles promise together: the same scenarios in each, on one loop.

mod datagrams;
mod examples;
mod files;
mod sandbox;
mod starvation;
mod three_styles;
