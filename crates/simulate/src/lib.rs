//! Workload controllers and simulated nodes for the embedded cluster.
