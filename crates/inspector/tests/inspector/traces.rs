//! Traces, read back.

use oneloop::EventLoop;
use oneloop::aio::{sleep, spawn, yield_now};
use oneloop::inspector::TraceFile;
use oneloop::sync::Event;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Traces a program in which one task wakes another.
fn trace(path: &Path) {
    let mut event_loop = EventLoop::new().unwrap();
    let trace = TraceFile::create(path).unwrap();
    let tracing = trace.trace("loop \"0\"", &event_loop.handle());
    event_loop.block_on(async {
        let event = Event::new();
        let waiter = event.clone();
        let waiter = spawn(async move { waiter.until_set().await });
        yield_now().await;
        spawn(async move {
            sleep(Duration::from_millis(2)).await;
            event.set();
        });
        waiter.await.unwrap();
    });
    drop((tracing, trace));
}

#[test]
fn a_json_trace_has_slices_that_nest_and_flows_from_wakes_to_runs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.json");
    trace(&path);
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let (mut open, mut last, mut flows) = (Vec::new(), 0.0, BTreeMap::new());
    let mut names = BTreeSet::new();
    for event in &events {
        let at = event["ts"].as_f64().unwrap_or(last);
        assert!(at >= last, "time goes back: {event}");
        last = at;
        match event["ph"].as_str().unwrap() {
            "B" => {
                let name = event["name"].as_str().unwrap().to_owned();
                names.insert(name.clone());
                open.push(name);
            }
            "E" => drop(open.pop().expect("a slice is open")),
            "s" => drop(flows.insert(event["id"].as_u64().unwrap(), open.last().unwrap().clone())),
            "f" => {
                let from = flows
                    .remove(&event["id"].as_u64().unwrap())
                    .expect("a wake before");
                if from.contains("traces.rs") && open.last().unwrap().contains("traces.rs") {
                    names.insert("one task wakes another".to_owned());
                }
            }
            "M" => {}
            other => panic!("{other}"),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for expected in [
        "poll",
        "timers",
        "sleep",
        "the main future",
        "one task wakes another",
    ] {
        assert!(names.contains(expected), "{expected} is not in {names:?}");
    }
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("tests/inspector/traces.rs:")),
        "{names:?}"
    );
}

/// Reads a trace by Perfetto's own definitions, and prints what is in it.
const READ: &str = r#"
import sys
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackEvent
trace = Trace()
trace.ParseFromString(open(sys.argv[1], 'rb').read())
tracks, open_slices, sources, names = {}, {}, {}, set()
for packet in trace.packet:
    if packet.HasField('track_descriptor'):
        track = packet.track_descriptor
        tracks[track.uuid] = track.name or track.process.process_name
    if packet.HasField('track_event'):
        event = packet.track_event
        stack = open_slices.setdefault(event.track_uuid, [])
        if event.type == TrackEvent.TYPE_SLICE_BEGIN:
            assert event.track_uuid in tracks
            stack.append((event.name, packet.timestamp))
            names.add(event.name)
            for flow in event.flow_ids: sources[flow] = event.name
            for flow in event.terminating_flow_ids:
                if '.rs:' in sources[flow] and '.rs:' in event.name: print('one task wakes another')
        elif event.type == TrackEvent.TYPE_SLICE_END:
            name, began = stack.pop()
            assert began <= packet.timestamp
assert not any(open_slices.values()), open_slices
print('tracks', sorted(tracks.values()))
print('slices', sorted(names))
"#;

#[test]
fn a_perfetto_trace_is_read_by_perfettos_own_definitions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.perfetto-trace");
    trace(&path);
    let has_it = Command::new("python3")
        .args(["-c", "import perfetto.protos"])
        .output();
    if !has_it.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: Python's package perfetto is not installed (pip install perfetto)");
        return;
    }
    let read = Command::new("python3")
        .args(["-c", READ])
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&read.stdout);
    assert!(
        read.status.success(),
        "{}",
        String::from_utf8_lossy(&read.stderr)
    );
    for expected in [
        "one task wakes another",
        "loop \"0\"",
        "'poll'",
        "'sleep'",
        "'the main future'",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}
