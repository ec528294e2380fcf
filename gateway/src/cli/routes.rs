//! `qaqpa routes`: what is exposed, to whom, and which lines say so.

use std::path::PathBuf;

use adapters::clock::Clock;
use policies::language::Allowed;
use serde_json::Value;

use super::process::{CONFIGURATION, FINE};
use super::terminal::{colour, complain, say};
use crate::admin;
use crate::load::load;

/// Whose routes are listed.
#[derive(Debug, clap::Args)]
pub struct RoutesArguments {
    /// The folder (or file) with policies; the shipped set if none is named.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The folder with contracts; the shipped ones if none is named.
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,
    /// Print JSON for a program.
    #[arg(long)]
    json: bool,
}

/// Lists the exposed operations.
pub(super) fn run(arguments: &RoutesArguments) -> u8 {
    let folder = |argument: &Option<PathBuf>| argument.clone().map(|path| vec![path]).unwrap_or_default();
    let (policies, contracts) = (folder(&arguments.policies), folder(&arguments.contracts));
    // Where clients are told of events does not matter here.
    let allowed = Allowed { private_endpoints: true };
    let generation = match load(&policies, &contracts, allowed, 1, Clock::system().now()) {
        Ok(loaded) => loaded.generation,
        Err(findings) => {
            complain(&findings.render(colour()));
            return CONFIGURATION;
        }
    };
    let routes = admin::routes(&generation);
    if arguments.json {
        say(&format!("{routes}\n"));
    } else {
        say(&table(&routes));
    }
    FINE
}

fn table(routes: &Value) -> String {
    let text = |row: &Value, name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |row: &Value, name: &str| {
        let items = row.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let joined = items.collect::<Vec<_>>().join(" ");
        if joined.is_empty() { "-".to_owned() } else { joined }
    };
    let heading = ["METHOD", "PATH", "OPERATION", "SCOPES", "ROLES", "POLICY"].map(str::to_owned);
    let mut rows = vec![heading];
    for row in routes.get("routes").and_then(Value::as_array).into_iter().flatten() {
        let (method, path, operation) = (text(row, "method"), text(row, "path"), text(row, "operation"));
        rows.push([method, path, operation, list(row, "scopes"), list(row, "roles"), text(row, "policy")]);
    }
    let mut widths = [0_usize; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut lines = String::new();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        lines.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        lines.push('\n');
    }
    lines
}
