//! What came of the file, in words: for the card, the journal and the terminal. No value of a secret
//! key is ever in it. Imports `config` and `check`.

use std::fmt::{self, Write};
use std::path::Path;

use super::check::Checked;
use super::{FILE, RESULT};
use crate::config::appliance::ApplianceSettings;
use crate::config::{Listen, Mistake, Settings, SourceSettings};

/// More would only be scrolled past.
const SHOWN: usize = 50;

#[derive(Debug, Clone)]
pub struct Report {
    /// The file on the card.
    pub text: String,
    /// One line for the journal.
    pub line: String,
    /// What the user may want to look at, a line each.
    pub warnings: Vec<String>,
}

impl Report {
    /// `believable` is whether the clock is set.
    pub fn taken_over(checked: &Checked, believable: bool) -> Report {
        let mut text = format!("{FILE} was taken over.\n{}\n\n", date(believable));
        let mut row = |what: &str, value: &dyn fmt::Display| {
            let _ = writeln!(text, "{what:<11} {value}");
        };
        match &checked.appliance {
            Some(appliance) => {
                row("Host name", &appliance.hostname);
                row("Network", &network(appliance));
                row("Time", &time(appliance));
                row("SSH", &ssh(appliance));
            }
            None => row("Machine", &"as it was, for the file has no [appliance]"),
        }
        match &checked.settings {
            Some(settings) => {
                row("Reads", &sources(settings));
                row("Model", &model(settings, checked));
            }
            None => row("Service", &"as it was, for the file has no key of it"),
        }
        for file in &checked.files {
            row(
                "File",
                &format_args!("{} is now {}", file.name, file.target.display()),
            );
        }
        let warnings: Vec<String> = checked.warnings.iter().map(Mistake::to_string).collect();
        if !warnings.is_empty() {
            text.push_str("\nNothing is wrong, but look at this:\n");
            list(&mut text, &warnings);
        }
        if let Some(appliance) = &checked.appliance
            && !appliance.ssh_keys.is_empty()
        {
            let _ = writeln!(text, "\nTo log in: {}", login(appliance));
        }
        let _ = write!(
            text,
            "\n{FILE} and the files it names were overwritten on this card and removed.\n\
             To change something, put a new {FILE} here and start the appliance again.\n",
        );
        Report {
            text,
            line: format!("{FILE} of the card was taken over{}", told(checked)),
            warnings,
        }
    }

    /// A file that is wrong in these places.
    pub fn mistakes(mistakes: &[Mistake]) -> Report {
        let errors = mistakes.iter().filter(|one| one.is_error());
        let first = errors
            .clone()
            .next()
            .map(Mistake::to_string)
            .unwrap_or_default();
        let more = match errors.count().saturating_sub(1) {
            0 => String::new(),
            more => format!(" (and {more} more, in {RESULT} on the card)"),
        };
        let lines: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        refused(&lines, "Correct it", format!("{first}{more}"))
    }

    /// A file that is no text of a configuration.
    pub fn unreadable(line: Option<usize>, why: String) -> Report {
        Report::mistakes(&[Mistake {
            line,
            ..Mistake::of_file(Path::new(FILE), why)
        }])
    }

    /// A file that may be right, but cannot be put in force.
    pub fn failed(why: &str) -> Report {
        Report {
            text: format!(
                "{FILE} could NOT be taken over.\n\n  {why}\n\n\
                 The next start of the appliance tries it again. The file is still on this card, with \
                 every password that is in it.\n"
            ),
            line: format!("{FILE} of the card could not be taken over: {why}"),
            warnings: Vec::new(),
        }
    }

    /// A file that was probably meant, but is called otherwise.
    pub fn other_name(name: &str) -> Report {
        let why = format!(
            "{}: is not read, for its name is not {FILE}; rename it (Windows hides the end of a name: \
             in the Explorer, View, Show, File name extensions)",
            name.escape_debug()
        );
        refused(std::slice::from_ref(&why), "Rename it", why.clone())
    }
}

fn refused(lines: &[String], remedy: &str, line: String) -> Report {
    // Without a date: as long as nothing changes, the card is not written again.
    let mut text = format!("{FILE} was NOT taken over, and nothing was changed.\n\n");
    list(&mut text, lines);
    let _ = write!(
        text,
        "\n{remedy} and start the appliance again. Until then it runs as before.\n\
         The file is still on this card, with every password that is in it.\n"
    );
    Report {
        text,
        line: format!("{FILE} of the card was refused: {line}"),
        warnings: Vec::new(),
    }
}

