//! Detection quality against labels (contract).
