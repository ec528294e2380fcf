#![doc = include_str!("../README.md")]

pub mod audit;
pub mod authorizations;
pub mod clock;
pub mod entropy;
pub mod files;
pub mod http;
pub mod keys;
pub mod limit;
pub mod oauth;
pub mod provider;
pub mod store;
pub mod upstream;
mod wire;