fn list(text: &mut String, lines: &[String]) {
    for line in lines.iter().take(SHOWN) {
        let _ = writeln!(text, "  {line}");
    }
    if let Some(more @ 1..) = lines.len().checked_sub(SHOWN) {
        let _ = writeln!(text, "  and {more} more");
    }
}

fn date(believable: bool) -> String {
    if believable {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M");
        format!("Date: {now} UTC, by the appliance's clock")
    } else {
        "Date: not known, for the appliance's clock is not set yet".to_owned()
    }
}

/// The machine's part, for one line.
fn told(checked: &Checked) -> String {
    match &checked.appliance {
        Some(appliance) => format!(
            ": host name {}, {}, SSH {}",
            appliance.hostname,
            network(appliance),
            ssh(appliance)
        ),
        None => String::new(),
    }
}

fn network(appliance: &ApplianceSettings) -> String {
    let mut text = match &appliance.address {
        None => "address from DHCP".to_owned(),
        Some(fixed) => {
            let gateway = fixed.gateway.map(|ip| format!(", gateway {ip}"));
            format!(
                "{}/{}{}",
                fixed.address,
                fixed.prefix,
                gateway.unwrap_or_default()
            )
        }
    };
    if !appliance.dns.is_empty() {
        let servers: Vec<String> = appliance.dns.iter().map(ToString::to_string).collect();
        let _ = write!(text, ", name servers {}", servers.join(" "));
    }
    text
}

fn time(appliance: &ApplianceSettings) -> String {
    let servers = match appliance.ntp.as_slice() {
        [] => "from the system's servers".to_owned(),
        servers => format!("from {}", servers.join(" ")),
    };
    let zone = appliance.timezone.as_deref().unwrap_or("UTC");
    format!("{servers}, time zone {zone}")
}

/// Public keys are no secret; their ends say whose they are.
fn ssh(appliance: &ApplianceSettings) -> String {
    let whose = |key: &String| {
        let mut words = key.splitn(3, ' ').map(str::trim);
        let kind = words.next().unwrap_or_default().to_owned();
        match words.nth(1).filter(|comment| !comment.is_empty()) {
            Some(comment) => format!("{kind} {comment}"),
            None => kind,
        }
    };
    match appliance.ssh_keys.as_slice() {
        [] => "off, for there is no key".to_owned(),
        [key] => format!("for root with the key {}", whose(key)),
        keys => {
            let keys: Vec<String> = keys.iter().map(whose).collect();
            format!("for root with {} keys: {}", keys.len(), keys.join("; "))
        }
    }
}

fn login(appliance: &ApplianceSettings) -> String {
    match &appliance.address {
        Some(fixed) => format!("ssh root@{}", fixed.address),
        None => format!(
            "ssh root@{} (or root@ and the address that your router gave it)",
            appliance.hostname
        ),
    }
}

fn sources(settings: &Settings) -> String {
    let sources = settings.sources.iter().map(|source| match source {
        SourceSettings::Mqtt(mqtt) => {
            let topics = mqtt.topics.len();
            let plural = if topics == 1 { "" } else { "s" };
            let broker = &mqtt.broker;
            format!(
                "MQTT {}:{}, {topics} topic{plural}",
                broker.host, broker.port
            )
        }
        SourceSettings::Ndjson(ndjson) => match &ndjson.listen {
            Listen::Stdin => "standard input".to_owned(),
            Listen::Socket(_) => "a Unix socket".to_owned(),
        },
        SourceSettings::Csv(_) => "a CSV file".to_owned(),
        SourceSettings::Modbus(modbus) => format!("Modbus {}:{}", modbus.host, modbus.port),
        SourceSettings::Simulator(_) => "the built-in simulator".to_owned(),
    });
    sources.collect::<Vec<_>>().join("; ")
}

fn model(settings: &Settings, checked: &Checked) -> String {
    match checked.model_sensors {
        Some(sensors) => format!("verified, {sensors} sensors"),
        None if settings.learn_for.is_zero() => "none".to_owned(),
        None => format!(
            "none yet: one is learned from the first {}",
            humantime::format_duration(settings.learn_for)
        ),
    }
}
