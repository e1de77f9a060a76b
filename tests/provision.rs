//! The user's file on an appliance's card: taken over once, refused with its mistakes, and through it
//! all a power cut at any step. Folders stand for the card and for the machine's root.

// The allowance for tests in clippy.toml does not reach the helpers of an integration test.
#![allow(clippy::unwrap_used)]

#[path = "provision/machine.rs"]
mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anomalyd::appliance::{Outcome, Steps};
use anomalyd::cli::check_config::{self, CheckConfigArgs};
use anomalyd::config::appliance as table;
use anomalyd::config::key::documentation_row;
use machine::{
    KEY, Machine, REPOSITORY, SECRET, has_secret, prepared, sensors_of, taken_over, whole_file,
};

#[test]
fn a_whole_file_is_taken_over_and_nothing_of_it_stays_on_the_card() {
    let machine = prepared();
    let report = taken_over(machine.steps(&mut Steps::unlimited()));

    assert_eq!(machine.text("etc/hostname"), "plant-pi\n");
    let hosts = machine.text("etc/hosts");
    assert!(hosts.contains("127.0.1.1 plant-pi\n"), "{hosts}");
    let network = machine.text("etc/systemd/network/05-appliance.network");
    assert!(network.contains(
        "\nAddress=192.168.1.20/24\nGateway=192.168.1.1\nDNS=192.168.1.1\nDNS=9.9.9.9\n"
    ));
    let time = machine.text("etc/systemd/timesyncd.conf.d/60-appliance.conf");
    assert!(time.ends_with("[Time]\nNTP=192.168.1.1\n"), "{time}");
    let zone = fs::read_link(machine.path("etc/localtime")).unwrap();
    assert_eq!(zone, Path::new("/usr/share/zoneinfo/Europe/Berlin"));
    assert_eq!(
        machine.text("etc/ssh/authorized_keys/root"),
        format!("{KEY}\n")
    );
    assert_eq!(machine.mode("etc/ssh/authorized_keys/root"), 0o644);
    assert_eq!(
        machine.text("var/lib/anomalyd/models/plant.pt"),
        "model A B C"
    );
    assert_eq!(machine.text("etc/anomalyd/plant-ca.pem"), "certificate");
    assert_eq!(machine.mode("etc/anomalyd/second-password"), 0o640);

    // The service's own file: no [appliance], and every other line where the user has it.
    let written = machine.text("etc/anomalyd/anomalyd.toml");
    assert_eq!(machine.mode("etc/anomalyd/anomalyd.toml"), 0o640);
    let meant = whole_file().replace("'plant.pt'", "\"/var/lib/anomalyd/models/plant.pt\"");
    let meant = meant.trim_start_matches('\u{feff}');
    for (number, (written, meant)) in written.lines().zip(meant.lines()).enumerate() {
        let expected = if (3..14).contains(&number) { "" } else { meant };
        assert_eq!(written, expected, "line {}", number + 1);
    }
    assert_eq!(written.lines().count(), meant.lines().count());
    let args = CheckConfigArgs {
        config: "/etc/anomalyd/anomalyd.toml".into(),
        root: machine.path(""),
        json: false,
    };
    let checked = check_config::check(&args, &sensors_of);
    assert!(checked.ok && checked.mistakes.is_empty(), "{checked}");

    let mut names: Vec<_> = machine.snapshot("boot").into_keys().collect();
    names.sort();
    let left = ["boot/anomalyd-result.txt", "boot/autoboot.txt"].map(PathBuf::from);
    assert_eq!(names, left);
    let result = machine.result();
    for part in [
        "anomalyd.toml was taken over.\nDate: 2",
        "Host name   plant-pi\n",
        "Network     192.168.1.20/24, gateway 192.168.1.1, name servers 192.168.1.1 9.9.9.9\n",
        "Time        from 192.168.1.1, time zone Europe/Berlin\n",
        "SSH         for root with the key ssh-ed25519 me@laptop\n",
        "Reads       MQTT 192.168.1.10:8883, 2 topics; MQTT 192.168.1.11:1883, 1 topic\n",
        "Model       verified, 3 sensors\n",
        "File        plant-ca.pem is now /etc/anomalyd/plant-ca.pem\n",
        "To log in: ssh root@192.168.1.20\n",
    ] {
        assert!(result.contains(part), "{part:?} is not in\n{result}");
    }
    assert!(!has_secret(result.as_bytes()) && !has_secret(report.line.as_bytes()));
    assert_eq!(report.warnings, [""; 0]);
    // Nothing is left to do.
    assert!(matches!(
        machine.steps(&mut Steps::at_most(0)),
        Ok(Outcome::Nothing)
    ));
}

