//! The promises of a cluster, one file per subject.

mod adopted;
mod balance;
mod endings;
mod handing;
mod harness;
mod listening;
mod meshes;
mod no_exclusive;
mod pins;
