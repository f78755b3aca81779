//! A call of the caller's code, with all that it needs.
#![forbid(unsafe_code)]

use crate::abi::buffers::Buffer;
use crate::abi::live::Live;
use crate::layout::{
    AddressesCallback, AfterWorkCallback, AllocCallback, Async, AsyncCallback, CloseCallback,
    Connect, ConnectCallback, ConnectionCallback, ExitCallback, Fs, FsCallback, FsEvent,
    FsEventCallback, FsPoll, FsPollCallback, GetAddrInfo, GetNameInfo, Handle, NameCallback,
    PhaseCallback, PhaseHandle, Poll, PollCallback, Process, Random, RandomCallback, ReadCallback,
    ReceiveCallback, SendCallback, Shutdown, ShutdownCallback, Signal, SignalCallback, Stat,
    Stream, Timer, TimerCallback, Udp, UdpSend, Work, Write, WriteCallback,
};
use std::ffi::{c_char, c_int};

/// The next callback of a run. Code that finds one returns it, and `uv_run` alone makes the call:
/// so nothing lives across a callback, which may swap the stack, jump away, or free its handle.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call {
    Timer(TimerCallback, Live<Timer>),
    Phase(PhaseCallback, Live<PhaseHandle>),
    Async(AsyncCallback, Live<Async>),
    Poll(PollCallback, Live<Poll>, c_int, c_int),
    Signal(SignalCallback, Live<Signal>, c_int),
    Close(CloseCallback, Live<Handle>),
    FsEvent(FsEventCallback, Live<FsEvent>, *const c_char, c_int),
    FsPoll(
        FsPollCallback,
        Live<FsPoll>,
        c_int,
        *const Stat,
        *const Stat,
    ),
    Work(AfterWorkCallback, Live<Work>, c_int),
    Addresses(AddressesCallback, Live<GetAddrInfo>),
    Name(NameCallback, Live<GetNameInfo>),
    Random(RandomCallback, Live<Random>),
    Fs(FsCallback, Live<Fs>),
    Allocate(AllocCallback, Live<Handle>),
    Read(ReadCallback, Live<Stream>, isize, Buffer),
    Write(WriteCallback, Live<Write>, c_int),
    Connect(ConnectCallback, Live<Connect>, c_int),
    Shutdown(ShutdownCallback, Live<Shutdown>, c_int),
    Connection(ConnectionCallback, Live<Stream>, c_int),
    Send(SendCallback, Live<UdpSend>, c_int),
    Receive(
        ReceiveCallback,
        Live<Udp>,
        isize,
        Buffer,
        *const libc::sockaddr,
        u32,
    ),
    Exit(ExitCallback, Live<Process>, i64, c_int),
}