#[test]
fn the_program_takes_over_the_shipped_model_and_says_so() {
    let machine = Machine::new();
    let model = Path::new(REPOSITORY).join("models/demo.pt");
    fs::copy(model, machine.path("boot/demo.pt")).unwrap();
    machine.put(
        "boot/anomalyd.toml",
        "model = 'demo.pt'\n[source.simulator]\n[appliance]\nhostname = 'tank'\n",
    );
    let run = machine.run();
    let (out, err) = (
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr),
    );
    assert_eq!(run.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("Model       verified, 51 sensors"), "{out}");
    assert_eq!(out.trim_end(), machine.result());
    assert!(
        err.contains("provision: anomalyd.toml of the card was taken over: host name tank"),
        "{err}"
    );
    // A second run finds nothing and says nothing.
    let run = machine.run();
    assert_eq!(
        (run.status.code(), run.stdout.len(), run.stderr.len()),
        (Some(0), 0, 0)
    );
}

#[test]
fn the_program_refuses_a_damaged_model_on_its_line() {
    let machine = Machine::new();
    let model = Path::new(REPOSITORY).join("models/demo.pt");
    let mut bytes = fs::read(model).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    machine.put("boot/demo.pt", bytes);
    machine.put(
        "boot/anomalyd.toml",
        "\nmodel = 'demo.pt'\n[source.simulator]\n",
    );
    let before = machine.snapshot("etc");
    let run = machine.run();
    assert_eq!(run.status.code(), Some(78));
    assert!(
        machine.result().contains("\n  anomalyd.toml:2: model: "),
        "{}",
        machine.result()
    );
    assert_eq!(machine.snapshot("etc"), before);
    assert!(
        machine.has("boot/demo.pt") && machine.has("boot/anomalyd.toml") && !machine.has("var")
    );
}

#[test]
fn a_wrong_file_changes_nothing_and_names_line_key_and_remedy() {
    let source = "[source.simulator]\n";
    let mqtt = format!("[source.mqtt]\nhost = 'h'\nusername = 'u'\npassword = '{SECRET}'\n");
    let cases = [
        (
            format!("{mqtt}topic.A = 'a'\n"),
            "  anomalyd.toml:5: source.mqtt.topic: unknown key; did you mean \"topics\"?\n",
        ),
        (
            format!("[appliance]\nhostname = 'a b'\n\n{source}"),
            "  anomalyd.toml:2: appliance.hostname: \"a b\" is not a host name; use 1 to 63 of the",
        ),
        (
            format!("{source}[appliance]\nssh_key = '{KEY}'\n[alarm]\ntop_sensors = 9\n"),
            "  anomalyd.toml:3: appliance.ssh_key: unknown key; did you mean \"ssh_keys\"?\n  \
             anomalyd.toml:5: alarm.top_sensors: the number 9 is out of range",
        ),
        (
            format!("hostname = 'a'\n{source}"),
            "anomalyd.toml:1: hostname: unknown key here; it belongs to [appliance]\n",
        ),
        (
            format!("[appliance]\nhostname = 'a\n{source}"),
            "  anomalyd.toml:2: not TOML: ",
        ),
        (
            format!("[source.mqtt]\npassword = {SECRET}\n"),
            "  anomalyd.toml:2: not TOML: ",
        ),
        (
            format!("[source.mqtt]\npassword = \"{SECRET}\n"),
            "  anomalyd.toml:2: not TOML: ",
        ),
        (
            format!("[source.mqtt]\npassword {SECRET}\n"),
            "  anomalyd.toml:2: not TOML: ",
        ),
        (
            "[appliance]\n[source.mqtt]\nhost = 'h'\n".to_owned(),
            "  anomalyd.toml:2: source.mqtt.topics: missing; add topics",
        ),
        (
            "# nothing\n".to_owned(),
            "  anomalyd.toml: says nothing: it has neither a source nor [appliance]\n",
        ),
        (
            format!("\nmodel = 'absent.pt'\n{source}"),
            "  anomalyd.toml:2: model: \"absent.pt\" is not on the card; copy it there, next to anomalyd.toml\n",
        ),
        (
            format!("model = 'no-model.pt'\n{source}"),
            "  anomalyd.toml:1: model: is not a model\n",
        ),
        (
            format!("{mqtt}topics.A = 'a'\ntls = true\nca_file = 'certs/ca.pem'\n"),
            "  anomalyd.toml:7: source.mqtt.ca_file: \"certs/ca.pem\" is neither a full path nor a name alone",
        ),
        (
            format!("model = 'autoboot.txt'\n{source}"),
            "  anomalyd.toml:1: model: \"autoboot.txt\" is another file",
        ),
        (
            format!(
                "[source.mqtt]\nhost = 'h'\nusername = 'u'\npassword = [ '{SECRET}' ]\ntopics.A = 'a'\n"
            ),
            "  anomalyd.toml:4: source.mqtt.password: expected the password in quotes; what is there is not shown\n",
        ),
    ];
    for (text, expected) in cases {
        let machine = Machine::new();
        machine.put("boot/anomalyd.toml", &text);
        machine.put("boot/no-model.pt", "xxxxx");
        let before = (machine.snapshot("etc"), machine.snapshot("boot"));
        let Ok(Outcome::Refused(report, None)) = machine.steps(&mut Steps::unlimited()) else {
            panic!("{text} was taken");
        };
        let result = machine.result();
        assert!(result.contains(expected), "{text}\n{result}");
        assert!(
            result.contains("NOT taken over, and nothing was changed"),
            "{result}"
        );
        assert!(result.contains("with every password"), "{result}");
        assert!(
            !has_secret(result.as_bytes()) && !has_secret(report.line.as_bytes()),
            "{result}"
        );
        fs::remove_file(machine.path("boot/anomalyd-result.txt")).unwrap();
        assert_eq!(
            (machine.snapshot("etc"), machine.snapshot("boot")),
            before,
            "{text}"
        );
        assert!(!machine.has("var"));
    }
}

