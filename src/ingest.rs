//! Stage ingest (contract).
