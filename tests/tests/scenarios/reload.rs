//! What is read again while requests go on: who may ask for it, what is noticed by itself, and what stays if it is wrong.
//! What changed policies decide is in `permits`, the change under way in `operations`.

mod certificates;
mod clients;
mod looks;
mod upstreams;
mod wishes;

use scenarios::world::World;

/// A policy file that is right, and different for each number.
fn more(number: u32) -> String {
    format!("qaqpa: v1\nplans:\n  plan-{number}: {{limits: [{{per: client, rate: 1/s, burst: 1}}]}}\n")
}

/// A policy file that names an operation nobody knows.
const BROKEN: &str = "qaqpa: v1\napis: {accounts: {operations: {listAcounts: {}}}}\n";

/// Returns the generation that decides.
fn number(world: &World) -> u64 {
    world.assembled().stack.load().generation().number
}