#[test]
fn what_is_no_configuration_is_told_as_it_is() {
    let file = |name: &str, content: &[u8]| {
        let machine = Machine::new();
        machine.put(&format!("boot/{name}"), content);
        machine
    };
    let folder = Machine::new();
    fs::create_dir(folder.path("boot/anomalyd.toml")).unwrap();
    let cases = [
        (
            file("anomalyd.toml.txt", b"x"),
            "  anomalyd.toml.txt: is not read, for its name is not anomalyd.toml; rename it (Windows",
        ),
        (file("anomalyd.toml", b""), "  anomalyd.toml: is empty"),
        (
            file("anomalyd.toml", &[0; 900]),
            "  anomalyd.toml: holds nothing but zeros",
        ),
        (
            file("anomalyd.toml", b"a = 1\nname = 'S\xfcd'\n"),
            "  anomalyd.toml:2: is not UTF-8; save it in the encoding UTF-8",
        ),
        (
            file("anomalyd.toml", &[b' '; (1 << 20) + 1]),
            "  anomalyd.toml: is larger than 1 MiB",
        ),
        (
            file("anomalyd.toml", &[0xff, 0xfe, b'a']),
            "  anomalyd.toml: begins as UTF-16",
        ),
        (folder, "  anomalyd.toml: is a folder"),
    ];
    for (machine, expected) in cases {
        let before = machine.snapshot("etc");
        let run = machine.run();
        assert_eq!(run.status.code(), Some(78), "{expected}");
        let result = machine.result();
        assert!(result.contains(expected), "{expected}\n{result}");
        assert_eq!(machine.snapshot("etc"), before);
        let told = String::from_utf8_lossy(&run.stderr).into_owned();
        let line = told
            .lines()
            .find(|line| line.contains("was refused: anomalyd.toml"));
        assert!(line.is_some(), "{told}");
    }
}

#[test]
fn utf_16_and_another_case_of_the_name_are_taken_as_they_are() {
    let machine = Machine::new();
    let text = "\u{feff}name = 'Süd'\r\n[source.simulator]\r\n";
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    machine.put("boot/Anomalyd.TOML", bytes);
    let report = taken_over(machine.steps(&mut Steps::unlimited()));
    assert_eq!(
        machine.text("etc/anomalyd/anomalyd.toml"),
        "name = 'Süd'\n[source.simulator]\n"
    );
    assert!(!machine.has("boot/Anomalyd.TOML"));
    // A model is learned: said, and nothing to look at.
    assert_eq!(report.warnings, [""; 0]);
    assert!(
        machine
            .result()
            .contains("Model       none yet: one is learned from the first 1day")
    );
    // The machine was not spoken of.
    assert_eq!(machine.text("etc/hostname"), "anomalyd\n");
    assert!(
        machine
            .result()
            .contains("Machine     as it was, for the file has no [appliance]")
    );
    assert!(!machine.has("etc/systemd") && !machine.has("etc/ssh"));
}

#[test]
fn without_a_file_nothing_is_written() {
    let machine = Machine::new();
    let before = machine.snapshot("");
    assert!(matches!(
        machine.steps(&mut Steps::at_most(0)),
        Ok(Outcome::Nothing)
    ));
    assert_eq!(machine.run().status.code(), Some(0));
    assert_eq!(machine.snapshot(""), before);
}

