//! The loop: graph, queue, back-off, cancellation, events.
