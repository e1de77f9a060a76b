//! A model that the service learns by itself.
