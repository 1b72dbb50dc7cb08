//! Flux's kinds as a dialect of the engine.
