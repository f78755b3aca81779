//! The promises of a cluster, one file per subject.

mod balance;
mod endings;
mod handing;
mod harness;
mod listening;
mod meshes;
mod pins;
