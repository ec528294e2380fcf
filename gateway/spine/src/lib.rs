#![doc = include_str!("../README.md")]

pub mod body;
pub mod error;
pub mod rate_limit;
pub mod refine;
pub mod stage;
pub mod trail;

/// An answer on its way out.
pub type Reply = http::Response<body::Body>;
