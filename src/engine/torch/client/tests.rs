//! The client against workers that misbehave: shell scripts with prepared answers.

use std::fs;
use std::thread::sleep;

use super::*;
use crate::engine::torch::process::tests::install;
use crate::engine::torch::protocol;

const T: usize = 2;
const F: usize = 3;
const SHAPE: Shape = Shape {
    batch: 1,
    window: T as u32,
    sensors: F as u32,
};

/// Bytes of a request for one window, its length included.
const RUN: usize = 4 + 1 + 8 + 12 + 4 * T * F;

fn bytes(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    bytes
}

/// A right answer; its last frame is `value`.
fn output(request: u64, value: f32) -> Message {
    Message::Output {
        request,
        shape: SHAPE,
        reconstruction: [[0.0; F], [value; F]].concat(),
        neighbour: Some(vec![-value; F]),
    }
}

/// A folder with a model file (of any content), prepared messages and a worker script.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// `script` finds `$d/hello`, `$d/one`, `$d/two` (right answers to requests 1 and 2), each of
    /// `files`, and the functions `run` (take a request) and `lives` (how often it was started).
    fn new(script: &str, files: &[(&str, Vec<u8>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("model.pt"), "any").unwrap();
        let hello = Message::Hello {
            version: protocol::VERSION,
            digest: digest(&path("model.pt")).unwrap(),
            libtorch: "2.6".to_owned(),
        };
        fs::write(path("hello"), bytes(&hello)).unwrap();
        fs::write(path("one"), bytes(&output(1, 1.0))).unwrap();
        fs::write(path("two"), bytes(&output(2, 2.0))).unwrap();
        for (name, content) in files {
            fs::write(path(name), content).unwrap();
        }
        let script = format!(
            "#!/bin/sh\nd={}\necho >>$d/starts\nlives() {{ wc -l <$d/starts; }}\n\
             run() {{ head -c {RUN} >/dev/null; }}\n{script}\n",
            folder.path().display()
        );
        install(&script, &path("worker"));
        Bench { folder }
    }

    fn open(&self) -> Result<TorchEngine, EngineError> {
        let config = TorchConfig {
            worker: Some(self.folder.path().join("worker")),
            timeout: Duration::from_millis(1500),
            load_timeout: Duration::from_secs(10),
            backoff: Duration::from_millis(300),
            longest_backoff: Duration::from_secs(2),
            ..TorchConfig::default()
        };
        TorchEngine::open(&self.folder.path().join("model.pt"), T, F, config)
    }
}

