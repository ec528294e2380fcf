//! Redis down, slow, half-open, restarted.
