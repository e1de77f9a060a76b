//! What survives a restart of the service.
