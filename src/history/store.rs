//! The history on disk: buckets are gathered to chunks, chunks to files, the oldest files go.
//! Imports `frame` and its sibling modules only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::{FileReader, beginning};
use super::gather::{Bucket, Plan};
use super::waiting::Waiting;
use super::{CHUNK_BUCKETS, FILE_BUCKETS, HISTORY, chunk};

pub struct History {
    folder: PathBuf,
    plan: Option<Arc<Plan>>,
    waiting: Waiting,
    /// What is written next.
    bytes: Vec<u8>,
    /// The file that is appended to, and the buckets in it.
    current: Option<(PathBuf, usize)>,
    /// Of the next file.
    number: u64,
}

impl History {
    /// The history below the state directory `state`; nothing is made before there is something to
    /// keep.
    pub fn open(state: &Path) -> Self {
        let folder = state.join(HISTORY);
        let newest = files(&folder).ok().and_then(|files| files.last().cloned());
        let number = newest.as_ref().map_or(0, |(number, _)| *number);
        History {
            folder,
            plan: None,
            waiting: Waiting::default(),
            bytes: Vec::new(),
            current: newest.map(|(_, path)| (path, usize::MAX)),
            number: number + 1,
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Buckets of `plan`'s sensors come from now on.
    ///
    /// # Errors
    /// The disk cannot be written: what waited of other sensors is lost.
    pub fn prepare(&mut self, plan: &Arc<Plan>) -> io::Result<()> {
        if self.plan.as_ref() == Some(plan) {
            return Ok(());
        }
        let written = self.flush();
        self.waiting = Waiting::of(plan);
        self.bytes = Vec::with_capacity(chunk::chunk_bytes(plan.sensors.len(), CHUNK_BUCKETS));
        self.plan = Some(Arc::clone(plan));
        self.begin(plan);
        written
    }

    /// Keeps a bucket of `plan`'s sensors.
    ///
    /// # Errors
    /// The disk cannot be written; what waits is tried again with the next bucket.
    pub fn take(&mut self, plan: &Arc<Plan>, bucket: Bucket) -> io::Result<()> {
        let written = self.prepare(plan);
        self.waiting.push(bucket);
        match self.waiting.buckets().len() >= CHUNK_BUCKETS {
            true => written.and(self.flush()),
            false => written,
        }
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The disk cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        let Some(plan) = self.plan.clone() else {
            return Ok(());
        };
        while !self.waiting.buckets().is_empty() {
            let count = self.waiting.buckets().len().min(CHUNK_BUCKETS);
            self.append(&plan, count)?;
            self.waiting.drop_oldest(count);
        }
        Ok(())
    }

    /// Goes on with the newest file, where it is whole and of the same sensors.
    fn begin(&mut self, plan: &Plan) {
        let fits = |path: &PathBuf| {
            let mut reader = FileReader::open(path).ok()??;
            let mut buckets = 0;
            while let Some(chunk) = reader.next().ok()? {
                buckets += chunk.len();
            }
            let same = reader.plan() == plan && !reader.is_torn();
            same.then_some(buckets)
        };
        self.current = self.current.take().and_then(|(path, _)| {
            let buckets = fits(&path)?;
            Some((path, buckets))
        });
    }

    fn append(&mut self, plan: &Plan, count: usize) -> io::Result<()> {
        let bytes = &mut self.bytes;
        bytes.clear();
        let full = |(_, buckets): &(PathBuf, usize)| *buckets >= FILE_BUCKETS;
        let (path, buckets) = match self.current.take() {
            Some(current) if !full(&current) => current,
            _ => {
                fs::create_dir_all(&self.folder)?;
                bytes.extend(beginning(plan)?);
                let path = self.folder.join(format!("{:06}.hist", self.number));
                self.number += 1;
                (path, 0)
            }
        };
        chunk::write(bytes, plan.sensors.len(), &self.waiting.buckets()[..count]);
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&path)?;
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(bytes) {
            // Half a chunk would hide what follows it.
            let whole = match before {
                0 => fs::remove_file(&path),
                _ => file.set_len(before),
            };
            self.current = (whole.is_ok() && before > 0).then_some((path, buckets));
            return Err(error);
        }
        self.current = Some((path, buckets + count));
        // Only now and then is there one too many.
        if buckets == 0 {
            self.trim(plan)?;
        }
        Ok(())
    }

    /// Removes the oldest files beyond what may be kept.
    fn trim(&self, plan: &Plan) -> io::Result<()> {
        let files = files(&self.folder)?;
        let length = |path: &PathBuf| fs::metadata(path).map_or(0, |about| about.len());
        let mut kept: u64 = files.iter().map(|(_, path)| length(path)).sum();
        // Room for the day that begins.
        let most = plan.most_bytes() / 36 * 35;
        let but_current = files.len().saturating_sub(1);
        for (_, path) in &files[..but_current] {
            if kept <= most {
                break;
            }
            kept -= length(path).min(kept);
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

/// Number and path of every file, oldest first.
pub fn files(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".hist")?.parse().ok());
        if let Some(number) = number {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::super::chunk::tests::bucket;
    use super::super::read::read;
    use super::super::waiting::MOST_WAITING;
    use super::*;

    fn plan(sensors: &[&str]) -> Arc<Plan> {
        Arc::new(Plan::new(sensors.iter().map(|s| (*s).to_owned()).collect()))
    }

    fn fill(history: &mut History, plan: &Arc<Plan>, minutes: std::ops::Range<i64>) {
        for minute in minutes {
            let values = vec![(minute as f32, minute as f32 + 1.0); plan.sensors.len()];
            history.take(plan, bucket(minute, &values)).unwrap();
        }
    }

    fn kept(state: &Path) -> Vec<i64> {
        let mut minutes = Vec::new();
        read(state, &mut |_, bucket| {
            minutes.push(bucket.start.nanos() / 60_000_000_000);
        })
        .unwrap();
        minutes
    }

    #[test]
    fn a_restart_goes_on_where_it_was_and_other_sensors_begin_a_file() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let two = plan(&["A", "B"]);
        let mut history = History::open(state);
        fill(&mut history, &two, 0..35);
        assert_eq!(kept(state).len(), 30);
        history.flush().unwrap();
        let mut history = History::open(state);
        fill(&mut history, &two, 35..65);
        assert_eq!(kept(state), (0..65).collect::<Vec<_>>());
        assert_eq!(files(&state.join(HISTORY)).unwrap().len(), 1);
        fill(&mut history, &plan(&["A"]), 65..95);
        assert_eq!(kept(state).len(), 95);
        assert_eq!(files(&state.join(HISTORY)).unwrap().len(), 2);
    }

    #[test]
    fn a_torn_end_is_left_alone_wherever_it_was_torn() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let plan = plan(&["A", "B"]);
        fill(&mut History::open(state), &plan, 0..60);
        let path = files(&state.join(HISTORY)).unwrap()[0].1.clone();
        let whole = fs::read(&path).unwrap();
        for length in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            for (_, later) in &files(&state.join(HISTORY)).unwrap()[1..] {
                fs::remove_file(later).unwrap();
            }
            let before = kept(state);
            assert!(before.len() < 60 && before.len().is_multiple_of(30));
            fill(&mut History::open(state), &plan, 60..90);
            let expected: Vec<i64> = before.iter().copied().chain(60..90).collect();
            assert_eq!(kept(state), expected, "torn at {length}");
        }
        // A flipped bit in the middle costs what follows in that file only.
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        fs::write(&path, &damaged).unwrap();
        assert!(kept(state).len() >= 30);
    }

