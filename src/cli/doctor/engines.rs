//! The model, and the engines that run it. Imports `config`, `health`, `model`,
//! `pipeline` and `engine`.

use std::path::Path;
use std::time::Duration;

use super::Check;
use crate::cli::print::few;
use crate::config::{self, EngineChoice as Choice, Settings};
use crate::engine::torch::locate::{PACKAGED, VARIABLE};
use crate::engine::torch::{self, TorchConfig};
use crate::health::tree;
use crate::model::{ModelFile, Network};
use crate::pipeline::{EngineChoice, open_engine};

const MODEL: &str = "model";
const GOLDEN: &str = "golden vectors";
const WORKER: &str = "torch worker";
/// libtorch takes seconds to start from an SD card.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn checks(root: &Path, settings: &Settings) -> Vec<Check> {
    if !settings.model.exists() {
        return vec![absent(settings), worker(root, settings, None)];
    }
    match ModelFile::load(&settings.model) {
        Ok(model) => vec![
            fits(settings, &model),
            golden(&model),
            worker(root, settings, Some(&model)),
        ],
        Err(error) => {
            let remedy = "replace it with a good copy, or train again";
            let check = Check::fail(MODEL, error.to_string(), remedy);
            vec![check, worker(root, settings, None)]
        }
    }
}

fn absent(settings: &Settings) -> Check {
    let shown = settings.model.display();
    match &settings.model_place {
        Some(place) => Check::fail(
            MODEL,
            format!("{place}: {shown} is not there"),
            "copy it there, or take the key `model` out: the service then learns one",
        ),
        None => Check::skip(MODEL, "none yet: the service learns one"),
    }
}

fn fits(settings: &Settings, model: &ModelFile) -> Check {
    let manifest = &model.manifest;
    let names = manifest.sensor_names();
    let mistakes = config::check_against_model(settings, &names);
    match mistakes.iter().find(|mistake| mistake.is_error()) {
        Some(mistake) => Check::fail(
            MODEL,
            format!("not of this configuration: {}", mistake.message),
            format!("its sensors are {}; correct either", few(&names)),
        ),
        None => {
            let sensors = crate::cli::counted(names.len(), "sensor");
            let title = format!("{} {}, {sensors}", manifest.name, manifest.version);
            match mistakes.first() {
                Some(first) => Check::ok(MODEL, format!("{title}; warning: {}", first.message)),
                None => Check::ok(MODEL, title),
            }
        }
    }
}

fn golden(model: &ModelFile) -> Check {
    if let Network::Foreign { class } = &model.network {
        let text = format!("the native engine does not know the module {class}");
        return Check::skip(GOLDEN, text);
    }
    match open_engine(model, EngineChoice::Native, &TorchConfig::default()) {
        Ok((_, agreement)) => Check::ok(
            GOLDEN,
            format!(
                "{} reproduced on engine native, off by {:.0e} at most",
                agreement.vectors,
                agreement.largest()
            ),
        ),
        Err(error) => {
            let remedy = "train again on this machine if the file is a good copy";
            Check::fail(GOLDEN, error.to_string(), remedy)
        }
    }
}

fn worker(root: &Path, settings: &Settings, model: Option<&ModelFile>) -> Check {
    let foreign = model.is_some_and(|model| matches!(model.network, Network::Foreign { .. }));
    let needed = settings.engine == Choice::Torch || foreign;
    let named = settings.torch_worker.as_deref();
    let install = "install the package anomalyd-torch";
    let elsewhere =
        root != Path::new("/") && std::env::var_os(VARIABLE).is_none_or(|v| v.is_empty());
    // A search would find this machine's, not that of the other root.
    let program = if elsewhere && named.is_none() {
        let packaged = tree::below(root, PACKAGED);
        if packaged.is_file() {
            return Check::skip(WORKER, "there, and not tried below another root");
        }
        Err(format!("not installed ({})", packaged.display()))
    } else {
        torch::locate(named).map_err(|error| error.to_string())
    };
    let program = match program {
        Ok(program) => program,
        Err(reason) if needed || named.is_some() => return Check::fail(WORKER, reason, install),
        Err(_) => return Check::skip(WORKER, "not installed; the native engine does without"),
    };
    let Some(model) = model else {
        let text = format!(
            "{} is there, and needs a model to be tried",
            program.display()
        );
        return Check::skip(WORKER, text);
    };
    let config = TorchConfig {
        worker: Some(program),
        load_timeout: PATIENCE,
        timeout: PATIENCE,
        ..TorchConfig::default()
    };
    match open_engine(model, EngineChoice::Torch, &config) {
        Ok((_, agreement)) => Check::ok(
            WORKER,
            format!("starts, {} golden vectors reproduced", agreement.vectors),
        ),
        Err(error) => Check::fail(
            WORKER,
            error.to_string(),
            "install it again; until then set engine = \"native\"",
        ),
    }
}
