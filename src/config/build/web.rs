//! The page, the metrics and the health checks. Imports its sibling modules only.

use std::net::{Ipv4Addr, SocketAddr};

use super::password::password_file;
use super::table::Table;
use crate::config::mistake::Mistake;
use crate::config::settings::{Password, WebSettings};

pub fn web(table: &Table<'_>, mistakes: &mut Vec<Mistake>) -> WebSettings {
    let listen = table.text("listen").and_then(|text| text.parse().ok());
    let hosts = table.text("hosts").unwrap_or_default();
    WebSettings {
        enabled: table.is("enabled"),
        // The rule of the key has refused everything else.
        listen: listen.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080))),
        password: password_file(table, mistakes).map(Password::File),
        hosts: hosts.split_whitespace().map(str::to_lowercase).collect(),
    }
}
