#![doc = include_str!("../README.md")]

pub mod admin;
pub mod assemble;
mod bounded;
pub mod chore;
pub mod cli;
pub mod config;
pub mod deed;
mod events;
mod findings;
pub mod generation;
pub mod house;
pub mod layer;
pub mod listen;
pub mod load;
pub mod metrics;
mod own;
pub mod proxy;
pub mod reach;
pub mod remembrance;
mod reply;
pub mod run;
pub mod secrets;
pub mod stack;
pub mod stores;
pub mod unready;
