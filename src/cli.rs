//! Stage cli (contract).