#[test]
fn the_machine_alone_can_be_told_and_a_later_file_takes_back_what_it_does_not_say() {
    let machine = prepared();
    taken_over(machine.steps(&mut Steps::unlimited()));
    let service = machine.text("etc/anomalyd/anomalyd.toml");
    machine.put("boot/anomalyd.toml", "[appliance]\nhostname = 'other'\n");
    taken_over(machine.steps(&mut Steps::unlimited()));
    assert_eq!(machine.text("etc/hostname"), "other\n");
    assert_eq!(machine.text("etc/anomalyd/anomalyd.toml"), service);
    for gone in [
        "etc/systemd/network/05-appliance.network",
        "etc/systemd/timesyncd.conf.d/60-appliance.conf",
        "etc/localtime",
        "etc/ssh/authorized_keys/root",
    ] {
        assert!(!machine.has(gone), "{gone}");
    }
    let result = machine.result();
    assert!(result.contains("Service     as it was"), "{result}");
    assert!(
        result.contains("SSH         off, for there is no key"),
        "{result}"
    );
    assert!(!result.contains("To log in"), "{result}");
}

#[test]
fn a_file_that_was_taken_over_before_need_not_be_on_the_card_again() {
    let machine = prepared();
    taken_over(machine.steps(&mut Steps::unlimited()));
    let before = machine.snapshot("etc/anomalyd");
    machine.put("boot/anomalyd.toml", whole_file());
    taken_over(machine.steps(&mut Steps::unlimited()));
    assert_eq!(machine.snapshot("etc/anomalyd"), before);
    assert_eq!(
        machine.text("var/lib/anomalyd/models/plant.pt"),
        "model A B C"
    );
}

#[test]
fn a_power_cut_after_any_step_ends_as_without_one() {
    let whole = prepared();
    taken_over(whole.steps(&mut Steps::unlimited()));
    let undated = |machine: &Machine| {
        let mut files = machine.snapshot("");
        let result = files
            .remove(Path::new("boot/anomalyd-result.txt"))
            .unwrap()
            .1;
        let result = String::from_utf8(result).unwrap();
        let lines: Vec<String> = result
            .lines()
            .filter(|l| !l.starts_with("Date: "))
            .map(str::to_owned)
            .collect();
        (files, lines)
    };
    let expected = undated(&whole);
    let mut cuts = 0;
    loop {
        let machine = prepared();
        let old = machine.snapshot("etc");
        let cut = machine.steps(&mut Steps::at_most(cuts));
        if matches!(cut, Ok(Outcome::TakenOver(_, None))) {
            break;
        }
        // Each file is the old one or the new one, never half of one.
        for (path, content) in machine.snapshot("etc") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let new = expected.0.get(&path) == Some(&content) || old.get(&path) == Some(&content);
            assert!(
                new || (name.starts_with('.') && name.ends_with(".new")),
                "{cuts}: {path:?}"
            );
        }
        // The user's word is in force, or still on the card.
        let on_card =
            fs::read(machine.path("boot/anomalyd.toml")).is_ok_and(|bytes| has_secret(&bytes));
        let in_force = machine
            .snapshot("etc")
            .into_iter()
            .all(|(path, content)| expected.0.get(&path) == Some(&content));
        assert!(on_card || in_force, "{cuts}");
        // And again, cut once more in the same place, and then let to its end.
        let _ = machine.steps(&mut Steps::at_most(cuts / 2));
        let last = machine.steps(&mut Steps::unlimited());
        assert!(
            matches!(
                last,
                Ok(Outcome::TakenOver(_, None) | Outcome::Removed | Outcome::Nothing)
            ),
            "{cuts}: {last:?}"
        );
        assert_eq!(undated(&machine), expected, "{cuts}");
        assert!(
            machine
                .snapshot("boot")
                .values()
                .all(|(_, bytes)| !has_secret(bytes))
        );
        cuts += 1;
    }
    assert!(cuts > 20, "only {cuts} steps");
}

#[test]
fn a_card_that_cannot_tell_is_no_reason_not_to_take_over() {
    let machine = prepared();
    // A folder in the result's place.
    fs::create_dir(machine.path("boot/anomalyd-result.txt")).unwrap();
    let outcome = machine.steps(&mut Steps::unlimited());
    let Ok(Outcome::TakenOver(_, Some(error))) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(
        error
            .to_string()
            .contains("anomalyd-result.txt: cannot be written"),
        "{error}"
    );
    assert_eq!(machine.text("etc/hostname"), "plant-pi\n");
    // It stays, and is taken over again, which changes nothing.
    assert!(machine.has("boot/anomalyd.toml"));
    let before = machine.snapshot("etc");
    assert!(matches!(
        machine.steps(&mut Steps::unlimited()),
        Ok(Outcome::TakenOver(_, Some(_)))
    ));
    assert_eq!(machine.snapshot("etc"), before);
}

