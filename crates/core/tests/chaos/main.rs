//! Programs in three styles under chaos, on virtual time: each runs under 200 seeds, or as many as
//! `ONELOOP_CHAOS_SEEDS` says, and those with sockets once more with failures.

mod bulk;
mod chat;
mod children;
mod clients;
mod clusters;
mod echo;
mod files;
mod harness;
mod locals;
mod order;
mod packets;
mod pool;
mod relay;
mod reproduction;
mod requests;
mod seams;
mod sync;
mod timers;
mod udp;
mod watching;
