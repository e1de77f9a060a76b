//! `anomalyd model install`: a model from elsewhere judges from now on, once it is verified here. May
//! import everything.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::rollback::{Place, what_the_service_does};
use crate::cli::print::print;
use crate::control::{Request, ask};

#[derive(Debug, Args)]
pub struct InstallArgs {
    /// The model file; it stays where it is
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    place: Place,
}

/// # Errors
/// The file cannot be read, it does not verify here, or the folder cannot be written.
pub fn run(args: &InstallArgs) -> anyhow::Result<()> {
    let (store, socket) = args.place.open()?;
    let candidate = store.candidate();
    fs::copy(&args.model, &candidate)
        .and_then(|_| fs::File::open(&candidate)?.sync_all())
        .with_context(|| format!("{}", args.model.display()))?;
    let installed = store.install(&candidate)?;
    let kept = match &installed.before {
        Some(before) => format!("; {before} is kept as the previous one"),
        None => String::new(),
    };
    print(format_args!(
        "model {} is in force{kept}\n\
         verified   {} golden vectors on engine {}\n",
        installed.model, installed.vectors, installed.engine,
    ))?;
    let told = socket.map(|socket| ask(&socket, &Request::Reload));
    print(format_args!("{}\n", what_the_service_does(told.as_ref())))
}
