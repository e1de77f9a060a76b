//! The whole file checked before anything is done: the machine's table, the service's keys by the
//! service's own rules, and the files that they name. Imports `config` and sibling modules.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::card::{Card, is_wiped, read_at_most};
use super::references::{self, Kind, Reference};
use super::{FILE, Places, ProvisionError};
use crate::config::appliance::{self, ApplianceSettings};
use crate::config::{self, DEFAULT_PATH, Mistake, Settings};

/// Verifies a model file on this machine and names its sensors, or says what is wrong with it.
pub type ModelCheck<'a> = &'a dyn Fn(&Path) -> Result<Vec<String>, String>;

/// Names that are something else.
const TAKEN: [&str; 4] = [FILE, super::RESULT, "autoboot.txt", "read-me.txt"];

/// A file that is without an error.
#[derive(Debug)]
pub struct Checked {
    /// What the machine is told; `None` when the file says nothing of it.
    pub appliance: Option<ApplianceSettings>,
    /// What the service is to read, and what it makes of it; `None` when the file holds no key of it.
    pub service_text: Option<String>,
    pub settings: Option<Settings>,
    pub files: Vec<TakenFile>,
    /// How many sensors the model has.
    pub model_sensors: Option<usize>,
    pub warnings: Vec<Mistake>,
}

/// A file beside the user's that it names.
#[derive(Debug)]
pub struct TakenFile {
    pub kind: Kind,
    pub name: String,
    /// Where it is on the card, to be removed.
    pub card: Option<PathBuf>,
    /// `None` when it was taken over before.
    pub content: Option<Vec<u8>>,
    /// The full path in the system.
    pub target: PathBuf,
}

/// Checks the text of the user's file.
///
/// # Errors
/// A file on the card cannot be read. Inside: all mistakes, when there is an error among them.
pub fn check(
    text: &str,
    places: &Places,
    card: &Card,
    model_check: ModelCheck<'_>,
) -> Result<Result<Checked, Vec<Mistake>>, ProvisionError> {
    let halves = config::split(text, appliance::TABLE);
    let (appliance, mut mistakes) = appliance::read(&halves.table, Path::new(FILE));
    let says_nothing = DeTable::parse(&halves.rest).is_ok_and(|rest| rest.get_ref().is_empty());
    let mut checked = Checked {
        appliance,
        service_text: None,
        settings: None,
        files: Vec::new(),
        model_sensors: None,
        warnings: Vec::new(),
    };
    if says_nothing {
        if checked.appliance.is_none() && mistakes.is_empty() {
            let why = "says nothing: it has neither a source nor [appliance]";
            mistakes.push(Mistake::of_file(Path::new(FILE), why));
        }
    } else {
        check_service(
            &halves.rest,
            places,
            card,
            model_check,
            &mut checked,
            &mut mistakes,
        )?;
    }
    // Those of other files, drop-ins, come after those of the user's.
    mistakes.sort_by_key(|one| (one.file != Path::new(FILE), one.line.unwrap_or(usize::MAX)));
    if mistakes.iter().any(Mistake::is_error) {
        return Ok(Err(mistakes));
    }
    checked.warnings = mistakes;
    Ok(Ok(checked))
}

