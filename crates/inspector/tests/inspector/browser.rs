//! A headless Chromium, driven by its DevTools protocol.

use data_encoding::BASE64;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// How long a page may take for what a test waits for.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    next_id: u64,
    /// Errors that the page has logged.
    pub(crate) errors: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it. `None`, and a line that says so, if it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        let process = Command::new("chromium")
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
            ])
            .args(["--remote-debugging-port=0", "--no-first-run", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut process) = process else {
            eprintln!("skipped: chromium is not installed (apt-get install chromium)");
            return None;
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = lines.by_ref().find_map(|line| {
            let line = line.unwrap();
            Some(line.strip_prefix("DevTools listening on ")?.to_owned())
        });
        let address = address.expect("chromium says where it listens");
        // It logs more than a pipe holds.
        std::thread::spawn(move || lines.for_each(drop));
        let host = address
            .trim_start_matches("ws://")
            .split('/')
            .next()
            .unwrap();
        let stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(&address, stream).unwrap();
        Some(Browser {
            process,
            socket,
            session: None,
            next_id: 0,
            errors: Vec::new(),
            _profile: profile,
        })
    }

    /// Opens a page in a tab, in place of the present one.
    pub(crate) fn open(&mut self, url: &str) {
        let target = self.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.call("Target.attachToTarget", attach);
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Runtime", "Log", "Page"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
        self.call("Page.navigate", json!({ "url": url }));
    }

    /// Leaves the page.
    pub(crate) fn leave(&mut self) {
        self.call("Page.navigate", json!({ "url": "about:blank" }));
    }

    /// Waits until an expression of the page is true.
    pub(crate) fn until(&mut self, expression: &str) {
        let wait = format!(
            "new Promise((resolve, reject) => {{
                const last = Date.now() + {};
                const look = () => {{
                    let seen;
                    try {{ seen = {expression}; }} catch (error) {{ seen = false; }}
                    if (seen) resolve('seen');
                    else if (Date.now() > last) resolve('late');
                    else setTimeout(look, 20);
                }};
                look();
            }})",
            PATIENCE.as_millis() * 2 / 3
        );
        let seen = self.evaluate(&wait);
        assert_eq!(seen, "seen", "{expression}; the page: {}", self.text());
    }

    /// The value of an expression of the page.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        self.call("Runtime.evaluate", params)["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").to_string()
    }

    pub(crate) fn click(&mut self, selector: &str) {
        self.until(&format!("document.querySelector('{selector}')"));
        self.evaluate(&format!("document.querySelector('{selector}').click()"));
    }

    /// Writes a picture of the whole page to the folder `ONELOOP_SCREENSHOTS`, if that is set.
    pub(crate) fn picture(&mut self, name: &str, width: u32, is_dark: bool) {
        let Some(folder) = std::env::var_os("ONELOOP_SCREENSHOTS") else {
            return;
        };
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
        let metrics = |height: u64| json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", metrics(900));
        let height = self.evaluate("document.documentElement.scrollHeight");
        let height = height.as_u64().unwrap();
        self.call("Emulation.setDeviceMetricsOverride", metrics(height));
        self.evaluate("new Promise(resolve => setTimeout(resolve, 600))"); // a frame in that size
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let bytes = BASE64.decode(shot["data"].as_str().unwrap().as_bytes());
        let bytes = bytes.unwrap();
        std::fs::write(PathBuf::from(folder).join(name), bytes).unwrap();
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        let mut message = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = &self.session
            && !method.starts_with("Target.")
        {
            message["sessionId"] = session.as_str().into();
        }
        self.socket
            .send(Message::text(message.to_string()))
            .unwrap();
        loop {
            let answer = self.socket.read().unwrap().into_text().unwrap();
            let mut answer: Value = serde_json::from_str(&answer).unwrap();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.errors.push(params.to_string()),
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.errors.push(params["entry"].to_string());
            }
            _ => {}
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
