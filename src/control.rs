//! The control socket of the running service.
