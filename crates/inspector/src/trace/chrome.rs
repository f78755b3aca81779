//! A trace as Chrome's JSON, for `chrome://tracing`, Speedscope and others: an array of events.

use super::slices::{Slice, TraceFormat};
use serde_json::{Value, json};

/// Writes Chrome's format.
#[derive(Debug, Default)]
pub(crate) struct Chrome {
    pid: u32,
    has_event: bool,
}

impl Chrome {
    fn write(&mut self, out: &mut Vec<u8>, event: &Value) {
        // The closing bracket is optional, so a file whose program was killed can be read.
        out.extend(if self.has_event { &b",\n"[..] } else { b"[\n" });
        self.has_event = true;
        out.extend(event.to_string().bytes());
    }

    fn event(&self, kind: &str, at_ns: u64, track: u64) -> Value {
        json!({ "ph": kind, "ts": at_ns as f64 / 1e3, "pid": self.pid, "tid": track })
    }
}

impl TraceFormat for Chrome {
    fn begin(&mut self, out: &mut Vec<u8>, pid: u32, program: &str) {
        self.pid = pid;
        let name =
            json!({ "name": "process_name", "ph": "M", "pid": pid, "args": { "name": program } });
        self.write(out, &name);
    }

    fn track(&mut self, out: &mut Vec<u8>, track: u64, name: &str) {
        let args = json!({ "name": name });
        let name = json!({ "name": "thread_name", "ph": "M", "pid": self.pid, "tid": track, "args": args });
        self.write(out, &name);
    }

    fn slice_begins(&mut self, out: &mut Vec<u8>, at_ns: u64, track: u64, slice: &Slice<'_>) {
        let mut event = self.event("B", at_ns, track);
        event["name"] = slice.name.into();
        event["cat"] = slice.category.into();
        let notes = slice.notes.iter();
        let mut args: serde_json::Map<_, _> = notes
            .map(|(name, text)| ((*name).to_owned(), Value::from(text.as_str())))
            .collect();
        args.extend(slice.turn.map(|turn| ("turn".to_owned(), turn.into())));
        event["args"] = args.into();
        self.write(out, &event);
        // A flow binds to the slice that is open at its time.
        let flows_out = slice.flows_out.iter().map(|flow| ("s", *flow));
        for (kind, flow) in flows_out.chain(slice.flow_in.map(|flow| ("f", flow))) {
            let mut event = self.event(kind, at_ns, track);
            event["name"] = "wakes".into();
            event["cat"] = "wake".into();
            event["id"] = flow.into();
            if kind == "f" {
                event["bp"] = "e".into(); // to the slice that is open, not to the next
            }
            self.write(out, &event);
        }
    }

    fn slice_ends(&mut self, out: &mut Vec<u8>, at_ns: u64, track: u64) {
        let event = self.event("E", at_ns, track);
        self.write(out, &event);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        out.extend(if self.has_event {
            &b"\n]\n"[..]
        } else {
            b"[]\n"
        });
    }
}
