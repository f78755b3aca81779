//! What the terminal shows.

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Row, Sparkline, Table, TableState};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Frames whose utilization is shown: a minute.
const SPARKS: usize = 240;

/// Tasks that are shown of one loop.
const TASKS_MAX: usize = 200;

const COLORS: [Color; 7] = [
    Color::Yellow,
    Color::Magenta,
    Color::Gray,
    Color::LightBlue,
    Color::Blue,
    Color::Cyan,
    Color::Red,
];

/// A request to the server, by its path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asks(pub(super) String);

/// What the server has sent last, and what is chosen.
#[derive(Debug, Default)]
pub(super) struct Screen {
    hello: Value,
    frame: Value,
    /// The tasks of each loop.
    tasks: BTreeMap<String, Value>,
    connections: Value,
    sparks: BTreeMap<String, VecDeque<u64>>,
    loop_index: usize,
    connection_index: usize,
    /// Why the server refused the last request.
    pub(super) said: Option<String>,
    /// Why there is no more news.
    pub(super) ended: Option<String>,
}

impl Screen {
    /// Notes an event of the server.
    pub(super) fn note(&mut self, name: &str, data: Value) {
        match name {
            "hello" => self.hello = data,
            "frame" => {
                for one in list(&data["loops"]) {
                    let sparks = self.sparks.entry(text(&one["name"])).or_default();
                    let utilization = one["counts"]["utilization"].as_f64().unwrap_or_default();
                    sparks.push_back((utilization * 100.0) as u64);
                    if sparks.len() > SPARKS {
                        sparks.pop_front();
                    }
                }
                self.frame = data;
            }
            "tasks" => {
                for one in list(&data) {
                    self.tasks.insert(text(&one["name"]), one.clone());
                }
            }
            "connections" => self.connections = data,
            _ => {}
        }
    }

    fn shown_loop(&self) -> &Value {
        let loops = list(&self.frame["loops"]);
        let index = self.loop_index % loops.len().max(1);
        loops.get(index).unwrap_or(&Value::Null)
    }

    /// What a key asks of the server.
    pub(super) fn press(&mut self, key: KeyCode) -> Option<Asks> {
        let connections = list(&self.connections["shown"]).len();
        match key {
            KeyCode::Tab => self.loop_index += 1,
            KeyCode::Down => {
                self.connection_index =
                    (self.connection_index + 1).min(connections.saturating_sub(1));
            }
            KeyCode::Up => self.connection_index = self.connection_index.saturating_sub(1),
            KeyCode::Char('h') => return Some(self.motion("hold")),
            KeyCode::Char(' ') => return Some(self.motion("step")),
            KeyCode::Char('s') => return Some(self.motion("slow")),
            KeyCode::Char('f') => return Some(self.motion("free")),
            KeyCode::Char('p') => {
                let is_paused = self.connection()?["paused"] == true;
                return self.act(if is_paused { "resume" } else { "pause" });
            }
            KeyCode::Char('c') => return self.act("close"),
            _ => {}
        }
        None
    }

    fn motion(&self, motion: &str) -> Asks {
        let name = text(&self.shown_loop()["name"]).replace(' ', "%20");
        Asks(format!("/motion?loop={name}&motion={motion}"))
    }

    fn connection(&self) -> Option<&Value> {
        list(&self.connections["shown"]).get(self.connection_index)
    }

    fn act(&self, action: &str) -> Option<Asks> {
        let number = self.connection()?["number"].as_u64()?;
        Some(Asks(format!("/connection?number={number}&action={action}")))
    }