#[test]
fn a_machine_that_cannot_be_written_keeps_the_card_as_it_is() {
    let machine = prepared();
    // A file in the place of a folder.
    machine.put("etc/ssh", "");
    let boot = machine.snapshot("boot");
    let error = machine.steps(&mut Steps::unlimited()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("etc/ssh/authorized_keys/root: cannot be written"),
        "{error}"
    );
    let result = machine.result();
    assert!(
        result.contains("could NOT be taken over")
            && result.contains("etc/ssh/authorized_keys/root"),
        "{result}"
    );
    fs::remove_file(machine.path("boot/anomalyd-result.txt")).unwrap();
    assert_eq!(machine.snapshot("boot"), boot);
    fs::remove_file(machine.path("etc/ssh")).unwrap();
    taken_over(machine.steps(&mut Steps::unlimited()));
    // Without the service's user there is nobody to give the files to.
    let machine = prepared();
    machine.put("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
    let error = machine.steps(&mut Steps::unlimited()).unwrap_err();
    assert!(
        error.to_string().contains("is the service installed"),
        "{error}"
    );
}

#[test]
fn a_refusal_is_written_once() {
    let machine = Machine::new();
    machine.put("boot/anomalyd.toml", "nonsense = 1\n");
    assert!(matches!(
        machine.steps(&mut Steps::at_most(1)),
        Ok(Outcome::Refused(_, None))
    ));
    assert!(matches!(
        machine.steps(&mut Steps::at_most(0)),
        Ok(Outcome::Refused(_, None))
    ));
    // A card that cannot be written is told in the journal alone.
    machine.put("boot/anomalyd.toml", "nonsense = 2\nmore = 1\n");
    assert!(matches!(
        machine.steps(&mut Steps::at_most(0)),
        Ok(Outcome::Refused(_, Some(_)))
    ));
}

#[test]
fn a_drop_in_of_the_machine_is_checked_with_the_file() {
    let machine = Machine::new();
    machine.put(
        "etc/anomalyd/anomalyd.toml.d/10-mine.toml",
        "nonsense = 1\n",
    );
    machine.put("boot/anomalyd.toml", "[source.simulator]\n");
    let Ok(Outcome::Refused(report, None)) = machine.steps(&mut Steps::unlimited()) else {
        panic!("was taken");
    };
    let named = "/etc/anomalyd/anomalyd.toml.d/10-mine.toml:1: nonsense: unknown key";
    assert!(report.line.contains(named), "{}", report.line);
}

#[test]
fn the_documentation_lists_every_key_as_the_program_knows_it() {
    let path = Path::new(REPOSITORY).join("docs/appliance-provisioning.md");
    let documentation = fs::read_to_string(path).unwrap();
    let start = format!("| `{}.", table::TABLE);
    let listed: Vec<&str> = documentation
        .lines()
        .filter(|line| line.starts_with(&start))
        .collect();
    let known: Vec<String> = table::APPLIANCE
        .iter()
        .map(|key| documentation_row(&format!("{}.{}", table::TABLE, key.name), key))
        .collect();
    assert_eq!(listed, known);
}

/// The example of the documentation, with a key and a model that exist.
#[test]
fn the_example_of_the_documentation_is_taken_over() {
    let path = Path::new(REPOSITORY).join("docs/appliance-provisioning.md");
    let documentation = fs::read_to_string(path).unwrap();
    let (_, example) = documentation.split_once("```toml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let machine = Machine::new();
    machine.put(
        "boot/anomalyd.toml",
        example.replace("ssh-ed25519 AAAA… me@laptop", KEY),
    );
    machine.put("boot/plant.pt", "model LIT101");
    machine.put("boot/mqtt-password", SECRET);
    let report = taken_over(machine.steps(&mut Steps::unlimited()));
    assert_eq!(report.warnings, [""; 0]);
    assert_eq!(machine.text("etc/anomalyd/mqtt-password"), SECRET);
}

#[test]
fn the_path_of_the_card_is_a_full_one() {
    let run = Command::new(env!("CARGO_BIN_EXE_anomalyd"))
        .args(["provision", "--boot", "boot"])
        .output()
        .unwrap();
    assert_eq!(run.status.code(), Some(2));
}