fn check_service(
    text: &str,
    places: &Places,
    card: &Card,
    model_check: ModelCheck<'_>,
    checked: &mut Checked,
    mistakes: &mut Vec<Mistake>,
) -> Result<(), ProvisionError> {
    let (mut to_check, mut to_keep) = (Vec::new(), Vec::new());
    // Where the configuration's own words would not fit: they are about files of the machine.
    let mut hidden = Vec::new();
    let mut model = None;
    for reference in references::find(text) {
        let found = match find_file(&reference, places, card)? {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(why) => {
                hidden.push((reference.key.clone(), reference.line));
                mistakes.push(of_reference(&reference, why));
                continue;
            }
        };
        let target = found.target.display().to_string();
        if reference.kind == Kind::Model {
            to_keep.push((reference.span.clone(), target.clone()));
        }
        if let (Some(path), Some(_)) = (&found.card, &found.content) {
            let on_card = places.boot.join(path.file_name().unwrap_or_default());
            to_check.push((reference.span.clone(), on_card.display().to_string()));
            match reference.kind {
                // It gets its mode when it is taken over.
                Kind::Password => hidden.push((reference.key.clone(), reference.line)),
                Kind::Model => model = Some((path.clone(), reference)),
                Kind::Certificate | Kind::Faults => {}
            }
        } else if reference.kind == Kind::Model {
            to_check.push((reference.span.clone(), target));
        }
        if !checked.files.iter().any(|file| file.target == found.target) {
            checked.files.push(found);
        }
    }
    let to_check = references::with_paths(text, &to_check);
    let mut theirs = match config::load_text(&to_check, Path::new(DEFAULT_PATH), &places.root) {
        Ok((settings, warnings)) => {
            checked.settings = Some(settings);
            warnings
        }
        Err(error) => error.mistakes,
    };
    theirs.retain(|one| {
        let at = |hidden: &(String, usize)| one.key == hidden.0 && one.line == Some(hidden.1);
        // The file is written for the service alone, so that others may not read the password.
        let readable = !one.is_error() && one.key.ends_with(".password");
        // The report says that a model is learned: nothing to look at.
        let learns = one.key == "model" && checked.settings.as_ref().is_some_and(no_model_is_meant);
        !readable && !learns && !hidden.iter().any(at)
    });
    // A model on the card is looked at even where the rest is wrong: one correction, not two.
    let sensors = match (&model, &checked.settings) {
        (Some((path, reference)), _) => {
            Some(model_check(path).map_err(|why| of_reference(reference, why)))
        }
        (None, Some(settings)) if settings.model.exists() => {
            Some(model_check(&settings.model).map_err(|why| Mistake {
                line: settings.model_place.as_ref().map(|place| place.line),
                key: "model".into(),
                ..Mistake::of_file(Path::new(FILE), why)
            }))
        }
        _ => None,
    };
    match sensors {
        Some(Ok(sensors)) => {
            checked.model_sensors = Some(sensors.len());
            if let Some(settings) = &checked.settings {
                theirs.extend(config::check_against_model(settings, &sensors));
            }
        }
        Some(Err(mistake)) => mistakes.push(mistake),
        None => {}
    }
    mistakes.extend(theirs.into_iter().map(|one| as_shown(one, places)));
    checked.service_text = Some(references::with_paths(text, &to_keep));
    Ok(())
}

/// Whether the service learns a model, for it was told of none.
fn no_model_is_meant(settings: &Settings) -> bool {
    settings.model_place.is_none() && !settings.model.exists() && !settings.learn_for.is_zero()
}

fn of_reference(reference: &Reference, why: String) -> Mistake {
    Mistake {
        line: Some(reference.line),
        key: reference.key.clone(),
        ..Mistake::of_file(Path::new(FILE), why)
    }
}

/// The file of a reference: on the card, or in its place since it was taken over. `None` when it may be
/// no file at all. Inside: why it cannot be taken over.
fn find_file(
    reference: &Reference,
    places: &Places,
    card: &Card,
) -> Result<Result<Option<TakenFile>, String>, ProvisionError> {
    let name = &reference.path;
    if !reference.is_plain_name() {
        return Ok(Err(format!(
            "{name:?} is neither a full path nor a name alone; put the file next to {FILE} on \
             the card, and write its name"
        )));
    }
    if TAKEN.iter().any(|taken| taken.eq_ignore_ascii_case(name)) {
        return Ok(Err(format!(
            "{name:?} is another file; give it a name of its own"
        )));
    }
    let target = Path::new(reference.kind.folder()).join(name);
    let mut found = TakenFile {
        kind: reference.kind,
        name: name.clone(),
        card: card.beside(name),
        content: None,
        target,
    };
    if let Some(path) = &found.card {
        let Some(content) = read_at_most(path, reference.kind.largest_bytes())? else {
            let most = reference.kind.largest_bytes() >> 10;
            return Ok(Err(format!(
                "{name:?} is larger than {most} KiB; is it the right file?"
            )));
        };
        if !is_wiped(&content) {
            found.content = Some(content);
            return Ok(Ok(Some(found)));
        }
    }
    if places.of(&found.target).is_file() {
        return Ok(Ok(Some(found)));
    }
    match reference.kind {
        // Then it is the name of a credential.
        Kind::Password => Ok(Ok(None)),
        _ => Ok(Err(format!(
            "{name:?} is not on the card; copy it there, next to {FILE}"
        ))),
    }
}

/// A mistake with the names that the user knows: the file on the card, others in the system.
fn as_shown(mistake: Mistake, places: &Places) -> Mistake {
    let file = if mistake.file == places.of(DEFAULT_PATH) {
        PathBuf::from(FILE)
    } else {
        match mistake.file.strip_prefix(&places.root) {
            Ok(inside) => Path::new("/").join(inside),
            Err(_) => mistake.file,
        }
    };
    Mistake { file, ..mistake }
}
