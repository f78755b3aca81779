//! Each program beside its peer: the pages quote both files, the index counts their lines, and both
//! serve the same client. `docs/guide/peers/README.md` explains how a program joins.

#[allow(dead_code)] // no program has joined yet
mod harness;
mod lines;
mod pages;