/// One more frame; the value of the expectation, or the error's text.
fn step(engine: &mut TorchEngine) -> Result<f32, String> {
    let mut out = Expectation::zeros(F);
    match engine.step(&[0.5; F], &mut out) {
        Ok(true) => Ok(out.reconstruction[0]),
        Ok(false) => Err("no window yet".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Steps until a window is scored.
fn recover(engine: &mut TorchEngine) -> f32 {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match step(engine) {
            Ok(value) => return value,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        sleep(Duration::from_millis(20));
    }
}

/// A worker whose first life answers the first request with the file `answer` (then `after`), and
/// whose second life answers rightly.
fn once_bad(answer: Vec<u8>, after: &str) -> (String, u64, f32) {
    let script = format!(
        "cat $d/hello; run; if [ $(lives) = 1 ]; then cat $d/answer; {after}; exit; fi; cat $d/two; run"
    );
    let bench = Bench::new(&script, &[("answer", answer)]);
    let mut engine = bench.open().unwrap();
    assert_eq!(step(&mut engine), Err("no window yet".to_owned()));
    let error = step(&mut engine).unwrap_err();
    let while_waiting = Instant::now();
    let refused = step(&mut engine).unwrap_err();
    assert!(refused.contains("the next is started in"), "{refused}");
    assert!(
        while_waiting.elapsed() < Duration::from_millis(100),
        "waiting does not block"
    );
    let value = recover(&mut engine);
    (error, engine.restarts(), value)
}

#[test]
fn rubbish_of_any_kind_is_a_crash_and_the_window_is_kept() {
    let mut nan = output(1, 1.0);
    if let Message::Output { reconstruction, .. } = &mut nan {
        reconstruction[0] = f32::NAN;
    }
    let wide = Message::Output {
        request: 1,
        shape: Shape {
            sensors: 2,
            ..SHAPE
        },
        reconstruction: vec![0.0; 4],
        neighbour: None,
    };
    let early = Message::Failed {
        request: 9,
        message: String::new(),
    };
    for (answer, expected) in [
        (bytes(&nan), "values that are not finite"),
        (bytes(&output(7, 1.0)), "another request"),
        (bytes(&wide), "another request"),
        (bytes(&early), "out of turn"),
        (b"Segmentation fault\n".to_vec(), "at most"),
        (vec![2, 0, 0, 0, 77, 77], "unknown kind 77"),
    ] {
        let (error, restarts, value) = once_bad(answer, "exec sleep 20");
        assert!(error.contains(expected), "{error}");
        assert_eq!((restarts, value), (1, 2.0), "{expected}");
    }
}

#[test]
fn closing_in_the_middle_of_an_answer_is_a_crash_with_its_exit_status() {
    let half = bytes(&output(1, 1.0))[..20].to_vec();
    let (error, restarts, value) = once_bad(half, "echo out of memory >&2; exit 3");
    assert!(
        error.contains("ended with exit status: 3: out of memory"),
        "{error}"
    );
    assert_eq!((restarts, value), (1, 2.0));
}

#[test]
fn half_an_answer_and_silence_ends_at_the_time_out() {
    let half = bytes(&output(1, 1.0))[..20].to_vec();
    let start = Instant::now();
    let (error, ..) = once_bad(half, "exec sleep 20");
    assert!(error.contains("did not answer in time"), "{error}");
    assert!(start.elapsed() >= Duration::from_millis(1500));
}

#[test]
fn an_answer_in_small_pieces_is_an_answer() {
    let bench = Bench::new(
        "cat $d/hello; run; head -c 3 $d/one; sleep 0.1; tail -c +4 $d/one | head -c 30; sleep 0.1; \
         tail -c +34 $d/one; run",
        &[],
    );
    let mut engine = bench.open().unwrap();
    assert!(step(&mut engine).is_err());
    assert_eq!(step(&mut engine), Ok(1.0));
    assert_eq!(engine.restarts(), 0);
}

#[test]
fn a_refused_window_is_an_error_but_no_crash() {
    let refused = Message::Failed {
        request: 1,
        message: "no such operator".to_owned(),
    };
    let bench = Bench::new(
        "cat $d/hello; run; cat $d/refused; run; cat $d/two; run",
        &[("refused", bytes(&refused))],
    );
    let mut engine = bench.open().unwrap();
    assert!(step(&mut engine).is_err());
    let error = step(&mut engine).unwrap_err();
    assert!(
        error.contains("cannot run the window: no such operator"),
        "{error}"
    );
    assert_eq!(step(&mut engine), Ok(2.0));
    assert_eq!(engine.restarts(), 0);
}

#[test]
fn a_worker_that_always_dies_is_waited_for_ever_longer() {
    let bench = Bench::new("[ $(lives) = 1 ] && cat $d/hello; exit 1", &[]);
    let mut engine = bench.open().unwrap();
    let start = Instant::now();
    let mut starts = Vec::new();
    while starts.len() < 3 {
        let before = engine.restarts();
        assert!(step(&mut engine).is_err());
        if engine.restarts() > before {
            starts.push(start.elapsed().as_secs_f64());
        }
        sleep(Duration::from_millis(5));
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    // At 0.3, + 0.6, + 1.2 seconds.
    assert!(
        starts[0] >= 0.3 && starts[1] - starts[0] >= 0.6 && starts[2] - starts[1] >= 1.2,
        "{starts:?}"
    );
}

#[test]
fn a_restarting_worker_that_loads_slowly_holds_nothing_up() {
    let bench = Bench::new(
        "if [ $(lives) = 1 ]; then cat $d/hello; exit 1; fi; sleep 1; cat $d/hello; run; cat $d/answer; run",
        &[("answer", bytes(&output(1, 5.0)))],
    );
    let mut engine = bench.open().unwrap();
    let mut longest = Duration::ZERO;
    let mut loading = 0;
    sleep(Duration::from_millis(200));
    let _ = (step(&mut engine), step(&mut engine));
    engine.request = 0;
    let value = loop {
        let start = Instant::now();
        let answer = step(&mut engine);
        match answer {
            Ok(value) => break value,
            Err(error) => loading += u32::from(error.contains("loads its model")),
        }
        longest = longest.max(start.elapsed());
        sleep(Duration::from_millis(10));
    };
    assert_eq!(value, 5.0);
    assert!(loading > 10, "{loading}");
    assert!(longest < Duration::from_millis(500), "{longest:?}");
}

#[test]
fn a_worker_that_cannot_load_the_model_says_why_at_once() {
    let failed = Message::Failed {
        request: 0,
        message: "model.pt: not a TorchScript file".to_owned(),
    };
    let bench = Bench::new("cat $d/failed; exit 1", &[("failed", bytes(&failed))]);
    let error = bench.open().unwrap_err().to_string();
    assert!(
        error.contains("cannot run the model: model.pt: not a TorchScript file"),
        "{error}"
    );

    let other = Message::Hello {
        version: 99,
        digest: [0; 32],
        libtorch: String::new(),
    };
    let bench = Bench::new("cat $d/other; run", &[("other", bytes(&other))]);
    let error = bench.open().unwrap_err().to_string();
    assert!(error.contains("version 99"), "{error}");

    let other = Message::Hello {
        version: protocol::VERSION,
        digest: [0; 32],
        libtorch: String::new(),
    };
    let bench = Bench::new("cat $d/other; run", &[("other", bytes(&other))]);
    let error = bench.open().unwrap_err().to_string();
    assert!(error.contains("another model"), "{error}");

    let bench = Bench::new("echo cannot open libtorch >&2; exit 127", &[]);
    let error = bench.open().unwrap_err().to_string();
    assert!(
        error.contains("exit status: 127: cannot open libtorch"),
        "{error}"
    );
}