    pub(super) fn draw(&self, frame: &mut Frame<'_>) {
        let advice = list(&self.frame["advice"]);
        let advice_lines = u16::try_from(advice.len().clamp(1, 4)).unwrap_or(1);
        let [head, said, middle, tasks, connections, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(advice_lines),
            Constraint::Length(11),
            Constraint::Fill(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ])
        .areas(frame.area());
        self.draw_head(frame, head);
        self.draw_advice(frame, said);
        let [ring, load] =
            Layout::horizontal([Constraint::Percentage(55), Constraint::Percentage(45)])
                .areas(middle);
        self.draw_phases(frame, ring);
        self.draw_load(frame, load);
        self.draw_tasks(frame, tasks);
        self.draw_connections(frame, connections);
        let help = "q end  Tab loop  h hold  Space step  s slow  f free  ↑↓ p pause  c close";
        let help = self.said.clone().unwrap_or_else(|| help.to_owned());
        frame.render_widget(Line::from(help).style(dim()), keys);
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let shown = text(&self.shown_loop()["name"]);
        let mut spans = vec![
            Span::styled(text(&self.hello["program"]), bold()),
            Span::styled(format!(" {}  ", self.hello["pid"]), dim()),
        ];
        for one in list(&self.frame["loops"]) {
            let name = text(&one["name"]);
            let style = if name == shown {
                bold().add_modifier(Modifier::REVERSED)
            } else {
                dim()
            };
            spans.extend([Span::styled(format!(" {name} "), style), Span::raw(" ")]);
        }
        frame.render_widget(Line::from(spans), area);
    }

    fn draw_advice(&self, frame: &mut Frame<'_>, area: Rect) {
        let lines = list(&self.frame["advice"]).iter().map(|one| {
            let color = match one["weight"].as_str() {
                Some("warning") => Color::Red,
                Some("note") => Color::Yellow,
                _ => Color::Green,
            };
            Line::from(vec![
                Span::styled("▌ ", color),
                Span::raw(text(&one["text"])),
            ])
        });
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
    }

    /// The phases, each with a bar of its share of the work.
    fn draw_phases(&self, frame: &mut Frame<'_>, area: Rect) {
        let one = self.shown_loop();
        let counts = &one["counts"];
        let step = &one["step"];
        let took: Vec<u64> = list(&counts["phases_us"])
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        let work = took.iter().sum::<u64>().max(1);
        let width = usize::from(area.width.saturating_sub(32));
        let phases = list(&self.hello["phases"]).iter().zip(&took).zip(COLORS);
        let lines = phases.enumerate().map(|(index, ((name, took), color))| {
            let is_here = step["phase"].as_u64() == Some(index as u64);
            let bar =
                usize::try_from(*took).unwrap_or(0) * width / usize::try_from(work).unwrap_or(1);
            Line::from(vec![
                Span::raw(if is_here { "▶ " } else { "  " }),
                Span::styled(
                    format!("{:<8}", text(name)),
                    if is_here { bold() } else { Style::new() },
                ),
                Span::styled(
                    format!("{:>9} {:>3} %  ", time(*took), took * 100 / work),
                    dim(),
                ),
                Span::styled("█".repeat(bar.max(usize::from(*took > 0))), color),
            ])
        });
        let mut lines: Vec<_> = lines.collect();
        if let Some(turn) = step["turn"].as_u64() {
            let what: Vec<_> = list(&step["lines"]).iter().map(text).collect();
            let held = if step["holds"] == true { ", held" } else { "" };
            lines.push(Line::from(format!("turn {turn}{held}: {}", what.join("; "))).style(bold()));
        }
        let busy = counts["utilization"].as_f64().unwrap_or_default() * 100.0;
        let title = format!(" {busy:.0} % busy, {} turns/s ", counts["turns"]);
        frame.render_widget(
            Paragraph::new(lines).block(Block::bordered().title(title)),
            area,
        );
    }

