//! The command line: what a person types, and what they get to read.

mod administrator;
mod agreement;
mod audit;
mod backup;
mod call;
mod check;
pub mod client;
mod contract;
mod diff;
mod explain;
mod fmt;
mod import;
mod keys;
mod limits;
mod lint;
mod policies;
mod process;
mod rehearse;
mod restore;
mod routes;
mod run;
#[cfg(feature = "sandbox")]
pub mod sandbox;
mod schema;
mod sets;
mod story;
mod terminal;
mod test;
mod told;
mod tour;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::client::STATE;
use self::process::in_runtime;
pub use self::process::{CONFIGURATION, FAILED, FINE, USAGE};
#[cfg(feature = "sandbox")]
pub use self::sandbox::SandboxArguments;
use self::terminal::{colour, complain};

const ABOUT: &str = "\
Qaqpa is the Open API gateway of a national digital financial infrastructure: it authenticates
fintechs, limits them, has people verified, and passes permitted calls on to bank backends.";

const FIRST_STEPS: &str = "\
First steps:
  qaqpa sandbox              a gateway with a small country behind it, on this machine
  qaqpa tour                 (in a second terminal) watch a fintech pay, and be refused
  qaqpa call GET /v1/accounts
                             make one call yourself; token and proof are made for you, and an
                             invented citizen agrees where one has to
  qaqpa check policies/      is this policy set right? every problem with file, line and column
  qaqpa lint policies/       is it good? what protects less than it looks
  qaqpa explain operation ID what applies to it, which line says so, and may this client call it?
  qaqpa diff OLD NEW         what would change, and does it let more through?
  qaqpa routes               what is exposed, to whom, and which file says so
  qaqpa limits show --client ID
                             how much may this client still ask for, and when again?
  qaqpa keys list            which key signs, which is next, and when
  qaqpa audit verify         was anything in the audit trail changed, removed or cut off?
  qaqpa backup --to DIR      copy the state folder while a gateway works on it

Exit codes: 0 fine, 1 a check failed, 2 wrong usage, 78 wrong configuration.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "qaqpa", version, about = ABOUT, after_help = FIRST_STEPS, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a gateway with a reference National Bank and an identity provider, with nothing to set up.
    ///
    /// The first start makes a development certificate authority, keys, six organisations, thirty customers and sixty
    /// accounts under the state folder; later starts go on from there. STATE/sandbox.json tells programs everything.
    #[cfg(feature = "sandbox")]
    Sandbox(SandboxArguments),
    /// Serve with a configuration of your own.
    ///
    /// SIGHUP loads policies and contracts anew; a wrong file is told and the running ones stay. SIGINT and SIGTERM stop
    /// after the requests under way.
    Run {
        /// The file that says where to listen, where backends are, and where policies stand.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check policies against the contracts; tell every problem with file, line, column and what was probably meant.
    Check(check::CheckArguments),
    /// Run the cases that stand under `tests`, through the very stack that serves; nothing is opened, nothing is left.
    ///
    /// Tells what was expected and what came, with file and line, and which rules no case has hit.
    Test(test::TestArguments),
    /// Change the policies of a running gateway: propose, approve, roll back, read the history.
    #[command(subcommand)]
    Policies(policies::PoliciesCommand),
    /// Look at the keys that a running gateway signs with, and rotate them.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Look at what is left of limits in a running gateway, and have one counted anew.
    #[command(subcommand)]
    Limits(limits::LimitsCommand),
    /// Look at contracts alone.
    #[command(subcommand)]
    Contract(contract::ContractCommand),
    /// Judge a policy set that is right: is it good? Rules with stable ids, ranked by how much they matter.
    Lint(lint::LintArguments),
    /// Explain a code, a key of the language, what conditions may name, or all that applies to one operation.
    Explain(explain::ExplainArguments),
    /// Compare two policy sets by what applies, and tell what lets more through.
    Diff(diff::DiffArguments),
    /// Bring policy files into one form; comments stay.
    Fmt(fmt::FmtArguments),
    /// Print the JSON Schema of policy files, for editors.
    Schema(schema::SchemaArguments),
    /// Write a policy to begin with.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// List the exposed operations: scopes, roles, and the lines that say so.
    Routes(routes::RoutesArguments),
    /// Tell the way of one call, described or recorded: what each stage decided, how long it took, and by which line.
    Trace(trace::TraceArguments),
    /// Watch a fintech ask a citizen, pay and be refused, step by step, against a running sandbox.
    Tour(TourArguments),
    /// Make one call as a sandbox client; token, proof and certificate are made for you.
    ///
    /// Where a citizen has to agree to it, an invented one does so on the gateway's own pages first: `--citizen` chooses who,
    /// `--own` asks nobody.
    ///
    /// Prints the request and the answer like `curl -v`, with secrets shortened.
    Call(call::CallArguments),
    /// Check the audit trail, read it, and prove what stands in it.
    Audit(audit::AuditArguments),
    /// Judge the calls of the audit trail again under a proposed policy set: what would be decided otherwise, for whom?
    Rehearse(rehearse::RehearseArguments),
    /// Copy the state folder of a gateway, while it runs.
    ///
    /// Everything in it belongs together: answers, events, the audit trail, keys. Whoever has the copy has the keys; keep it
    /// as safe as the original. Policies, contracts and the configuration are copied if they lie in the state folder.
    Backup(backup::BackupArguments),
    /// Put a backup into an empty folder, after every file of it was checked.
    Restore(restore::RestoreArguments),
}

/// How a tour is taken.
#[derive(Debug, clap::Args)]
struct TourArguments {
    /// The state folder of the running sandbox.
    #[arg(long, default_value = STATE, value_name = "DIR")]
    state: PathBuf,
    /// Print JSON lines for a program.
    #[arg(long)]
    json: bool,
}

/// Runs the command that was typed.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let code = match arguments.command {
        #[cfg(feature = "sandbox")]
        Command::Sandbox(arguments) => sandbox::run(&arguments),
        Command::Run { config } => run::run(&config),
        Command::Check(arguments) => check::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Policies(command) => policies::run(&command),
        Command::Keys(command) => keys::run(&command),
        Command::Limits(command) => limits::run(&command),
        Command::Contract(command) => contract::run(&command),
        Command::Lint(arguments) => lint::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Fmt(arguments) => fmt::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Import(command) => import::run(&command),
        Command::Routes(arguments) => routes::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Tour(arguments) => tour(&arguments),
        Command::Call(arguments) => told(in_runtime(call::run(arguments))),
        Command::Audit(arguments) => audit::run(arguments),
        Command::Rehearse(arguments) => rehearse::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => restore::run(&arguments),
    };
    ExitCode::from(code)
}

fn tour(arguments: &TourArguments) -> u8 {
    let sandbox = match client::SandboxFile::find(&arguments.state) {
        Ok(sandbox) => sandbox,
        Err(text) => return told(Err(text)),
    };
    let options = tour::TourOptions { json: arguments.json, colour: colour() };
    told(in_runtime(tour::run(&sandbox, options)).map(|fine| if fine { FINE } else { FAILED }))
}

fn told(result: Result<u8, String>) -> u8 {
    result.unwrap_or_else(|text| {
        complain(&text);
        FAILED
    })
}
