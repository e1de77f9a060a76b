//! `anomalyd explain`: what an alarm was about, long after it was told.
//!
//! Reads the service's `alarms.jsonl`; neither the service nor the model is needed.

mod text;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::print::{print, print_json};
use crate::config::{self, DEFAULT_PATH};
use crate::state::{ALARMS, AlarmLog, AlarmRecord};

/// Where the service keeps its state unless the configuration says otherwise.
const DEFAULT_STATE: &str = "var/lib/anomalyd";
/// Ids named where one is unknown.
const NAMED: usize = 5;

const AFTER_HELP: &str = "\
Examples:
  anomalyd explain a7k2
  anomalyd explain --state ./state --json a7k2 | jq .sensors[0].expected";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ExplainArgs {
    /// The alarm's id, as in the journal (a7k2)
    #[arg(value_name = "ALARM_ID")]
    alarm: String,
    /// The folder of the service's state, instead of asking the configuration
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    state: Option<PathBuf>,
    /// The service's configuration, which says where its state is
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Root folder that full paths are taken from
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    root: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// # Errors
/// There is no such alarm, or the state cannot be read.
pub fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let folder = folder(args)?;
    let path = folder.join(ALARMS);
    let mut records = AlarmLog::read(&path)
        .context("as root, or as the user that the service runs as, it may be")?;
    let Some(place) = records.iter().rposition(|record| record.id == args.alarm) else {
        bail!(
            "there is no alarm {} in {}; {}",
            args.alarm,
            path.display(),
            latest(&records)
        );
    };
    let record = records.swap_remove(place);
    if args.json {
        let mut value = serde_json::to_value(&record).context("the alarm cannot be put in JSON")?;
        value["next"] = text::next_steps(&record)
            .into_iter()
            .map(|(command, _)| command)
            .collect();
        print_json(&value)
    } else {
        print(text::explanation(&record))
    }
}

fn folder(args: &ExplainArgs) -> anyhow::Result<PathBuf> {
    if let Some(folder) = &args.state {
        return Ok(folder.clone());
    }
    match &args.config {
        Some(config) => Ok(config::load(config, &args.root)?.0.state_directory),
        // The usual one may be unreadable for this user, or be wrong just now.
        None => Ok(match config::load(DEFAULT_PATH.as_ref(), &args.root) {
            Ok((settings, _)) => settings.state_directory,
            Err(_) => args.root.join(DEFAULT_STATE),
        }),
    }
}

fn latest(records: &[AlarmRecord]) -> String {
    let newest = records.iter().rev().take(NAMED);
    let ids: Vec<&str> = newest.map(|record| record.id.as_str()).collect();
    match ids.as_slice() {
        [] => "no alarm was kept there yet; is it the folder of the service? (--state)".to_owned(),
        ids => format!("the latest are {}", ids.join(", ")),
    }
}
