//! Loads a large contract once and tells what it took, in time and in memory.
//!
//! `cargo run --release -p openapi --example load -- 500 80000` loads 500 documents of 80,000 bytes.

#![expect(clippy::print_stdout, reason = "it is run to be read")]

#[path = "../benches/generator/mod.rs"]
mod generator;

use openapi::Contract;
use std::time::Instant;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (count, bytes) = (numbers.next().unwrap_or(500), numbers.next().unwrap_or(80_000));
    let sources = generator::documents(count, bytes);
    let size: usize = sources.iter().map(|source| source.text.len()).sum();
    let before = peak();
    let start = Instant::now();
    match Contract::load(&sources) {
        Err(faults) => {
            for fault in faults.iter().take(10) {
                println!("{fault}");
            }
        }
        Ok(contract) => println!(
            "{count} documents, {} operations, {:.1} MB: {:.2} s, at most {} kB resident ({before} kB before)",
            contract.operations().len(),
            size as f64 / 1e6,
            start.elapsed().as_secs_f64(),
            peak()
        ),
    }
}

/// The most memory this process has had resident, in kB; zero where the system does not tell.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0)
}
