//! The settings of a collector to export to. Imports its parent's tables and the settings.

use super::password::credential_file;
use super::table::Table;
use crate::config::endpoint::Endpoint;
use crate::config::mistake::Mistake;
use crate::config::settings::OtlpSettings;

/// `None` also where it is switched off.
pub fn output(table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> Option<OtlpSettings> {
    if !table.is("enabled") {
        return None;
    }
    table.require(mistakes);
    // The rule of the key has refused what is none.
    let endpoint = Endpoint::read(&table.text("endpoint")?).ok()?;
    let ca_file = table.path("ca_file");
    if let Some(path) = &ca_file {
        let remedy = "copy the authority's PEM file there or leave the key out";
        table.exists("ca_file", path, remedy, mistakes);
        if !endpoint.tls {
            let message =
                "is only used with https; write https:// in endpoint or leave ca_file out";
            let place = table.place("ca_file");
            mistakes.push(Mistake::error(place, table.key("ca_file"), message));
        }
    }
    Some(OtlpSettings {
        place: table.section.place.clone(),
        endpoint,
        headers: credential_file(table, "headers_file", "the headers", mistakes),
        ca_file,
        device: table.text("device"),
        metrics_every: table.duration("metrics_every")?,
        queue_bytes: table.whole("queue_bytes")?,
        catch_up_per_second: table.whole("catch_up_per_second")?,
    })
}
