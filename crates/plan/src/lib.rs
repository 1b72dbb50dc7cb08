//! Desired and live objects to an ordered plan with reasons.
