//! Golden vectors: windows with their known outputs and scores, kept in `extra/golden.safetensors`.
//! Imports `model` only.

use super::weights::{self, Tensors};

/// Windows at least, so that the vectors cover more than one mood of the plant.
pub const MIN_GOLDEN: usize = 16;

/// Consecutive windows of a normal stretch with what the engines made of them at training time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Golden {
    /// G, at least 16
    pub count: usize,
    /// `[G,T,F]`, standardised
    pub windows: Vec<f32>,
    /// `[G,T,F]`, from the native engine (from torch for a foreign module)
    pub reconstruction: Vec<f32>,
    /// `[G,F]`
    pub neighbour: Vec<f32>,
    /// `[G]`: the published score when the G windows are scored in order from a fresh scorer
    pub score: Vec<f32>,
    /// The same from libtorch, where it was present at training time.
    pub torch: Option<GoldenTorch>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct GoldenTorch {
    /// `[G,T,F]`
    pub reconstruction: Vec<f32>,
    /// `[G,F]`
    pub neighbour: Vec<f32>,
    /// `[G]`
    pub score: Vec<f32>,
}

impl Golden {
    /// The safetensors file for windows of `window` frames of `sensors` sensors; deterministic.
    ///
    /// # Errors
    /// A vector does not have the length that its shape demands.
    pub fn to_bytes(&self, window: usize, sensors: usize) -> Result<Vec<u8>, String> {
        let shapes = self.shapes(window, sensors);
        let mut tensors = vec![
            ("windows", &shapes[0], &self.windows),
            ("reconstruction", &shapes[0], &self.reconstruction),
            ("neighbour", &shapes[1], &self.neighbour),
            ("score", &shapes[2], &self.score),
        ];
        if let Some(torch) = &self.torch {
            tensors.extend([
                ("torch_reconstruction", &shapes[0], &torch.reconstruction),
                ("torch_neighbour", &shapes[1], &torch.neighbour),
                ("torch_score", &shapes[2], &torch.score),
            ]);
        }
        weights::to_bytes(
            tensors
                .into_iter()
                .map(|(name, shape, values)| (name, shape.as_slice(), values.as_slice())),
        )
    }

    /// Reads what [`Golden::to_bytes`] wrote. Tensors of other names are left alone.
    ///
    /// # Errors
    /// Not a safetensors file, or a tensor is missing or has another shape.
    pub fn from_bytes(bytes: &[u8], window: usize, sensors: usize) -> Result<Self, String> {
        let mut tensors = weights::from_bytes(bytes)?;
        let count = match tensors.get("score").map(|(shape, _)| shape.as_slice()) {
            Some(&[count]) => count,
            _ => return Err("it has no scores, one a window".to_owned()),
        };
        let mut golden = Golden {
            count,
            ..Golden::default()
        };
        let [windows, rows, scores] = golden.shapes(window, sensors);
        golden.windows = take(&mut tensors, "windows", &windows)?;
        golden.reconstruction = take(&mut tensors, "reconstruction", &windows)?;
        golden.neighbour = take(&mut tensors, "neighbour", &rows)?;
        golden.score = take(&mut tensors, "score", &scores)?;
        if tensors.contains_key("torch_score") {
            golden.torch = Some(GoldenTorch {
                reconstruction: take(&mut tensors, "torch_reconstruction", &windows)?,
                neighbour: take(&mut tensors, "torch_neighbour", &rows)?,
                score: take(&mut tensors, "torch_score", &scores)?,
            });
        }
        Ok(golden)
    }

    /// Whether there are enough windows and all values are finite.
    ///
    /// # Errors
    /// Says what is amiss.
    pub fn check(&self) -> Result<(), String> {
        if self.count < MIN_GOLDEN {
            return Err(format!(
                "it has {} golden windows where at least {MIN_GOLDEN} are needed",
                self.count
            ));
        }
        let torch = self
            .torch
            .iter()
            .flat_map(|torch| [&torch.reconstruction, &torch.neighbour, &torch.score]);
        let all = [
            &self.windows,
            &self.reconstruction,
            &self.neighbour,
            &self.score,
        ];
        if all
            .into_iter()
            .chain(torch)
            .flatten()
            .all(|value| value.is_finite())
        {
            Ok(())
        } else {
            Err("a golden vector holds a value that is not finite".to_owned())
        }
    }

    /// `[G,T,F]`, `[G,F]` and `[G]`
    fn shapes(&self, window: usize, sensors: usize) -> [Vec<usize>; 3] {
        [
            vec![self.count, window, sensors],
            vec![self.count, sensors],
            vec![self.count],
        ]
    }
}

fn take(tensors: &mut Tensors, name: &str, expected: &[usize]) -> Result<Vec<f32>, String> {
    match tensors.remove(name) {
        Some((shape, values)) if shape == expected => Ok(values),
        Some((shape, _)) => Err(format!(
            "golden tensor {name} has shape {shape:?} where {expected:?} is expected"
        )),
        None => Err(format!("it lacks the golden tensor {name}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> Golden {
        let ramp = |count: usize| {
            (0..count)
                .map(|i| i as f32 * 0.1 - 3.0)
                .collect::<Vec<f32>>()
        };
        Golden {
            count: 16,
            windows: ramp(16 * 5 * 3),
            reconstruction: ramp(16 * 5 * 3),
            neighbour: ramp(16 * 3),
            score: ramp(16),
            torch: Some(GoldenTorch {
                reconstruction: ramp(16 * 5 * 3),
                neighbour: ramp(16 * 3),
                score: ramp(16),
            }),
        }
    }

    #[test]
    fn vectors_come_back_with_and_without_torchs() {
        let with = golden();
        let without = Golden {
            torch: None,
            ..with.clone()
        };
        for golden in [with, without] {
            let bytes = golden.to_bytes(5, 3).unwrap();
            assert_eq!(Golden::from_bytes(&bytes, 5, 3).unwrap(), golden);
            assert_eq!(golden.check(), Ok(()));
        }
    }

    #[test]
    fn vectors_that_do_not_fit_are_refused() {
        let bytes = golden().to_bytes(5, 3).unwrap();
        let error = Golden::from_bytes(&bytes, 5, 4).unwrap_err();
        assert!(error.contains("windows has shape [16, 5, 3]"), "{error}");
        let short = Golden {
            score: vec![0.0; 15],
            ..golden()
        };
        assert!(short.to_bytes(5, 3).is_err());
        let few = Golden {
            count: 15,
            ..golden()
        };
        assert!(few.check().unwrap_err().contains("15 golden windows"));
        let mut infinite = golden();
        infinite.neighbour[3] = f32::INFINITY;
        assert!(infinite.check().unwrap_err().contains("not finite"));
        assert!(Golden::from_bytes(b"", 5, 3).is_err());
    }
}
