//! `anomalyd model rollback`: the previous model judges again. May import everything.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::failure::Usage;
use crate::cli::print::print;
use crate::config;
use crate::control::{Answer, ControlError, Request, ask};
use crate::engine::torch::TorchConfig;
use crate::learn::ModelStore;
use crate::learn::store::CURRENT;
use crate::pipeline::EngineChoice;

#[derive(Debug, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    place: Place,
}

/// Where the models are that a command changes.
#[derive(Debug, Args)]
pub struct Place {
    /// The configuration, which says where the models are
    #[arg(long, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
    /// The folder of the models, instead of the configuration's
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    models: Option<PathBuf>,
    /// The torch worker, for a model that needs it [default: beside this program, or on PATH]
    #[arg(long, value_name = "PROGRAM")]
    torch_worker: Option<PathBuf>,
}

impl Place {
    /// The models, and where the service listens that uses them.
    pub fn open(&self) -> anyhow::Result<(ModelStore, Option<PathBuf>)> {
        let (folder, socket) = match &self.models {
            Some(folder) => (folder.clone(), None),
            None => configured(&self.config)?,
        };
        if !folder.is_dir() {
            let folder = folder.display();
            return Err(Usage(format!("{folder} is not a folder of models")).into());
        }
        let torch = TorchConfig {
            worker: self.torch_worker.clone(),
            ..TorchConfig::default()
        };
        let store = ModelStore::open(&folder)?.on_engine(EngineChoice::Auto, torch);
        Ok((store, socket))
    }
}

/// # Errors
/// There is no previous model, it does not verify here, or the folder cannot be written.
pub fn run(args: &RollbackArgs) -> anyhow::Result<()> {
    let (store, socket) = args.place.open()?;
    let installed = store.rollback()?;
    let kept = match &installed.before {
        Some(before) => format!(", {before} is kept as the previous one"),
        None => String::new(),
    };
    print(format_args!(
        "model {} is in force again{kept}\n\
         verified   {} golden vectors on engine {}\n",
        installed.model, installed.vectors, installed.engine,
    ))?;
    let told = socket.map(|socket| ask(&socket, &Request::Reload));
    print(format_args!("{}\n", what_the_service_does(told.as_ref())))
}

pub fn what_the_service_does(told: Option<&Result<Answer, ControlError>>) -> String {
    match told {
        Some(Ok(answer)) => format!("service    {}", answer.text),
        Some(Err(ControlError::NotRunning { .. })) => {
            "service    does not run; it takes this model when it starts".to_owned()
        }
        Some(Err(error)) => {
            format!("service    was not told: {error}\nnext: systemctl reload anomalyd")
        }
        None => "next: systemctl reload anomalyd".to_owned(),
    }
}

/// The folder of the model that the configuration names, and where its service listens.
fn configured(path: &Path) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
    let (settings, _) = config::load(path, Path::new("/"))?;
    let model = &settings.model;
    let ours = model.file_name().is_some_and(|name| name == CURRENT);
    match model.parent() {
        Some(folder) if ours => Ok((folder.to_owned(), Some(settings.control_socket))),
        _ => Err(Usage(format!(
            "{} is a model of your own, of which no previous one is kept; set another one in {}",
            model.display(),
            path.display()
        ))
        .into()),
    }
}
