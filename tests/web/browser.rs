//! Headless Chromium, driven by `browser.py`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(90);

pub struct Browser {
    child: Child,
    /// Until the end.
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

/// Chromium, where it is installed; it must be where everything is required.
fn program() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(is_there)
}

impl Browser {
    pub fn start() -> Option<Browser> {
        let Some(program) = program() else {
            assert!(
                std::env::var_os("ANOMALYD_REQUIRE_ALL").is_none(),
                "chromium is not installed"
            );
            eprintln!("skipped: chromium is not installed");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web/browser.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(program);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Browser {
            to: child.stdin.take(),
            from: BufReader::new(child.stdout.take().unwrap()),
            child,
        })
    }

    fn try_command(&mut self, command: &Value) -> Result<Value, String> {
        writeln!(self.to.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        }
    }

    #[track_caller]
    pub fn command(&mut self, command: &Value) -> Value {
        match self.try_command(command) {
            Ok(answer) => answer,
            Err(error) => panic!("{command}: {error}"),
        }
    }

    pub fn open(&mut self, url: &str, (width, height): (u32, u32), scheme: &str) {
        self.command(
            &json!({"do": "open", "url": url, "width": width, "height": height, "scheme": scheme}),
        );
    }

    /// What the body of a JavaScript function returns.
    #[track_caller]
    pub fn run(&mut self, script: &str) -> Value {
        self.command(&json!({"do": "run", "script": script}))
    }

    /// The text of the element of that id.
    #[track_caller]
    pub fn text(&mut self, id: &str) -> String {
        let text = self.run(&format!(
            "return document.getElementById('{id}').textContent;"
        ));
        text.as_str().unwrap().to_owned()
    }

    /// Waits until the script returns something true.
    #[track_caller]
    pub fn until(&mut self, what: &str, script: &str) {
        let started = Instant::now();
        loop {
            // While a page loads there may be nothing to ask.
            let got = self.try_command(&json!({"do": "run", "script": script}));
            if got.is_ok_and(|got| got == true) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{what} did not happen");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub fn key(&mut self, key: &str, code: u32) {
        self.command(&json!({"do": "key", "key": key, "code": code}));
    }

    pub fn type_text(&mut self, text: &str) {
        self.command(&json!({"do": "type", "text": text}));
    }

    pub fn picture(&mut self, path: &Path, width: u32) {
        self.command(&json!({"do": "picture", "path": path, "width": width}));
    }

    /// Role and name of everything that a screen reader is told of.
    pub fn names(&mut self) -> Vec<(String, String)> {
        let names = self.command(&json!({"do": "names"}));
        serde_json::from_value(names).unwrap()
    }

    /// What went wrong since the page was opened, and every address that was asked.
    pub fn trouble(&mut self) -> (Vec<String>, Vec<String>) {
        let trouble = self.command(&json!({"do": "trouble"}));
        let list = |name: &str| serde_json::from_value(trouble[name].clone()).unwrap();
        (list("errors"), list("asked"))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its input ends it, and the browser with it.
        self.to = None;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(20) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
