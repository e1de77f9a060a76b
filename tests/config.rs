//! `check-config` on whole configurations: each folder in `tests/config` is a root folder with an
//! `anomalyd.toml` (and drop-ins, and vendor files) and the report that is expected for it.
//!
//! `BLESS=1 cargo test --test config` writes the reports; read them before you commit them.

// The helpers of a test are not seen as tests by the lint.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anomalyd::cli::check_config::{self, CheckConfigArgs};
use anomalyd::config::key::{Presence, documentation_row};
use anomalyd::config::schema;
use anomalyd::config::{self, Listen, Password, Severity, SourceSettings};
use anomalyd::register::{RegisterTable, RegisterType, WordOrder};
use proptest::prelude::*;

const MANIFEST: &str = env!("CARGO_MANIFEST_DIR");

fn args(root: &Path) -> CheckConfigArgs {
    CheckConfigArgs {
        config: "/anomalyd.toml".into(),
        root: root.to_path_buf(),
        json: false,
    }
}

/// A case's `model-sensors.txt` stands for what is in its model file.
fn sensors_of(model: &Path) -> Result<Vec<String>, String> {
    let list = model.with_file_name("model-sensors.txt");
    let text = std::fs::read_to_string(list).map_err(|_| "not a model file".to_string())?;
    Ok(text.split_whitespace().map(String::from).collect())
}

