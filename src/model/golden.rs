//! Golden vectors: windows with their known outputs and scores, kept in `extra/golden.safetensors`.

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
