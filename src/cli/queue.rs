//! `anomalyd queue`: what waits for a broker or a collector, checked and repaired without the service.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::counted;
use super::print::{print, print_json};
use super::state_folder::{StateArgs, StatePlace};
use crate::control::{Request, ask};
use crate::output::queue::{Class, Found, QUEUE, QUEUE_OTLP, Queue};

const AFTER_HELP: &str = "\
The service does the same at its start; nothing has to be repaired by hand.

Exit status of check: 0 sound, 65 damaged.";

#[derive(Debug, Subcommand)]
pub enum QueueCommand {
    /// Say what waits in the queue, and whether its files are sound
    Check(QueueArgs),
    /// Set damaged files aside and keep what is whole; the service must be stopped
    Repair(QueueArgs),
}

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct QueueArgs {
    #[command(flatten)]
    state: StateArgs,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// What is in a queue, class by class; nothing where there is none.
struct Look {
    /// In the state folder.
    name: &'static str,
    folder: PathBuf,
    classes: Vec<(Class, Found, usize)>,
}

/// # Errors
/// The queue cannot be read, or the service that uses it runs.
pub fn run(command: QueueCommand) -> anyhow::Result<ExitCode> {
    match command {
        QueueCommand::Check(args) => check(&args),
        QueueCommand::Repair(args) => repair(&args),
    }
}

fn check(args: &QueueArgs) -> anyhow::Result<ExitCode> {
    let place = args.state.certain()?;
    let looks = look(&place)?;
    report(&looks, args.json, "")?;
    Ok(match damaged(&looks) {
        false => ExitCode::SUCCESS,
        true => ExitCode::from(65),
    })
}

fn repair(args: &QueueArgs) -> anyhow::Result<ExitCode> {
    let place = args.state.certain()?;
    let runs = |socket: &PathBuf| ask(socket, &Request::Status).is_ok();
    if place.socket.as_ref().is_some_and(runs) {
        bail!("the service runs and uses the queue; it has repaired it at its start");
    }
    let before = look(&place)?;
    for look in before.iter().filter(|look| !look.classes.is_empty()) {
        // The limit is the service's business.
        Queue::open(&look.folder, u64::MAX)
            .with_context(|| format!("cannot repair {}", look.folder.display()))?;
    }
    let note = match damaged(&before) {
        true => "repaired; the damaged files are beside them as ….bad-1 and so on\n",
        false => "nothing to repair\n",
    };
    report(&look(&place)?, args.json, note)?;
    Ok(ExitCode::SUCCESS)
}

fn damaged(looks: &[Look]) -> bool {
    let mut classes = looks.iter().flat_map(|look| &look.classes);
    classes.any(|(_, found, _)| found.damaged > 0)
}

/// The broker's queue, and the collector's where there is one.
fn look(place: &StatePlace) -> anyhow::Result<Vec<Look>> {
    let mut looks = Vec::new();
    for name in [QUEUE, QUEUE_OTLP] {
        let folder = place.folder.join(name);
        let classes = match folder.is_dir() {
            false if name != QUEUE => continue,
            false => Vec::new(),
            true => Queue::check(&folder).with_context(|| {
                format!(
                    "cannot read {}; as root, or as the user that the service runs as, it may be",
                    folder.display()
                )
            })?,
        };
        looks.push(Look {
            name,
            folder,
            classes,
        });
    }
    Ok(looks)
}

fn report(looks: &[Look], json: bool, note: &str) -> anyhow::Result<()> {
    if json {
        // The broker's classes stand alone, as they did when it was the only one.
        let mut all = serde_json::Map::new();
        for look in looks {
            let classes = look.classes.iter().map(class_json);
            match look.name {
                QUEUE => all.extend(classes),
                name => {
                    all.insert(name.to_owned(), classes.collect());
                }
            }
        }
        return print_json(&all);
    }
    let mut text = String::new();
    for look in looks {
        text.push_str(&format!("{}\n", look.folder.display()));
        if look.classes.is_empty() {
            text.push_str("there is none: nothing ever waited\n");
        }
        for class in &look.classes {
            text.push_str(&class_text(class));
        }
    }
    text.push_str(note);
    print(text)
}

fn class_json((class, found, waiting): &(Class, Found, usize)) -> (String, serde_json::Value) {
    let value = serde_json::json!({
        "waiting": waiting,
        "files": found.files,
        "damaged_files": found.damaged,
        "damaged_bytes": found.lost_bytes,
    });
    (class.name().to_owned(), value)
}

fn class_text((class, found, waiting): &(Class, Found, usize)) -> String {
    let damage = match found.damaged {
        0 => "sound".to_owned(),
        files => format!(
            "DAMAGED: {} bytes in {}",
            found.lost_bytes,
            counted(files, "file")
        ),
    };
    format!(
        "{:<8} {} waiting in {}, {damage}\n",
        class.name(),
        counted(*waiting, "message"),
        counted(found.files, "file"),
    )
}
