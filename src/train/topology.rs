//! A topology file: which sensors may explain each other.
//!
//! ```toml
//! edges = [["P101", "FIT101"], ["FIT101", "LIT101"]]
//! [groups]                      # everything within a group may be connected
//! stage1 = ["LIT101", "MV101", "P101"]
//! ```

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

#[derive(Debug, Clone, PartialEq)]
pub struct Topology {
    path: PathBuf,
    file: TopologyFile,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TopologyFile {
    #[serde(default)]
    edges: Vec<(String, String)>,
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path}:{line}: {reason}")]
    Syntax {
        path: PathBuf,
        line: usize,
        reason: String,
    },
    #[error("{path}: sensor {sensor:?} is not a column of the training data")]
    UnknownSensor { path: PathBuf, sensor: String },
}

impl Topology {
    /// # Errors
    /// The file cannot be read or is not of the form above.
    pub fn load(path: &Path) -> Result<Self, TopologyError> {
        let text = std::fs::read_to_string(path).map_err(|source| TopologyError::Io {
            path: path.to_owned(),
            source,
        })?;
        let file = toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            TopologyError::Syntax {
                path: path.to_owned(),
                line: 1 + text.bytes().take(start).filter(|b| *b == b'\n').count(),
                reason: error.message().to_owned(),
            }
        })?;
        Ok(Topology {
            path: path.to_owned(),
            file,
        })
    }

    /// The allowed undirected edges as pairs of indices into `sensors`.
    ///
    /// # Errors
    /// A name is not among `sensors`.
    pub fn edges(&self, sensors: &[String]) -> Result<HashSet<(usize, usize)>, TopologyError> {
        let index = |name: &String| {
            sensors
                .iter()
                .position(|sensor| sensor == name)
                .ok_or_else(|| TopologyError::UnknownSensor {
                    path: self.path.clone(),
                    sensor: name.clone(),
                })
        };
        let mut edges = HashSet::new();
        for (a, b) in &self.file.edges {
            edges.insert((index(a)?, index(b)?));
        }
        for members in self.file.groups.values() {
            let members = members.iter().map(index).collect::<Result<Vec<_>, _>>()?;
            for (place, &a) in members.iter().enumerate() {
                edges.extend(members[place + 1..].iter().map(|&b| (a, b)));
            }
        }
        Ok(edges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Topology, TopologyError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Topology::load(file.path())
    }

    #[test]
    fn edges_and_groups_are_joined() {
        let topology = load("edges = [[\"a\", \"b\"]]\n[groups]\nx = [\"b\", \"c\", \"d\"]\n");
        let sensors = ["a", "b", "c", "d"].map(str::to_owned);
        let edges = topology.unwrap().edges(&sensors).unwrap();
        assert_eq!(edges, HashSet::from([(0, 1), (1, 2), (1, 3), (2, 3)]));
    }

    #[test]
    fn mistakes_name_the_file_and_the_sensor() {
        let error = load("edges = [[\"a\", \"z\"]]")
            .unwrap()
            .edges(&["a".to_owned()])
            .unwrap_err();
        assert!(
            error.to_string().contains("\"z\" is not a column"),
            "{error}"
        );
        let unknown = load("groups = {}\nedgs = []").unwrap_err().to_string();
        assert!(unknown.contains(":2: unknown field `edgs`"), "{unknown}");
        assert!(Topology::load(Path::new("/nowhere/x.toml")).is_err());
    }
}
