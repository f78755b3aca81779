//! The shared library, as programs see it.

mod programs;
mod symbols;
mod table;