    #[test]
    fn thirty_days_are_kept_and_no_more_than_they_may_take() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        let names: Vec<String> = (0..51).map(|i| format!("SENSOR{i:03}")).collect();
        let plan = Arc::new(Plan::new(names));
        let mut history = History::open(state);
        fill(&mut history, &plan, 0..50 * 1440);
        let bytes: u64 = files(&state.join(HISTORY))
            .unwrap()
            .iter()
            .map(|(_, path)| fs::metadata(path).unwrap().len())
            .sum();
        assert!(bytes <= plan.most_bytes(), "{bytes}");
        let kept = kept(state);
        assert!(kept.len() >= 30 * 1440, "{} minutes", kept.len());
        assert!(kept.len() <= 37 * 1440, "{} minutes", kept.len());
        assert_eq!(kept.last(), Some(&(50 * 1440 - 1)));
        // For the record in docs/performance.md.
        println!("{} bytes a day", bytes / (kept.len() as u64 / 1440));
    }

    #[test]
    fn a_disk_that_is_full_costs_the_oldest_and_no_more_memory() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path();
        // A file where the folder should be.
        fs::write(state.join(HISTORY), "").unwrap();
        let plan = plan(&["A"]);
        let mut history = History::open(state);
        for minute in 0..1_000 {
            let taken = history.take(&plan, bucket(minute, &[(0.0, 1.0)]));
            assert_eq!(taken.is_err(), minute >= 29, "{minute}");
        }
        assert_eq!(history.waiting.buckets().len(), MOST_WAITING);
        fs::remove_file(state.join(HISTORY)).unwrap();
        history.take(&plan, bucket(1_000, &[(0.0, 1.0)])).unwrap();
        assert_eq!(kept(state), (881..=1_000).collect::<Vec<_>>());
    }
}
