//! `anomalyd explain`: what an alarm was about, long after it was told.
//!
//! Reads the service's `alarms.jsonl`; neither the service nor the model is needed.

mod text;

use anyhow::{Context, bail};
use clap::Args;

use super::print::{print, print_json};
use super::state_folder::StateArgs;
use crate::alarm::AlarmRecord;
use crate::state::{ALARMS, AlarmLog};

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
    #[command(flatten)]
    state: StateArgs,
    /// One JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// # Errors
/// There is no such alarm, or the state cannot be read.
pub fn run(args: &ExplainArgs) -> anyhow::Result<()> {
    let path = args.state.likely()?.folder.join(ALARMS);
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

fn latest(records: &[AlarmRecord]) -> String {
    let newest = records.iter().rev().take(NAMED);
    let ids: Vec<&str> = newest.map(|record| record.id.as_str()).collect();
    match ids.as_slice() {
        [] => "no alarm was kept there yet; is it the folder of the service? (--state)".to_owned(),
        ids => format!("the latest are {}", ids.join(", ")),
    }
}
