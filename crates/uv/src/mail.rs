//! What threads of the pool report to a loop.
#![forbid(unsafe_code)]

use crate::abi::live::Live;
use crate::layout::{Fs, GetAddrInfo, GetNameInfo, Random, Stat, Work};
use std::collections::VecDeque;
use std::ffi::c_int;

/// A request that is done, or a file that was looked at. Each request holds its own result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Done {
    Work(Live<Work>, c_int),
    Addresses(Live<GetAddrInfo>),
    Name(Live<GetNameInfo>),
    Random(Live<Random>),
    Fs(Live<Fs>),
    /// The key of what is polled, and the file's metadata or an error.
    Stat(u64, Result<Stat, c_int>),
}

/// What is done, in order.
pub(crate) type Mail = VecDeque<Done>;
