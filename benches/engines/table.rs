//! The result: a line an engine, and whether the native engine keeps what is promised of it.

use anyhow::Context;

use crate::compare::{CALL, IN_PROCESS, NATIVE, ONNX_RUNTIME, TRACT, WORKER};

/// What the native engine is to be faster by, for one window at a time.
const THAN_LIBTORCH: f64 = 25.0;
const THAN_OTHERS: f64 = 4.0;

pub struct Row {
    pub name: &'static str,
    /// CPU time a window of each round, in microseconds.
    pub rounds: Vec<f64>,
    /// Resident and anonymous KiB.
    pub memory: (u64, u64),
    /// From the native engine at most, on golden and on random windows.
    pub difference: Option<[f32; 2]>,
}

pub struct Table(pub Vec<Row>);

impl Table {
    /// Prints the table and the verdict; true when the native engine is fast enough. There is no
    /// verdict on batches: nothing is promised of them.
    pub fn print(&self, batch: usize) -> anyhow::Result<bool> {
        println!(
            "{:<27} {:>24} {:>13}  {:>20}  {:>22}",
            "engine",
            "CPU µs a window",
            "times native",
            "RSS MiB (anonymous)",
            "off on golden, random"
        );
        for row in &self.0 {
            let (resident, anonymous) = row.memory;
            let difference = (row.difference).map_or("-".to_owned(), |[golden, random]| {
                format!("{golden:.0e}, {random:.0e}")
            });
            println!(
                "{:<27} {:>24} {:>13.1}  {:>20}  {difference:>22}",
                row.name,
                spread(&row.rounds),
                median(self.ratios(row.name, None)?),
                format!("{:.1} ({:.1})", mebibytes(resident), mebibytes(anonymous)),
            );
        }
        let net = self.ratios(ONNX_RUNTIME, Some(CALL))?;
        println!(
            "{:<27} {:>24} {:>13.1}",
            "  and without it",
            "",
            median(net.clone())
        );
        if batch > 1 {
            return Ok(true);
        }
        let libtorch =
            median(self.ratios(WORKER, None)?).min(median(self.ratios(IN_PROCESS, None)?));
        let others = median(self.ratios(TRACT, None)?).min(median(net));
        let mut good = true;
        for (what, times, least) in [
            ("libtorch", libtorch, THAN_LIBTORCH),
            ("the best of the others", others, THAN_OTHERS),
        ] {
            let verdict = if times >= least { "ok  " } else { "FAIL" };
            println!(
                "{verdict} {what} needs {times:.1} times native's CPU, to be at least {least}"
            );
            good &= times >= least;
        }
        Ok(good)
    }

    /// Round by round, how many times the native engine's CPU time a contender needed; less what a
    /// call of `overhead` needed in the same round.
    fn ratios(&self, name: &str, overhead: Option<&str>) -> anyhow::Result<Vec<f64>> {
        let rounds = |name: &str| {
            let row = self.0.iter().find(|row| row.name == name);
            row.map(|row| &row.rounds)
                .with_context(|| format!("{name} was not measured"))
        };
        let overhead = overhead.map(rounds).transpose()?;
        let pairs = rounds(name)?.iter().zip(rounds(NATIVE)?).enumerate();
        Ok(pairs
            .map(|(round, (one, native))| (one - overhead.map_or(0.0, |o| o[round])) / native)
            .collect())
    }
}

fn spread(rounds: &[f64]) -> String {
    let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = rounds.iter().copied().fold(0.0, f64::max);
    format!("{:.1} ({least:.1} to {most:.1})", median(rounds.to_vec()))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 if middle > 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values.get(middle).copied().unwrap_or(f64::NAN),
    }
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}
