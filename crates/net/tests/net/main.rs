//! The promises of sockets, pipes, terminals and names, one file per subject.

mod accept_errors;
mod connects;
mod copy;
mod families;
mod frames;
mod futures_traits;
mod futures_util_io;
mod harness;
mod interfaces;
mod keepalive;
mod lines;
mod names;
mod pipes;
mod reads;
mod resets;
mod stdio;
mod streams;
mod udp;
mod unix_sockets;
