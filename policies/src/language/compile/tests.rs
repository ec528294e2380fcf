#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::facts::Security;
use crate::id::{ClientId, OperationId, OrganisationId};
use crate::language::codes::CODES;
use crate::language::problem::Severity;
use crate::language::{render, shipped, tally};
use crate::limit::Dimension;
use crate::rulebook::{AuditDuty, ClientAuthentication, Role, Service, TokenBinding};

/// Noon of the day that the golden files are read on.
fn today() -> Timestamp {
    Timestamp::from_date("2026-11-22").unwrap() + Duration::from_secs(12 * 3600)
}

/// The contracts, in short: document, operation, method, template, security, scopes, body, idempotent, own.
fn contracts() -> Vec<OperationFacts> {
    use Security::{AccessToken, Administrator, ClientAuthentication, Public, SignedCallback};
    let rows: &[(&str, &str, &str, &str, Security, &str, bool, bool)] = &[
        ("accounts", "listAccounts", "GET", "/v1/accounts", AccessToken, "accounts:read", false, false),
        ("accounts", "getAccountBalances", "GET", "/v1/accounts/{id}/balances", AccessToken, "accounts:read", false, false),
        ("accounts", "listAccountTransactions", "GET", "/v1/accounts/{id}/transactions", AccessToken, "accounts:read", false, false),
        ("accounts", "pingAccounts", "GET", "/v1/accounts/ping", AccessToken, "", false, false),
        ("payments", "createDomesticPayment", "POST", "/v1/domestic-payments", AccessToken, "payments:write", true, true),
        ("payments", "getDomesticPayment", "GET", "/v1/domestic-payments/{id}", AccessToken, "payments:read", false, false),
        ("identity", "createIdentityVerification", "POST", "/v1/identity-verifications", AccessToken, "identity:verify", true, true),
        ("identity", "getIdentityVerification", "GET", "/v1/identity-verifications/{id}", AccessToken, "identity:verify", false, false),
        ("identity", "receiveIdentityCallback", "POST", "/v1/identity-callbacks/{provider}", SignedCallback, "", true, false),
        ("oauth", "issueToken", "POST", "/oauth/token", ClientAuthentication, "", true, false),
        ("oauth", "getKeys", "GET", "/oauth/keys", Public, "", false, false),
        ("oauth", "getAuthorizationServerMetadata", "GET", "/.well-known/oauth-authorization-server", Public, "", false, false),
        ("oauth", "getOpenidConfiguration", "GET", "/.well-known/openid-configuration", Public, "", false, false),
        ("oauth", "getProtectedResourceMetadata", "GET", "/.well-known/oauth-protected-resource", Public, "", false, false),
        ("discovery", "getStatus", "GET", "/v1/discovery/status", Public, "", false, false),
        ("admin", "getLiveness", "GET", "/livez", Public, "", false, false),
        ("admin", "getReadiness", "GET", "/readyz", Public, "", false, false),
        ("admin", "getMetrics", "GET", "/metrics", Administrator, "", false, false),
        ("admin", "listRoutes", "GET", "/v1/admin/routes", Administrator, "", false, false),
        ("admin", "getGeneration", "GET", "/v1/admin/generation", Administrator, "", false, false),
        ("admin", "listAuditRecords", "GET", "/v1/admin/audit-records", Administrator, "", false, false),
    ];
    rows.iter()
        .enumerate()
        .map(|(index, (api, id, method, template, security, scope, has_body, idempotent))| OperationFacts {
            id: (*id).to_owned(),
            api: (*api).to_owned(),
            method: (*method).to_owned(),
            template: (*template).to_owned(),
            security: *security,
            scopes: scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect(),
            has_body: *has_body,
            idempotent: *idempotent,
            own: !matches!(*api, "accounts" | "payments"),
            origin: format!("openapi/apis/{api}.yaml:{}", 10 + index),
        })
        .collect()
}

fn told(files: &[Source]) -> String {
    let problems = match compile(files, &contracts(), today()) {
        Ok(compiled) => compiled.warnings,
        Err(problems) => problems,
    };
    for problem in &problems {
        assert!(CODES.iter().any(|known| known.code == problem.code), "{} is not explained", problem.code);
    }
    let mut text = render(&problems, files, false);
    let _ = writeln!(text, "{}", tally(&problems));
    text
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests-data/language")
}

/// Each golden file holds `=== name` with the text of a file, any number of times, then `=== told` with what is told.
fn golden() -> Vec<(PathBuf, Vec<Source>, String)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let (given, expected) = text.split_once("=== told\n").unwrap_or((&text, ""));
        let files = given
            .split("=== ")
            .skip(1)
            .map(|part| {
                let (name, body) = part.split_once('\n').unwrap();
                Source::new(name, body)
            })
            .collect();
        (path, files, expected.to_owned())
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn broken_policies_are_told_as_in_the_golden_files() {
    let cases = golden();
    assert!(cases.len() >= 25);
    let mut wrong = String::new();
    for (path, files, expected) in cases {
        let found = told(&files);
        if found != expected {
            // With BLESS set, what is told now becomes what is expected: look at the difference before committing it.
            if std::env::var_os("BLESS").is_some() {
                let mut text: String = std::fs::read_to_string(&path).unwrap();
                text.truncate(text.find("=== told\n").unwrap_or(text.len()));
                std::fs::write(&path, format!("{text}=== told\n{found}")).unwrap();
            } else {
                let _ = writeln!(wrong, "{}:\n{found}", path.display());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_golden_file_shows_a_secret() {
    for (path, files, expected) in golden() {
        assert!(!expected.contains("jpsQnnGQmL") && !expected.contains("hunter2"), "{}", path.display());
        assert!(!files.is_empty());
    }
}

#[test]
fn the_shipped_policies_compile_without_a_warning() {
    let files = shipped();
    match compile(&files, &contracts(), today()) {
        Ok(compiled) => assert_eq!(render(&compiled.warnings, &files, false), ""),
        Err(problems) => panic!("{}", render(&problems, &files, false)),
    }
}
