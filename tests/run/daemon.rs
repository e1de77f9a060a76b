//! `anomalyd run` as its users run it, with its alarms and its log read line by line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::plant::{anomalyd, parsed, plant};

/// No wait in these tests is meant to come near it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration; its model is `model.pt` in it.
pub struct Site {
    pub dir: TempDir,
}

impl Site {
    pub fn new(config: &str) -> Site {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(plant().model(), dir.path().join("model.pt")).unwrap();
        let site = Site { dir };
        site.write(config);
        site
    }

    /// Replaces the configuration, in which `@` stands for this folder.
    pub fn write(&self, config: &str) {
        let folder = self.dir.path().display().to_string();
        let own = "model = \"model.pt\"\nstate_directory = \"state\"\ncontrol_socket = \"control.sock\"\n";
        let text = format!("{own}{}", config.replace('@', &folder));
        fs::write(self.config(), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.path("anomalyd.toml")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A daemon whose standard input stays open until [`Daemon::close_stdin`].
    pub fn run(&self) -> Daemon {
        self.run_with(Stdio::piped(), &[])
    }

    pub fn run_with(&self, stdin: impl Into<Stdio>, env: &[(&str, &Path)]) -> Daemon {
        let mut command = anomalyd();
        command.args(["run", "--config"]).arg(self.config());
        Site::start(command, stdin, env)
    }

    /// A daemon to which this folder is the whole machine.
    pub fn run_as_root_folder(&self) -> Daemon {
        let mut command = anomalyd();
        command.args(["run", "--config", "/anomalyd.toml", "--root"]);
        command.arg(self.dir.path());
        Site::start(command, Stdio::null(), &[])
    }

    fn start(mut command: Command, stdin: impl Into<Stdio>, env: &[(&str, &Path)]) -> Daemon {
        command
            .env_remove("NOTIFY_SOCKET")
            .envs(env.iter().copied());
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (alarms, log) = (Lines::default(), Lines::default());
        let readers = vec![
            alarms.collect(child.stdout.take().unwrap()),
            log.collect(child.stderr.take().unwrap()),
        ];
        Daemon {
            stdin: child.stdin.take(),
            child,
            alarms,
            log,
            readers,
        }
    }

    /// Connects to the socket `ingest.sock` once it is there.
    pub fn connect(&self) -> UnixStream {
        let path = self.path("ingest.sock");
        let mut stream = None;
        until("a socket", || {
            stream = UnixStream::connect(&path).ok();
            stream.is_some()
        });
        stream.unwrap()
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn collect(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let lines = Arc::clone(&self.0);
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines() {
                lines.lock().unwrap().push(line.unwrap());
            }
        })
    }

    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub struct Daemon {
    child: Child,
    pub stdin: Option<ChildStdin>,
    alarms: Lines,
    log: Lines,
    readers: Vec<JoinHandle<()>>,
}

/// What is left of a daemon.
pub struct Finished {
    pub status: ExitStatus,
    pub alarms: Vec<String>,
    pub log: String,
    /// From the call that waited for the end.
    pub took: Duration,
}

impl Daemon {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How often a thread has had nothing to do and was woken.
    pub fn waits_of(&self, thread: &str) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let read = |task: &Path, file| fs::read_to_string(task.join(file)).unwrap();
        let mut tasks = tasks.map(|task| task.unwrap().path());
        let task = tasks.find(|task| read(task, "comm").trim() == thread);
        let status = read(&task.unwrap(), "status");
        let waits = |line: &str| {
            line.strip_prefix("voluntary_ctxt_switches:")?
                .trim()
                .parse()
                .ok()
        };
        status.lines().find_map(waits).unwrap()
    }

    pub fn log(&self) -> String {
        self.log.get().join("\n")
    }

    pub fn alarms(&self) -> Vec<Value> {
        self.alarms.get().iter().map(|line| parsed(line)).collect()
    }

    /// Writes lines to standard input.
    pub fn feed(&mut self, lines: &[String]) {
        feed(self.stdin.as_mut().unwrap(), lines);
    }

    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub fn until_log(&self, part: &str) {
        self.until_logged(part, 1);
    }

    /// Waits until `part` stands in `count` lines of the log.
    pub fn until_logged(&self, part: &str, count: usize) {
        until(&format!("{part:?} in the log"), || {
            let found = self.log().matches(part).count();
            assert!(
                found >= count || !self.has_ended(),
                "ended without {part:?} in its log: {}",
                self.log()
            );
            found >= count
        });
    }

    /// Waits until `count` events of this kind and transition have come; gives the last of these.
    pub fn until_alarm(&self, kind: &str, transition: &str, count: usize) -> Value {
        let mut found = Vec::new();
        until(&format!("{count} {kind} alarms {transition}"), || {
            found = self.events(kind, transition);
            assert!(
                found.len() >= count || !self.has_ended(),
                "ended without {count} {kind} alarms {transition}: {}",
                self.log()
            );
            found.len() >= count
        });
        found.swap_remove(count - 1)
    }

    pub fn events(&self, kind: &str, transition: &str) -> Vec<Value> {
        let mut events = self.alarms();
        events.retain(|event| event["kind"] == kind && event["transition"] == transition);
        events
    }

    pub fn reload(&self) {
        self.signal(Signal::SIGHUP);
    }

    fn has_ended(&self) -> bool {
        // Signal 0 reaches a zombie too, so its state is read.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        stat.map_or(true, |stat| {
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            rest.trim_start().starts_with(['Z', 'X'])
        })
    }

    pub fn terminate(self) -> Finished {
        self.signal(Signal::SIGTERM);
        self.finish()
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Finished {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if started.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("does not end: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = started.elapsed();
        for reader in std::mem::take(&mut self.readers) {
            reader.join().unwrap();
        }
        Finished {
            status,
            alarms: self.alarms.get(),
            log: self.log(),
            took,
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // After a failed test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    #[track_caller]
    pub fn ok(&self) -> &Self {
        assert!(self.status.success(), "{}: {}", self.status, self.log);
        self
    }
}

pub fn feed(to: &mut impl Write, lines: &[String]) {
    let mut text = lines.join("\n");
    text.push('\n');
    to.write_all(text.as_bytes()).unwrap();
}

pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(5));
    }
}
