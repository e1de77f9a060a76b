//! One file of the history: what its sensors are, then chunk after chunk. A chunk that is not whole
//! ends it: what a power cut tore. Imports its sibling modules only.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::chunk::{self, check};
use super::gather::{Bucket, Plan};

const MAGIC: &[u8; 8] = b"ANOMHIS1";
/// 1024 names of 256 bytes, with room to spare.
const LONGEST_HEADER: u32 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Header {
    bucket_nanos: i64,
    sensors: Vec<String>,
}

/// What a file of `plan` begins with.
pub fn beginning(plan: &Plan) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(&Header {
        bucket_nanos: plan.bucket_nanos,
        sensors: plan.sensors.clone(),
    })?;
    let mut start = MAGIC.to_vec();
    let length = u32::try_from(json.len()).map_err(io::Error::other)?;
    start.extend(length.to_le_bytes());
    start.extend(json);
    start.extend(check(&start).to_le_bytes());
    Ok(start)
}

/// Reads a file from its start to its end, or to where it is torn.
pub struct FileReader {
    file: BufReader<File>,
    plan: Plan,
    torn: bool,
}

impl FileReader {
    /// None where its beginning is damaged.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut file = BufReader::new(File::open(path)?);
        let mut start = Vec::new();
        file.by_ref().take(12).read_to_end(&mut start)?;
        let Some((MAGIC, length)) = start.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let Ok(length) = length.try_into().map(u32::from_le_bytes) else {
            return Ok(None);
        };
        if length > LONGEST_HEADER {
            return Ok(None);
        }
        let rest = u64::from(length) + 4;
        file.by_ref().take(rest).read_to_end(&mut start)?;
        let end = 12 + length as usize;
        if start.len() != end + 4 || check(&start[..end]).to_le_bytes() != start[end..] {
            return Ok(None);
        }
        let header = serde_json::from_slice::<Header>(&start[12..end]);
        Ok(header.ok().map(|header| FileReader {
            file,
            plan: Plan {
                bucket_nanos: header.bucket_nanos,
                sensors: header.sensors,
            },
            torn: false,
        }))
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether it ended with something that is no whole chunk.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// The next buckets; none at the end.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Vec<Bucket>>> {
        let mut bytes = Vec::new();
        self.file.by_ref().take(4).read_to_end(&mut bytes)?;
        if bytes.is_empty() || self.torn {
            return Ok(None);
        }
        let sensors = self.plan.sensors.len();
        let length = bytes.as_slice().try_into().ok();
        let length = length.and_then(|bytes| chunk::length(bytes, sensors));
        if let Some(length) = length {
            let rest = length as u64 - 4;
            self.file.by_ref().take(rest).read_to_end(&mut bytes)?;
            if bytes.len() == length
                && let Some(buckets) = chunk::read(&bytes, sensors)
            {
                return Ok(Some(buckets));
            }
        }
        self.torn = true;
        Ok(None)
    }
}
