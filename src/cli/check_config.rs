//! `anomalyd check-config`: every mistake of the configuration with its file, line and key.
//!
//! Imports `config` only; what is in a model file is asked of the caller.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::print::{print, print_json};
use crate::config::{self, Mistake, Settings};

const AFTER_HELP: &str = "\
Exit status: 0 without errors (warnings do not count), 78 with errors. Example:
  anomalyd check-config --config ./anomalyd.toml";

#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct CheckConfigArgs {
    /// The configuration file; its drop-ins are in the folder of the same name with .d at the end
    #[arg(long, value_name = "PATH", default_value = config::DEFAULT_PATH)]
    pub config: PathBuf,
    /// Root folder of another system, such as an image, to check
    #[arg(long, value_name = "FOLDER", default_value = "/")]
    pub root: PathBuf,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
}

/// Gives the names of a model file's sensors, in its order, or says why it cannot be loaded.
pub type SensorsOf<'a> = &'a dyn Fn(&Path) -> Result<Vec<String>, String>;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub ok: bool,
    /// As it was given.
    pub config: String,
    /// Sources that are switched on; `None` when there are errors.
    pub sources: Option<usize>,
    /// The model's sensors, or without a model those with a topic, where all come over MQTT.
    pub sensors: Option<usize>,
    pub mistakes: Vec<Mistake>,
}

/// Checks a configuration, and against its model where that is there.
pub fn check(args: &CheckConfigArgs, sensors_of: SensorsOf<'_>) -> Report {
    let (settings, mut mistakes) = match config::load(&args.config, &args.root) {
        Ok((settings, warnings)) => (Some(settings), warnings),
        Err(error) => (None, error.mistakes),
    };
    let mut sensors = settings.as_ref().and_then(topics);
    if let Some(settings) = settings.as_ref().filter(|settings| settings.model.exists()) {
        match sensors_of(&settings.model) {
            Ok(names) => {
                mistakes.extend(config::check_against_model(settings, &names));
                config::sort(&mut mistakes, &settings.files);
                sensors = Some(names.len());
            }
            Err(reason) => mistakes.push(Mistake {
                line: settings.model_place.as_ref().map(|place| place.line),
                key: "model".into(),
                ..Mistake::of_file(model_file(settings, args), reason)
            }),
        }
    }
    Report {
        ok: !mistakes.iter().any(Mistake::is_error),
        config: args.config.display().to_string(),
        sources: settings.map(|settings| settings.sources.len()),
        sensors,
        mistakes,
    }
}

fn model_file<'a>(settings: &'a Settings, args: &'a CheckConfigArgs) -> &'a Path {
    match &settings.model_place {
        Some(place) => &place.file,
        None => &args.config,
    }
}

/// How many sensors have a topic or register; other sources do not say beforehand what they give.
fn topics(settings: &Settings) -> Option<usize> {
    settings.sources.iter().try_fold(0, |count, source| {
        Some(count + source.named_sensors()?.len())
    })
}

/// The mistakes, one a line, and a last line that sums up.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            writeln!(f, "{mistake}")?;
        }
        let errors = self.mistakes.iter().filter(|one| one.is_error()).count();
        let warnings = self.mistakes.len() - errors;
        let mut parts = Vec::new();
        if self.ok {
            parts.extend(self.sources.map(|count| counted(count, "source")));
            parts.extend(self.sensors.map(|count| counted(count, "sensor")));
        } else {
            parts.push(counted(errors, "mistake"));
        }
        if warnings > 0 {
            parts.push(counted(warnings, "warning"));
        }
        let parts = parts.join(", ");
        if self.ok {
            writeln!(f, "{}: ok ({parts})", self.config)
        } else {
            writeln!(f, "{}: {parts}", self.config)
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Prints the report.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &CheckConfigArgs, sensors_of: SensorsOf<'_>) -> anyhow::Result<ExitCode> {
    let report = check(args, sensors_of);
    if args.json {
        print_json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(config::EXIT_STATUS)
    })
}
