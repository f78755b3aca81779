//! Each program beside its peer: the pages quote both files, the index counts their lines, and both
//! serve the same client. `docs/guide/peers/README.md` explains how a program joins.

mod chat;
mod crawler;
mod harness;
mod key_value;
mod lines;
mod mixed;
mod pages;
mod supervisor;
