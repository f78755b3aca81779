//! A trace as Perfetto's TrackEvents: <https://perfetto.dev/docs/reference/synthetic-track-event>.

use super::protobuf::Message;
use super::slices::{Slice, TraceFormat};

/// The fields of `TracePacket`.
mod packet {
    pub(super) const TIMESTAMP: u64 = 8;
    pub(super) const SEQUENCE_ID: u64 = 10;
    pub(super) const TRACK_EVENT: u64 = 11;
    pub(super) const SEQUENCE_FLAGS: u64 = 13;
    pub(super) const TRACK_DESCRIPTOR: u64 = 60;
}

/// The fields of `TrackEvent`.
mod event {
    pub(super) const DEBUG_ANNOTATIONS: u64 = 4;
    pub(super) const TYPE: u64 = 9;
    pub(super) const TRACK_UUID: u64 = 11;
    pub(super) const CATEGORIES: u64 = 22;
    pub(super) const NAME: u64 = 23;
    pub(super) const FLOW_IDS: u64 = 47;
    pub(super) const TERMINATING_FLOW_IDS: u64 = 48;
    /// The values of `TYPE`.
    pub(super) const SLICE_BEGIN: u64 = 1;
    pub(super) const SLICE_END: u64 = 2;
}

/// The fields of `DebugAnnotation`.
mod annotation {
    pub(super) const UINT: u64 = 3;
    pub(super) const TEXT: u64 = 6;
    pub(super) const NAME: u64 = 10;
}

/// The fields of `TrackDescriptor`, `ProcessDescriptor` and `ThreadDescriptor`.
mod track {
    pub(super) const UUID: u64 = 1;
    pub(super) const NAME: u64 = 2;
    pub(super) const PROCESS: u64 = 3;
    pub(super) const PARENT_UUID: u64 = 5;
    pub(super) const PID: u64 = 1;
    pub(super) const PROCESS_NAME: u64 = 6;
}

/// The field `packet` of `Trace`.
const PACKET: u64 = 1;
/// All packets of a trace are one sequence.
const SEQUENCE: u64 = 1;
/// `SEQ_INCREMENTAL_STATE_CLEARED`: nothing came before this packet.
const STATE_CLEARED: u64 = 1;
/// The track of the process; those of the loops follow.
const PROCESS_UUID: u64 = 1;

/// Writes Perfetto's format.
#[derive(Debug, Default)]
pub(crate) struct Perfetto;

impl TraceFormat for Perfetto {
    fn begin(&mut self, out: &mut Vec<u8>, pid: u32, program: &str) {
        write_packet(out, |packet| {
            packet.number(packet::SEQUENCE_FLAGS, STATE_CLEARED);
            packet.message(packet::TRACK_DESCRIPTOR, |descriptor| {
                descriptor.number(track::UUID, PROCESS_UUID);
                descriptor.message(track::PROCESS, |process| {
                    process.number(track::PID, pid.into());
                    process.text(track::PROCESS_NAME, program);
                });
            });
        });
    }

    fn track(&mut self, out: &mut Vec<u8>, track: u64, name: &str) {
        write_packet(out, |packet| {
            packet.message(packet::TRACK_DESCRIPTOR, |descriptor| {
                descriptor.number(track::UUID, uuid(track));
                descriptor.number(track::PARENT_UUID, PROCESS_UUID);
                descriptor.text(track::NAME, name);
            });
        });
    }

    fn slice_begins(&mut self, out: &mut Vec<u8>, at_ns: u64, track: u64, slice: &Slice<'_>) {
        write_packet(out, |packet| {
            packet.number(packet::TIMESTAMP, at_ns);
            packet.message(packet::TRACK_EVENT, |event| {
                event.number(event::TYPE, event::SLICE_BEGIN);
                event.number(event::TRACK_UUID, uuid(track));
                event.text(event::CATEGORIES, slice.category);
                event.text(event::NAME, slice.name);
                for flow in slice.flows_out {
                    event.fixed64(event::FLOW_IDS, *flow);
                }
                if let Some(flow) = slice.flow_in {
                    event.fixed64(event::TERMINATING_FLOW_IDS, flow);
                }
                if let Some(turn) = slice.turn {
                    annotate(event, "turn", |note| note.number(annotation::UINT, turn));
                }
                for (name, text) in slice.notes {
                    annotate(event, name, |note| note.text(annotation::TEXT, text));
                }
            });
        });
    }

    fn slice_ends(&mut self, out: &mut Vec<u8>, at_ns: u64, track: u64) {
        write_packet(out, |packet| {
            packet.number(packet::TIMESTAMP, at_ns);
            packet.message(packet::TRACK_EVENT, |event| {
                event.number(event::TYPE, event::SLICE_END);
                event.number(event::TRACK_UUID, uuid(track));
            });
        });
    }

    fn end(&mut self, _: &mut Vec<u8>) {}
}

fn uuid(track: u64) -> u64 {
    PROCESS_UUID + 1 + track
}

fn write_packet(out: &mut Vec<u8>, write: impl FnOnce(&mut Message)) {
    let mut trace = Message::default();
    trace.message(PACKET, |packet| {
        packet.number(packet::SEQUENCE_ID, SEQUENCE);
        write(packet);
    });
    out.extend(trace.into_bytes());
}

fn annotate(event: &mut Message, name: &str, value: impl FnOnce(&mut Message)) {
    event.message(event::DEBUG_ANNOTATIONS, |note| {
        note.text(annotation::NAME, name);
        value(note);
    });
}