    fn draw_load(&self, frame: &mut Frame<'_>, area: Rect) {
        let one = self.shown_loop();
        let lag: Vec<u64> = list(&one["lag_us"])
            .iter()
            .filter_map(Value::as_u64)
            .collect();
        let title = match lag[..] {
            [p50, p99, max] => {
                let [p50, p99, max] = [p50, p99, max].map(time);
                format!(" turn {p50}, 99 % {p99}, max {max} ")
            }
            _ => String::new(),
        };
        let block = Block::bordered().title(title);
        let [sparks, places] =
            Layout::vertical([Constraint::Length(4), Constraint::Fill(1)]).areas(block.inner(area));
        frame.render_widget(block, area);
        let name = text(&one["name"]);
        let all = self.sparks.get(&name).into_iter().flatten();
        let skipped = self.sparks.get(&name).map_or(0, VecDeque::len);
        let skipped = skipped.saturating_sub(usize::from(sparks.width));
        let shown: Vec<u64> = all.skip(skipped).copied().collect();
        let spark = Sparkline::default()
            .data(&shown)
            .max(100)
            .style(Color::Blue);
        frame.render_widget(spark, sparks);
        let lines = list(&one["places"]).iter().map(|place| {
            let share = place["share"].as_f64().unwrap_or_default() * 100.0;
            Line::from(format!("{share:>3.0} %  {}", text(&place["at"])))
        });
        frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), places);
    }

    fn draw_tasks(&self, frame: &mut Frame<'_>, area: Rect) {
        let tasks = self.tasks.get(&text(&self.shown_loop()["name"]));
        let tasks = tasks.map_or(&[][..], |tasks| list(&tasks["tasks"]));
        let mut rows = Vec::new();
        let roots = tasks
            .iter()
            .filter(|task| tasks.iter().all(|by| by["key"] != task["by"]));
        for root in roots {
            branch(root, tasks, 0, &mut rows);
        }
        let count = &self.shown_loop()["counts"]["tasks"];
        let block = Block::bordered().title(format!(" {count} tasks "));
        let widths = [Constraint::Fill(1); 3];
        frame.render_widget(Table::new(rows, widths).block(block), area);
    }

    fn draw_connections(&self, frame: &mut Frame<'_>, area: Rect) {
        let rows = list(&self.connections["shown"]).iter().map(|one| {
            let number = |name: &str| one[name].as_u64().unwrap_or_default();
            let state = if one["paused"] == true {
                "paused".to_owned()
            } else {
                text(&one["state"])
            };
            Row::new([
                text(&one["peer"]),
                number("received").to_string(),
                number("sent").to_string(),
                number("queued").to_string(),
                time(number("age_ms") * 1000),
                state,
            ])
        });
        let widths = [
            Constraint::Fill(2),
            Constraint::Length(12),
            Constraint::Length(12),
            Constraint::Length(10),
            Constraint::Length(10),
            Constraint::Fill(2),
        ];
        let title = format!(
            " {} connections ",
            self.connections["total"].as_u64().unwrap_or_default()
        );
        let table = Table::new(rows, widths)
            .header(Row::new(["peer", "in", "out", "queued", "age", "state"]).style(dim()))
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
            .block(Block::bordered().title(title));
        let mut state = TableState::new().with_selected(self.connection_index);
        frame.render_stateful_widget(table, area, &mut state);
    }
}

/// Adds a task, and those that it has spawned below it.
fn branch(task: &Value, tasks: &[Value], depth: usize, rows: &mut Vec<Row<'static>>) {
    if rows.len() >= TASKS_MAX {
        return;
    }
    let indent = "  ".repeat(depth.min(20));
    let waits: Vec<_> = list(&task["waits"]).iter().map(text).collect();
    let waits = if waits.is_empty() {
        String::new()
    } else {
        format!(" for {}", waits.join(" and "))
    };
    let since = time(task["ms"].as_u64().unwrap_or_default() * 1000);
    rows.push(Row::new([
        format!("{indent}{}", text(&task["what"])),
        format!("{}{waits}, {since}", text(&task["state"])),
        text(&task["at"]),
    ]));
    let children = tasks.iter().filter(|child| child["by"] == task["key"]);
    children.for_each(|child| branch(child, tasks, depth + 1, rows));
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text of the server. What a client or a task is called must not control the terminal.
fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default().chars();
    text.map(|char| if char.is_control() { '?' } else { char })
        .collect()
}

fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        1_000_000..60_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => format!("{} min", us / 60_000_000),
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    fn screen() -> Screen {
        let mut screen = Screen::default();
        let phases = [
            "timers", "pending", "idle", "prepare", "poll", "check", "closing",
        ];
        screen.note(
            "hello",
            json!({ "program": "oneloop", "pid": 7, "phases": phases }),
        );
        let loops = json!([
            { "name": "loop 0", "lag_us": [10, 200, 3000], "places": [{ "at": "main.rs:88", "share": 0.9 }],
              "counts": { "utilization": 0.42, "turns": 12.0, "tasks": 2,
                          "phases_us": [100, 0, 0, 0, 300, 0, 0] },
              "step": { "turn": 5, "phase": 4, "lines": ["woke: a timer"], "holds": true } },
            { "name": "loop 1" },
        ]);
        let advice = json!([{ "weight": "fine", "text": "loop 0 sleeps\u{1b}[2J" }]);
        screen.note("frame", json!({ "loops": loops, "advice": advice }));
        let tasks = json!([
            { "key": "1.0", "what": "accept", "state": "waits", "ms": 5, "at": "a.rs:1", "waits": ["fd 4 to read"] },
            { "key": "2.0", "by": "1.0", "what": "serve", "state": "ready", "ms": 0, "at": "b.rs:2" },
        ]);
        screen.note("tasks", json!([{ "name": "loop 0", "tasks": tasks }]));
        let shown = json!([
            { "number": 3, "peer": "10.0.0.1:5", "received": 5, "state": "waits for input", "age_ms": 1500 },
            { "number": 4, "peer": "10.0.0.2:6", "paused": true },
        ]);
        screen.note("connections", json!({ "total": 2, "shown": shown }));
        screen
    }

    fn drawn(screen: &Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(100, 40)).unwrap();
        terminal.draw(|frame| screen.draw(frame)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_screen_shows_what_the_page_shows() {
        let drawn = drawn(&screen());
        for expected in [
            "loop 0 sleeps?[2J",
            "42 % busy, 12.0 turns/s",
            "turn 10 µs, 99 % 200 µs, max 3.0 ms",
            "▶ poll",
            "turn 5, held: woke: a timer",
            "90 %  main.rs:88",
            "accept",
            "  serve",
            "waits for fd 4 to read, 5.0 ms",
            "10.0.0.1:5",
            "waits for input",
            "paused",
        ] {
            assert!(drawn.contains(expected), "{expected} is not in\n{drawn}");
        }
    }

    #[test]
    fn a_server_that_has_said_nothing_is_drawn() {
        drawn(&Screen::default());
    }

    #[test]
    fn keys_ask_the_server() {
        let mut screen = screen();
        let asks = |path: &str| Some(Asks(path.to_owned()));
        let mut press = |key| screen.press(key);
        assert_eq!(
            press(KeyCode::Char('h')),
            asks("/motion?loop=loop%200&motion=hold")
        );
        assert_eq!(press(KeyCode::Tab), None);
        assert_eq!(
            press(KeyCode::Char(' ')),
            asks("/motion?loop=loop%201&motion=step")
        );
        assert_eq!(
            press(KeyCode::Char('p')),
            asks("/connection?number=3&action=pause")
        );
        assert_eq!(press(KeyCode::Down), None);
        assert_eq!(press(KeyCode::Down), None);
        assert_eq!(
            press(KeyCode::Char('p')),
            asks("/connection?number=4&action=resume")
        );
        assert_eq!(
            press(KeyCode::Char('c')),
            asks("/connection?number=4&action=close")
        );
    }
}