#[test]
fn every_case_gives_its_report() {
    let folder = Path::new(MANIFEST).join("tests/config");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    cases.sort();
    assert!(cases.len() >= 12, "only {} cases", cases.len());
    let mut wrong = String::new();
    for case in cases {
        let report = check_config::check(&args(&case), &sensors_of);
        let root = format!("{}/", case.display());
        let seen = report.to_string().replace(&root, "");
        let expected_path = case.join("expected.txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected_path, &seen).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap_or_default();
        if seen != expected {
            wrong += &format!("{}\nexpected:\n{expected}seen:\n{seen}\n", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn without_keys_the_documented_defaults_hold() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let text = "[source.ndjson]\n[source.csv]\npath = 'a.csv'\n[source.simulator]\n\
                [source.mqtt]\nhost = 'h'\ntopics.A = 'a'\n\
                [source.modbus]\nhost = 'h'\nregisters.B = 'holding 7'\n";
    write(root, "anomalyd.toml", text);
    let (settings, _) = config::load(Path::new("/anomalyd.toml"), root).unwrap();
    let model = root.join("var/lib/anomalyd/models/current.pt");
    assert_eq!(settings.model, model);
    assert_eq!(settings.state_directory, root.join("var/lib/anomalyd"));
    assert_eq!(settings.engine, config::EngineChoice::Auto);
    assert_eq!(settings.log_level, log::LevelFilter::Info);
    assert_eq!((settings.name, settings.period), (None, None));
    assert_eq!(settings.max_false_alarms_per_week, None);
    assert_eq!(settings.frame.hold, 3);
    assert_eq!(settings.frame.stale_after, Duration::from_secs(300));
    assert_eq!(settings.frame.zone, jiff::tz::TimeZone::UTC);
    assert_eq!(settings.frame.queue_samples, 65_536);
    assert_eq!(settings.alarm.clear_after, Duration::from_secs(600));
    assert_eq!(settings.alarm.top_sensors, 3);
    assert!(settings.alarm.silent);
    assert!(settings.output.log && settings.output.stdout && settings.output.mqtt.is_none());
    let [
        SourceSettings::Ndjson(ndjson),
        SourceSettings::Csv(csv),
        SourceSettings::Mqtt(mqtt),
        SourceSettings::Modbus(modbus),
        SourceSettings::Simulator(simulator),
    ] = settings.sources.as_slice()
    else {
        panic!("{:?}", settings.sources);
    };
    assert_eq!(
        (ndjson.name.as_str(), &ndjson.listen),
        ("ndjson", &Listen::Stdin)
    );
    assert_eq!((csv.name.as_str(), csv.from_start), ("csv", false));
    assert_eq!(csv.path, root.join("a.csv"));
    assert_eq!((simulator.seed, simulator.rate), (1, 1.0));
    assert_eq!(simulator.faults, None);
    assert_eq!(
        (mqtt.name.as_str(), mqtt.broker.port, mqtt.broker.tls),
        ("mqtt", 1883, false)
    );
    assert_eq!(mqtt.broker.keep_alive, Duration::from_secs(30));
    assert_eq!(
        (&mqtt.broker.client_id, &mqtt.broker.password),
        (&None, &None)
    );
    assert_eq!(
        (modbus.name.as_str(), modbus.port, modbus.unit),
        ("modbus", 502, 1)
    );
    assert_eq!(
        (modbus.poll, modbus.timeout),
        (Duration::from_secs(1), Duration::from_secs(2))
    );
    assert_eq!((modbus.max_registers, modbus.max_gap), (125, 0));
    let register = &modbus.registers[0];
    assert_eq!(
        (register.table, register.address, register.kind),
        (RegisterTable::Holding, 7, RegisterType::U16)
    );
    assert_eq!(register.word_order, WordOrder::default());
    assert_eq!(
        (register.scale, register.offset, register.missing),
        (1.0, 0.0, None)
    );
}

#[test]
fn later_files_win_key_by_key_and_sources_are_joined_by_name() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(
        root,
        "usr/lib/anomalyd/anomalyd.toml",
        "name = 'vendor'\nengine = 'torch'\n[frame]\nhold = 9\nzone = 'UTC'\n",
    );
    write(
        root,
        "usr/lib/anomalyd/anomalyd.toml.d/10-demo.toml",
        "[source.simulator]\nseed = 5\n",
    );
    write(
        root,
        "etc/anomalyd/anomalyd.toml",
        "name = 'main'\n[source.simulator]\nenabled = false\n[source.mqtt]\nhost = 'one'\n\
         [source.mqtt.topics]\nA = { topic = 'a', path = 'v' }\nB = 'b'\n",
    );
    write(
        root,
        "etc/anomalyd/anomalyd.toml.d/20-more.toml",
        "[[source.mqtt]]\nname = 'mqtt'\nport = 1884\ntopics.A = 'a2'\n\
         [[source.mqtt]]\nname = 'second'\nhost = 'two'\ntls = true\ntopics.C = 'c'\n",
    );
    write(
        root,
        "etc/anomalyd/anomalyd.toml.d/10-less.toml",
        "frame.hold = 7\nname = 'ten'\n[source.mqtt]\nport = 1\n",
    );
    let main = Path::new("/etc/anomalyd/anomalyd.toml");
    let (settings, _) = config::load(main, root).unwrap();
    assert_eq!(settings.name.as_deref(), Some("ten"));
    assert_eq!(settings.engine, config::EngineChoice::Torch);
    assert_eq!(settings.frame.hold, 7);
    assert_eq!(settings.files.len(), 5);
    let [SourceSettings::Mqtt(one), SourceSettings::Mqtt(two)] = settings.sources.as_slice() else {
        panic!("{:?}", settings.sources);
    };
    assert_eq!((one.broker.host.as_str(), one.broker.port), ("one", 1884));
    assert_eq!((two.broker.host.as_str(), two.broker.port), ("two", 8883));
    // A sensor's entry is replaced as a whole: no path is left of the first one.
    assert_eq!(one.topics[0].topic, "a2");
    assert_eq!(one.topics[0].path, None);
    assert_eq!(one.topics[1].sensor, "B");
    assert!(one.topics[0].place.file.ends_with("20-more.toml"));
}

#[test]
fn a_password_file_is_resolved_and_the_password_stays_out_of_debug_output() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let text = "[source.mqtt]\nhost = 'h'\nusername = 'u'\ntopics.A = 'a'\n\
                password_file = '/secret'\n";
    write(root, "secret", "hush\n");
    write(root, "anomalyd.toml", text);
    let source = |root: &Path| {
        let (settings, mistakes) = config::load(Path::new("/anomalyd.toml"), root).unwrap();
        let [SourceSettings::Mqtt(mqtt)] = settings.sources.as_slice() else {
            panic!("{:?}", settings.sources);
        };
        (mqtt.clone(), mistakes)
    };
    let (mqtt, mistakes) = source(root);
    let password = mqtt.broker.password.unwrap();
    assert_eq!(password, Password::File(root.join("secret")));
    assert_eq!(password.read().unwrap(), "hush");
    let readable = mistakes.iter().any(|one| one.message.contains("chmod 600"));
    assert!(readable, "{mistakes:?}");

    write(
        root,
        "anomalyd.toml",
        &text.replace("password_file = '/secret'", "password = 'hush'"),
    );
    let (mqtt, mistakes) = source(root);
    assert!(!format!("{mqtt:?}").contains("hush"));
    assert!(mistakes.iter().all(|one| one.severity == Severity::Warning));
    assert!(!mistakes.iter().any(|one| one.message.contains("hush")));
}

#[test]
fn the_exit_status_is_78_with_mistakes_and_0_with_warnings() {
    let status = |case: &str, json| {
        let root = Path::new(MANIFEST).join("tests/config").join(case);
        let args = CheckConfigArgs {
            json,
            ..args(&root)
        };
        format!("{:?}", check_config::run(&args, &sensors_of).unwrap())
    };
    for json in [false, true] {
        assert_eq!(
            status("02-unknown-keys", json),
            format!("{:?}", ExitCode::from(78))
        );
        assert_eq!(
            status("11-model-sensors", json),
            format!("{:?}", ExitCode::SUCCESS)
        );
    }
}

#[test]
fn a_large_file_of_another_kind_is_refused_quickly() {
    let row = "2026-01-01T00:00:00Z,812.3,1.7,\"ü\n";
    let root = tempfile::tempdir().unwrap();
    write(
        root.path(),
        "anomalyd.toml",
        &row.repeat(4_000_000 / row.len()),
    );
    let before = std::time::Instant::now();
    let report = check_config::check(&args(root.path()), &sensors_of);
    assert!(
        !report.ok && report.mistakes.len() <= 21,
        "{}",
        report.mistakes.len()
    );
    let seconds = before.elapsed().as_secs_f64();
    // Half a second on an idle machine; a quadratic step would take hours.
    assert!(seconds < 60.0, "{seconds} s");
}

#[test]
fn json_output_has_every_field() {
    let case = Path::new(MANIFEST).join("tests/config/02-unknown-keys");
    let report = check_config::check(&args(&case), &sensors_of);
    let json: serde_json::Value =
        serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(json["ok"], false);
    assert_eq!(json["sources"], serde_json::Value::Null);
    let first = &json["mistakes"][0];
    assert!(first["file"].as_str().unwrap().ends_with("/anomalyd.toml"));
    assert_eq!(first["severity"], "error");
    assert!(first["line"].is_u64() && first["key"].is_string() && first["message"].is_string());
}

#[test]
fn the_documentation_lists_every_key_as_the_program_knows_it() {
    let path = Path::new(MANIFEST).join("docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let documented: BTreeSet<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let known: Vec<String> = schema::every_key()
        .iter()
        .filter(|(_, key)| key.shape.keys().is_none())
        .map(|(path, key)| documentation_row(path, key))
        .collect();
    for row in &known {
        assert!(
            documented.contains(row.as_str()),
            "docs/configuration.md lacks the row\n{row}"
        );
    }
    for row in &documented {
        let there = known.iter().any(|known| known == row);
        assert!(
            there,
            "docs/configuration.md has a row that the program does not know\n{row}"
        );
    }
    // Tables have a heading each instead of a row.
    for (path, key) in schema::every_key() {
        if key.shape.keys().is_some() {
            let named = text.contains(&format!("[{path}]")) || text.contains(&format!("`{path}`"));
            assert!(
                named,
                "docs/configuration.md does not name the table {path}"
            );
        }
    }
}

/// The file that is installed, as a user would have it after removing every `#` before a key.
#[test]
fn the_installed_file_is_right_as_it_is_and_with_every_key_uncommented() {
    let path = Path::new(MANIFEST).join("rootfs-overlay/service/etc/anomalyd/anomalyd.toml");
    let installed = std::fs::read_to_string(path).unwrap();
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(root, "anomalyd.toml", &installed);
    let (settings, mistakes) = config::load(Path::new("/anomalyd.toml"), root).unwrap();
    assert_eq!(settings.sources.len(), 1);
    assert!(
        mistakes.iter().all(|one| one.key == "model"),
        "{mistakes:?}"
    );

    let uncommented: String = installed
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    for file in [
        "usr/libexec/anomalyd/anomalyd-torch",
        "etc/ssl/certs/plant-ca.pem",
        "etc/anomalyd/faults.toml",
    ] {
        write(root, file, "");
    }
    write(root, "anomalyd.toml", &uncommented);
    let (settings, _) = config::load(Path::new("/anomalyd.toml"), root)
        .unwrap_or_else(|error| panic!("{error}\n{uncommented}"));
    assert!(settings.sources.len() >= 3);
    for (path, key) in schema::every_key() {
        let name = key.name;
        // Shown in the documentation only: names of sources, the switches, the plain password.
        let left_out = path.starts_with("source.") && matches!(name, "name" | "enabled");
        if key.shape.keys().is_some() || left_out || path.ends_with("mqtt.password") {
            continue;
        }
        let shown = match key.presence {
            // Of sources, and of what only goes together with `ca_file`, an example is shown.
            Presence::Default(value)
                if !path.starts_with("source.") && path != "output.mqtt.tls" =>
            {
                format!("{name} = {value}")
            }
            _ => format!("{name} = "),
        };
        assert!(
            installed.contains(&shown),
            "anomalyd.toml does not show {path}: {shown}"
        );
    }
}

/// Texts that are mostly TOML, with known keys in wrong places and values of all kinds.
fn almost_toml() -> impl Strategy<Value = String> {
    let names: Vec<String> = schema::every_key()
        .into_iter()
        .flat_map(|(path, key)| [path, key.name.to_string(), format!("{}x", key.name)])
        .chain(["a-b", "\"a b\"", "'\u{1b}'", "ü", ""].map(String::from))
        .collect();
    let values = [
        "1",
        "-1",
        "1.5",
        "nan",
        "inf",
        "9223372036854775808",
        "0x_1",
        "true",
        "'5m'",
        "'1 d'",
        "'UTC'",
        "''",
        "'\\'",
        "\"\\u0000\"",
        "{}",
        "{ topic = 'a/#' }",
        "{ where = { a.b = 1 } }",
        "{ a = 1",
        "[]",
        "[{}, {}]",
        "[[1], {}]",
        "1979-05-27",
        "\"\"\"\n\"\"\"",
        "",
        "'''",
        "x",
        "'stdin'",
        "'+/a'",
        "'holding 7'",
        "{ register = 'coil 1', type = 'f64', missing = 1 }",
        "'a.b[0]'",
        "'999999999999999999999d'",
        "'18446744073709551615s'",
    ];
    let name = prop::sample::select(names);
    let value = prop::sample::select(values.to_vec());
    let line = (name, value, 0..5u8).prop_map(|(name, value, kind)| match kind {
        0 => format!("[{name}]"),
        1 => format!("[[{name}]]"),
        _ => format!("{name} = {value}"),
    });
    prop::collection::vec(line, 0..24).prop_map(|lines| lines.join("\n"))
}

fn load_text(text: &[u8]) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("anomalyd.toml"), text).unwrap();
    let report = check_config::check(&args(root.path()), &sensors_of);
    let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
    for mistake in &report.mistakes {
        let line = mistake.line.unwrap_or(1);
        if line == 0 || line > lines {
            return Err(format!("{mistake}: the file has {lines} lines"));
        }
        if mistake.message.chars().any(|c| c.is_control()) {
            return Err(format!("{:?} holds a control character", mistake.message));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_text_makes_the_loader_panic(text in any::<String>()) {
        prop_assert_eq!(load_text(text.as_bytes()), Ok(()));
    }

    #[test]
    fn no_bytes_make_the_loader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(load_text(&bytes), Ok(()));
    }

    #[test]
    fn nothing_like_toml_makes_the_loader_panic(text in almost_toml()) {
        prop_assert_eq!(load_text(text.as_bytes()), Ok(()));
    }
}

#[test]
fn deep_nesting_is_a_mistake_and_not_a_stack_overflow() {
    for text in [
        format!("a = {}", "[".repeat(100_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("[{}a]", "a.".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(100_000)),
        format!(
            "[source.mqtt.topics]\nA = {{ topic = 'a', where = {{ {}a = 1 }} }}",
            "a.".repeat(100_000)
        ),
    ] {
        assert_eq!(load_text(text.as_bytes()), Ok(()));
    }
}
