//! Pools against a backend that is written by hand, byte by byte.
