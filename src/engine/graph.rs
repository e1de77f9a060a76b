//! The neighbour head: each sensor's expectation from the other sensors (contract).
