//! `anomalyd queue`: what waits for a broker, checked and repaired without the service.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::counted;
use super::print::{print, print_json};
use crate::config::{self, DEFAULT_PATH};
use crate::control::{Request, ask};
use crate::output::queue::{Class, Found, QUEUE, Queue};

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
    /// The folder of the service's state, instead of asking the configuration
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    state: Option<PathBuf>,
    /// The service's configuration, which says where its state is
    #[arg(long, value_name = "PATH", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// Root folder that full paths are taken from
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Where the queue is.
struct Place {
    queue: PathBuf,
    /// Of the service that may be using it.
    socket: Option<PathBuf>,
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
    let place = place(args)?;
    let found = look(&place)?;
    report(&place, &found, args.json, "")?;
    Ok(match found.iter().all(|(_, found, _)| found.damaged == 0) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(65),
    })
}

fn repair(args: &QueueArgs) -> anyhow::Result<ExitCode> {
    let place = place(args)?;
    let runs = |socket: &PathBuf| ask(socket, &Request::Status).is_ok();
    if place.socket.as_ref().is_some_and(runs) {
        bail!("the service runs and uses the queue; it has repaired it at its start");
    }
    let before = look(&place)?;
    // The limit is the service's business.
    Queue::open(&place.queue, u64::MAX)
        .with_context(|| format!("cannot repair {}", place.queue.display()))?;
    let note = match before.iter().any(|(_, found, _)| found.damaged > 0) {
        true => "repaired; the damaged files are beside them as ….bad-1 and so on\n",
        false => "nothing to repair\n",
    };
    report(&place, &look(&place)?, args.json, note)?;
    Ok(ExitCode::SUCCESS)
}

fn look(place: &Place) -> anyhow::Result<Vec<(Class, Found, usize)>> {
    if !place.queue.is_dir() {
        return Ok(Vec::new());
    }
    Queue::check(&place.queue).with_context(|| {
        format!(
            "cannot read {}; as root, or as the user that the service runs as, it may be",
            place.queue.display()
        )
    })
}

fn report(
    place: &Place,
    found: &[(Class, Found, usize)],
    json: bool,
    note: &str,
) -> anyhow::Result<()> {
    if json {
        let class = |(class, found, waiting): &(Class, Found, usize)| {
            let value = serde_json::json!({
                "waiting": waiting,
                "files": found.files,
                "damaged_files": found.damaged,
                "damaged_bytes": found.lost_bytes,
            });
            (class.name().to_owned(), value)
        };
        let classes: serde_json::Map<_, _> = found.iter().map(class).collect();
        return print_json(&classes);
    }
    let mut text = format!("{}\n", place.queue.display());
    if found.is_empty() {
        text.push_str("there is none: nothing ever waited\n");
    }
    for (class, found, waiting) in found {
        let damage = match found.damaged {
            0 => "sound".to_owned(),
            files => format!(
                "DAMAGED: {} bytes in {}",
                found.lost_bytes,
                counted(files, "file")
            ),
        };
        text.push_str(&format!(
            "{:<8} {} waiting in {}, {damage}\n",
            class.name(),
            counted(*waiting, "message"),
            counted(found.files, "file"),
        ));
    }
    text.push_str(note);
    print(text)
}

fn place(args: &QueueArgs) -> anyhow::Result<Place> {
    if let Some(state) = &args.state {
        return Ok(Place {
            queue: state.join(QUEUE),
            socket: None,
        });
    }
    let (settings, _) = config::load(&args.config, &args.root)?;
    Ok(Place {
        queue: settings.state_directory.join(QUEUE),
        socket: Some(settings.control_socket),
    })
}
