//! `qaqpa import`: a policy to begin with, from a contract.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use openapi::Contract;
use policies::facts::{OperationFacts, Security};
use policies::id::UpstreamId;

use super::process::{CONFIGURATION, FAILED, FINE};
use super::terminal::{colour, complain, say};
use crate::generation;
use crate::load::faulty;
use crate::texts::{Policies, PolicySource};

const EXAMPLES: &str = "\
Examples:
  qaqpa import openapi contracts/cards.yaml
  qaqpa import openapi contracts/cards.yaml --out policies/apis/cards.yaml
  qaqpa check policies/ --contracts contracts/

What comes out exposes every operation of the contract under strict values, and says at each line what to decide.
Nothing is exposed by it before it stands in the folder of policies.";

/// What is imported.
#[derive(Debug, clap::Subcommand)]
pub enum ImportCommand {
    /// Write a policy file for every operation of an OpenAPI document.
    #[command(after_help = EXAMPLES)]
    Openapi(ImportArguments),
}

/// Which document.
#[derive(Debug, clap::Args)]
pub struct ImportArguments {
    /// The document, or a folder of several.
    #[arg(value_name = "FILE")]
    contract: PathBuf,
    /// The file that is written; standard output if none is named. It must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What the backend is called.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
}

/// Imports.
pub(super) fn run(command: &ImportCommand) -> u8 {
    let ImportCommand::Openapi(arguments) = command;
    let source = PolicySource { policies: Policies::Given(Vec::new()), contracts: vec![arguments.contract.clone()] };
    let texts = match source.read() {
        Ok(texts) => texts,
        Err(findings) => return refused(&findings.render(colour())),
    };
    let contract = match Contract::load(&texts.contracts) {
        Ok(contract) => contract,
        Err(faults) => return refused(&faulty(faults, &texts.contracts).render(colour())),
    };
    if let Some(name) = &arguments.upstream
        && let Err(error) = UpstreamId::parse(name)
    {
        complain(&format!("error: `{name}` is no name of a backend: {error}"));
        return FAILED;
    }
    let text = policy(&generation::facts(&contract), arguments.upstream.as_deref());
    let Some(path) = &arguments.out else {
        say(&text);
        return FINE;
    };
    // What an administrator has decided since is never overwritten.
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    match written {
        Ok(()) => {
            say(&format!("{} is written; next: read it, then `qaqpa check`\n", path.display()));
            FINE
        }
        Err(error) => {
            complain(&unwritten(path, &error));
            FAILED
        }
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::AlreadyExists {
        return format!(
            "error: {} is there already, and nothing is written over it\n  = help: name another file, or move this one away",
            path.display()
        );
    }
    format!("error: {} cannot be written: {error}", path.display())
}

fn refused(text: &str) -> u8 {
    complain(text);
    CONFIGURATION
}

/// Writes a policy for operations; `upstream` answers those that the gateway does not answer itself.
fn policy(facts: &[OperationFacts], upstream: Option<&str>) -> String {
    let mut apis: Vec<&str> = facts.iter().map(|facts| facts.api.as_str()).collect();
    apis.sort_unstable();
    apis.dedup();
    let mut text =
        "# Made by `qaqpa import openapi`: every operation, under strict values. Read each line before it applies.\n\
                    # An operation that should not be called is deleted here: what no policy names does not exist.\n\
                    qaqpa: v1\n"
            .to_owned();
    let backend = |api: &str| upstream.map_or_else(|| format!("{api}-backend"), str::to_owned);
    let proxied = |api: &&str| facts.iter().any(|facts| facts.api == **api && !facts.own);
    let mut backends: Vec<String> = apis.iter().filter(|api| proxied(api)).map(|api| backend(api)).collect();
    backends.dedup();
    if !backends.is_empty() {
        text.push_str("\n# Where a backend is, the operator says in qaqpa.yaml:\n");
        for name in &backends {
            let _ = writeln!(text, "#   upstreams: {{{name}: {{endpoints: [\"https://host:port\"]}}}}");
        }
        text.push_str("upstreams:\n");
        for name in &backends {
            let _ = writeln!(
                text,
                "  {name}:\n    protocol: http1\n    timeouts: {{connect: 1s, response: 3s}}\n    maxRequests: 64  # at once, in each process"
            );
        }
    }
    text.push_str("\napis:\n");
    for api in apis {
        let here: Vec<&OperationFacts> = facts.iter().filter(|facts| facts.api == api).collect();
        let _ = writeln!(text, "  {api}:");
        if here.iter().any(|facts| !facts.own) {
            let _ = writeln!(text, "    upstream: {}", backend(api));
        }
        text.push_str("    defaults:\n");
        if here.iter().all(|facts| facts.security == Security::AccessToken) {
            text.push_str(
                "      requires: {roles: [BANK]}  # who may call: AISP PISP BANK MFO PAYMENT_ORGANISATION TREASURY\n",
            );
        }
        text.push_str("      maxBody: 16KiB\n      timeout: 5s\n      audit: standard\n");
        text.push_str("      validate: {response: report}  # `enforce` once no answer breaks the contract\n");
        text.push_str("    operations:\n");
        for facts in &here {
            operation(&mut text, facts, &here);
        }
    }
    text
}

fn operation(text: &mut String, facts: &OperationFacts, api: &[&OperationFacts]) {
    let _ = writeln!(text, "      # {} {}", facts.method, facts.template);
    if let Some(obstacle) = &facts.obstacle {
        let _ = writeln!(text, "      # Cannot be exposed yet: {obstacle} ({})", facts.origin);
        let _ = writeln!(text, "      # {}: {{}}", facts.id);
        return;
    }
    if !facts.collides_with.is_empty() {
        let _ = writeln!(text, "      # Only one of it and {} can be exposed.", facts.collides_with.join(", "));
        let _ = writeln!(text, "      # {}: {{}}", facts.id);
        return;
    }
    let mut keys = Vec::new();
    if facts.idempotent {
        keys.push(
            "        audit: required  # it is done once per key: nothing happens without a durable record".to_owned(),
        );
    }
    if facts.idempotent && !facts.own {
        keys.push(match api.iter().find(|other| tells_of(other, facts)) {
            Some(status) => format!("        settledBy: {}  # it is asked when an answer is lost", status.id),
            None => "        # settledBy: the GET that tells what became of it when an answer is lost".to_owned(),
        });
    }
    if let Some(line) = consent(facts) {
        keys.push(line);
    }
    if !facts.has_body {
        keys.push("        maxBody: 1KiB  # no body is described".to_owned());
    }
    if keys.is_empty() {
        let _ = writeln!(text, "      {}: {{}}", facts.id);
    } else {
        let _ = writeln!(text, "      {}:\n{}", facts.id, keys.join("\n"));
    }
}

// Whose account or money it is no contract says: a person has to.
fn consent(facts: &OperationFacts) -> Option<String> {
    if facts.own || facts.security != Security::AccessToken {
        return None;
    }
    if facts.idempotent && facts.has_body && !facts.body_streams {
        return Some("        # consent: domestic-payment, if it moves the money of citizens".to_owned());
    }
    let account = facts.template.split('{').skip(1).filter_map(|part| part.split_once('}'));
    let account = account.map(|(name, _)| name).find(|name| name.to_ascii_lowercase().contains("account"))?;
    Some(format!("        # consent: {{kind: account-access, account: {account}}}, if it is the account of a citizen"))
}

// The reading of one thing stands below the path under which it is made: `/top-ups` and `/top-ups/{id}`.
fn tells_of(status: &OperationFacts, facts: &OperationFacts) -> bool {
    let below = status.template.strip_prefix(&facts.template).and_then(|rest| rest.strip_prefix("/{"));
    let one = below.is_some_and(|rest| rest.find('}') == Some(rest.len() - 1));
    let shown = status.obstacle.is_none() && status.collides_with.is_empty() && !status.own;
    status.method == "GET" && one && shown && !facts.template.contains('{')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use policies::language::{Source, compile, fmt, render};
    use policies::time::Timestamp;

    use super::*;

    #[test]
    fn what_is_written_compiles_and_is_in_its_form() {
        let contract = Contract::load(&openapi::shipped()).unwrap();
        let all = generation::facts(&contract);
        let mut apis: Vec<&str> = all.iter().map(|facts| facts.api.as_str()).collect();
        apis.dedup();
        for api in apis {
            // An API that is answered half here and half there has to be split by hand.
            let facts: Vec<OperationFacts> = all.iter().filter(|facts| facts.api == api).cloned().collect();
            let source = Source::new("policy.yaml", policy(&facts, None));
            let now = Timestamp::from_date("2026-11-22").unwrap();
            let problems = compile(std::slice::from_ref(&source), &facts, now).err().unwrap_or_default();
            assert!(problems.is_empty(), "{}", render(&problems, &[source], false));
            assert_eq!(fmt::format(&source).unwrap(), *source.text);
        }
    }

    #[test]
    fn a_file_that_is_there_is_told_with_what_to_do() {
        let told = unwritten(Path::new("a.yaml"), &std::io::Error::from(std::io::ErrorKind::AlreadyExists));
        assert!(told.contains("a.yaml is there already") && told.contains("name another file"), "{told}");
        let told = unwritten(Path::new("a.yaml"), &std::io::Error::from(std::io::ErrorKind::PermissionDenied));
        assert!(told.contains("a.yaml cannot be written"), "{told}");
    }

    #[test]
    fn an_operation_that_cannot_be_exposed_is_left_as_a_comment() {
        let contract = Contract::load(&openapi::shipped()).unwrap();
        let mut facts: Vec<OperationFacts> = generation::facts(&contract);
        facts.retain(|facts| facts.api == "payments");
        for facts in &mut facts {
            facts.obstacle = Some("nobody says who may call it".to_owned());
        }
        let text = policy(&facts, Some("core"));
        assert!(text.contains("# Cannot be exposed yet: nobody says who may call it"), "{text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("createDomesticPayment")), "{text}");
        assert!(text.contains("upstream: core\n"));
    }
}
