//! The machine that the service runs on: readings, limits, and the ladder of degrading.
