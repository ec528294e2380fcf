//! PostgreSQL down, slow, half-open, restarted.
