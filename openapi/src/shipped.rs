//! The contracts that are published with this gateway.

use crate::fault::Source;

/// The files of `openapi/apis/`, as they were when this was built.
const APIS: [(&str, &str); 9] = [
    ("openapi/apis/accounts.yaml", include_str!("../apis/accounts.yaml")),
    ("openapi/apis/admin.yaml", include_str!("../apis/admin.yaml")),
    ("openapi/apis/consents.yaml", include_str!("../apis/consents.yaml")),
    ("openapi/apis/discovery.yaml", include_str!("../apis/discovery.yaml")),
    ("openapi/apis/events.yaml", include_str!("../apis/events.yaml")),
    ("openapi/apis/identity.yaml", include_str!("../apis/identity.yaml")),
    ("openapi/apis/limits.yaml", include_str!("../apis/limits.yaml")),
    ("openapi/apis/oauth.yaml", include_str!("../apis/oauth.yaml")),
    ("openapi/apis/payments.yaml", include_str!("../apis/payments.yaml")),
];

/// The published contracts, sorted by name.
pub fn shipped() -> Vec<Source> {
    APIS.iter().map(|(name, text)| Source { name: (*name).to_owned(), text: (*text).to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::document::{Node, parse};
    use crate::fault::Faults;
    use crate::library::Library;
    use crate::schema::{Schemas, Way};
    use crate::units::Cache;
    use crate::{BodyError, Contract, Operation};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn nothing_of_ours_is_remarkable() {
        assert_eq!(contract().warnings(), []);
        assert!(contract().operations().iter().all(|operation| operation.obstacle().is_none()));
    }

    #[test]
    fn every_file_of_the_folder_is_shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("apis");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("openapi/apis/{}", entry.unwrap().file_name().to_str().unwrap()))
            .collect();
        names.sort();
        let shipped: Vec<String> = shipped().into_iter().map(|source| source.name).collect();
        assert_eq!(shipped, names);
    }

    fn contract() -> Contract {
        Contract::load(&shipped()).unwrap()
    }

    fn operation(id: &str) -> Arc<Operation> {
        let contract = contract();
        Arc::clone(contract.operations().iter().find(|operation| operation.id() == id).unwrap())
    }

    fn library() -> Library {
        Library::read(&shipped()).unwrap()
    }

    /// Every document with its name and its tree.
    fn documents(library: &Library) -> Vec<(&str, &Node)> {
        library.documents().map(|file| (library.name(file), library.root(file).unwrap())).collect()
    }

    /// Calls `visit` for a node and everything below it, with the key it stands under.
    fn walk<'d>(key: &str, node: &'d Node, visit: &mut dyn FnMut(&str, &'d Node)) {
        visit(key, node);
        for entry in node.entries() {
            walk(&entry.key, &entry.value, visit);
        }
        for item in node.items() {
            walk("", item, visit);
        }
    }

    fn body_faults(id: &str, body: &str) -> Vec<String> {
        match operation(id).check_body(Some("application/json"), body.as_bytes()) {
            Ok(_) => Vec::new(),
            Err(BodyError::Invalid(faults)) => {
                faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.keyword)).collect()
            }
            Err(other) => vec![other.to_string()],
        }
    }

    const PAYMENT: &str = r#"{"debtorAccount":{"iban":"KZ86125KZT5004100100"},"creditorAccount":{"iban":"KZ75125KZT1001300335"},"creditorName":"N","instructedAmount":{"amount":"1500.00","currency":"KZT"},"knp":"710"}"#;
    const VERIFICATION: &str =
        r#"{"subject":{"type":"iin","value":"900101300017"},"purpose":"loan","level":"L3","binding":{"kind":"none"}}"#;
    const CALLBACK: &str = r#"{"session":"s","reference":"r","outcome":"match","occurredAt":"2026-03-01T09:35:12Z"}"#;

    #[test]
    fn bodies_that_are_not_described_are_refused() {
        for (id, body, from, to, fault) in [
            ("createDomesticPayment", PAYMENT, "1500.00", "1500.000", "/instructedAmount/amount pattern"),
            ("createDomesticPayment", PAYMENT, "1500.00", "1500", "/instructedAmount/amount pattern"),
            ("createDomesticPayment", PAYMENT, "\"1500.00\"", "1500.00", "/instructedAmount/amount type"),
            ("createDomesticPayment", PAYMENT, "\"KZT\"", "\"USD\"", "/instructedAmount/currency enum"),
            ("createDomesticPayment", PAYMENT, "710", "71", "/knp pattern"),
            ("createDomesticPayment", PAYMENT, "KZ86", "XX86", "/debtorAccount/iban pattern"),
            ("createDomesticPayment", PAYMENT, "\"N\"", "\"\"", "/creditorName minLength"),
            ("createDomesticPayment", PAYMENT, "\"knp\"", "\"extra\":1,\"knp\"", "/extra additionalProperties"),
            (
                "createDomesticPayment",
                PAYMENT,
                "\"iban\"",
                "\"bic\":\"x\",\"iban\"",
                "/debtorAccount/bic additionalProperties",
            ),
            ("createIdentityVerification", VERIFICATION, "900101300017", "90010130001", "/subject/value pattern"),
            ("createIdentityVerification", VERIFICATION, "L3", "L1", "/level enum"),
            ("createIdentityVerification", VERIFICATION, "loan", "gift", "/purpose enum"),
            (
                "createIdentityVerification",
                VERIFICATION,
                "\"none\"",
                "\"none\",\"hash\":\"x\"",
                "/binding/hash pattern",
            ),
            ("receiveIdentityCallback", CALLBACK, "\"match\"", "\"maybe\"", "/outcome enum"),
            ("receiveIdentityCallback", CALLBACK, "T09:35:12Z", "", "/occurredAt format"),
        ] {
            let broken = body.replacen(from, to, 1);
            let faults = body_faults(id, &broken);
            assert!(faults.iter().any(|found| found == fault), "{broken} {faults:?}");
        }
        for (id, body) in [
            ("createDomesticPayment", PAYMENT),
            ("createIdentityVerification", VERIFICATION),
            ("receiveIdentityCallback", CALLBACK),
        ] {
            assert_eq!(body_faults(id, body), [""; 0], "{id}");
            assert!(operation(id).body_required());
        }
    }

    #[test]
    fn a_token_form_may_hold_unknown_fields_but_no_field_twice() {
        let check = |body: &str| {
            operation("issueToken").check_body(Some("application/x-www-form-urlencoded"), body.as_bytes()).is_ok()
        };
        assert!(!check("grant_type=a&grant_type=b"));
        assert!(!check(&format!("grant_type={}", "a".repeat(129))));
        assert!(!check(""));
        assert!(check(&format!("grant_type={}", "a".repeat(128))));
        assert!(check("grant_type=client_credentials&resource=https%3A%2F%2Fapi.example.kz"));
    }

    #[test]
    fn the_shipped_operations_are_these() {
        let contract = contract();
        let mut told: Vec<String> = contract
            .operations()
            .iter()
            .map(|operation| {
                let security =
                    operation.security().iter().map(|one| format!("{}({})", one.scheme, one.scopes.join(" ")));
                let guard = security.collect::<Vec<_>>().join(" or ");
                format!(
                    "{} {} {} {} [{guard}]",
                    operation.document(),
                    operation.id(),
                    operation.method(),
                    operation.template()
                )
            })
            .collect();
        told.sort();
        assert_eq!(
            told,
            [
                "accounts getAccountBalances GET /v1/accounts/{accountId}/balances [accessToken(balances:read)]",
                "accounts listAccountTransactions GET /v1/accounts/{accountId}/transactions [accessToken(transactions:read)]",
                "accounts listAccounts GET /v1/accounts [accessToken(accounts:read)]",
                "admin approvePolicySet POST /admin/policy-sets/{number}/approvals [administrator()]",
                "admin eraseSubject POST /admin/erasures [administrator()]",
                "admin getGeneration GET /admin/generation [administrator()]",
                "admin getLiveness GET /livez []",
                "admin getMetrics GET /metrics []",
                "admin getPolicySet GET /admin/policy-sets/{number} [administrator()]",
                "admin getReadiness GET /readyz []",
                "admin listAuditRecords GET /admin/audit/records [administrator()]",
                "admin listClientLimits GET /admin/limits [administrator()]",
                "admin listPolicySets GET /admin/policy-sets [administrator()]",
                "admin listRoutes GET /admin/routes [administrator()]",
                "admin listSigningKeys GET /admin/keys [administrator()]",
                "admin proposePolicySet POST /admin/policy-sets [administrator()]",
                "admin reloadPolicies POST /admin/reload [administrator()]",
                "admin resetLimits POST /admin/limits/resets [administrator()]",
                "admin restorePolicySet POST /admin/policy-sets/{number}/restorations [administrator()]",
                "admin rotateSigningKeys POST /admin/keys/rotations [administrator()]",
                "admin withdrawPolicySet POST /admin/policy-sets/{number}/withdrawals [administrator()]",
                "consents createAccountAccessConsent POST /v1/account-access-consents [accessToken(consents:write)]",
                "consents createDomesticPaymentConsent POST /v1/domestic-payment-consents [accessToken(consents:write)]",
                "consents deleteAccountAccessConsent DELETE /v1/account-access-consents/{consentId} [accessToken(consents:write)]",
                "consents deleteDomesticPaymentConsent DELETE /v1/domestic-payment-consents/{consentId} [accessToken(consents:write)]",
                "consents getAccountAccessConsent GET /v1/account-access-consents/{consentId} [accessToken(consents:write)]",
                "consents getDomesticPaymentConsent GET /v1/domestic-payment-consents/{consentId} [accessToken(consents:write)]",
                "discovery getStatus GET /v1/discovery/status []",
                "events listEvents GET /v1/events [accessToken(events:read)]",
                "events redeliverEvents POST /v1/events/redeliveries [accessToken(events:write)]",
                "identity createIdentityVerification POST /v1/identity-verifications [accessToken(identity:verify)]",
                "identity getIdentityVerification GET /v1/identity-verifications/{verificationId} [accessToken(identity:verify)]",
                "identity receiveIdentityCallback POST /v1/identity-callbacks/{provider} [signedCallback()]",
                "limits getLimit GET /v1/limits/{policy} [accessToken(limits:read)]",
                "limits listLimits GET /v1/limits [accessToken(limits:read)]",
                "oauth changeCitizenConsents POST /oauth/consents []",
                "oauth decideAuthorization POST /oauth/authorize []",
                "oauth getAuthorizationServerMetadata GET /.well-known/oauth-authorization-server []",
                "oauth getAuthorizationServerMetadataOfPath GET /.well-known/oauth-authorization-server/{issuerPath} []",
                "oauth getKeys GET /oauth/jwks []",
                "oauth getOpenidConfiguration GET /.well-known/openid-configuration []",
                "oauth getOpenidConfigurationOfPath GET /.well-known/openid-configuration/{issuerPath} []",
                "oauth getProtectedResourceMetadata GET /.well-known/oauth-protected-resource []",
                "oauth getProtectedResourceMetadataOfPath GET /.well-known/oauth-protected-resource/{issuerPath} []",
                "oauth introspectToken POST /oauth/introspect [clientAuthentication()]",
                "oauth issueToken POST /oauth/token [clientAuthentication()]",
                "oauth pushAuthorizationRequest POST /oauth/par [clientAuthentication()]",
                "oauth returnToAuthorization GET /oauth/authorize/return []",
                "oauth revokeToken POST /oauth/revoke [clientAuthentication()]",
                "oauth showAuthorization GET /oauth/authorize []",
                "oauth showCitizenConsents GET /oauth/consents []",
                "payments createDomesticPayment POST /v1/domestic-payments [accessToken(payments:write)]",
                "payments getDomesticPayment GET /v1/domestic-payments/{paymentId} [accessToken(payments:read)]",
            ]
        );
    }

    #[test]
    fn every_text_has_a_limit() {
        for (name, root) in documents(&library()) {
            let mut unlimited = Vec::new();
            walk("", root, &mut |key, node| {
                let text = node.get("type").and_then(Node::text) == Some("string");
                let limited = node.get("maxLength").or_else(|| node.get("enum")).is_some();
                if text && !limited {
                    unlimited.push(format!("{name}:{} {key}", node.mark().line));
                }
            });
            assert_eq!(unlimited, [""; 0]);
        }
    }

    #[test]
    fn every_request_object_is_closed_but_the_forms_of_oauth() {
        for (name, root) in documents(&library()) {
            let mut bodies = Vec::new();
            walk("", root, &mut |key, node| {
                if key == "requestBody" {
                    walk("", node, &mut |key, node| {
                        bodies.extend(node.text().filter(|_| key == "$ref").map(str::to_owned))
                    });
                }
            });
            for body in bodies {
                let mut open = Vec::new();
                walk("", root.nearest(body.trim_start_matches('#')), &mut |_, node| {
                    let object = node.get("type").and_then(Node::text) == Some("object");
                    if object && node.get("additionalProperties").and_then(Node::boolean) != Some(false) {
                        open.push(format!("{name} {body}"));
                    }
                });
                // RFC 6749, 3.1 and 3.2: what a server does not know of a request it ignores.
                let known = |open: &String| open.starts_with("openapi/apis/oauth.yaml ");
                open.retain(|open| !known(open));
                assert_eq!(open, [""; 0]);
            }
        }
    }

    #[test]
    fn every_example_keeps_its_own_schema() {
        let mut checked = 0;
        let library = library();
        for (name, root) in documents(&library) {
            let mut faults = Faults::of(library.names());
            let mut cache = Cache::default();
            let mut schemas = Schemas::read(&library, root, &cache, &mut faults);
            let mut found = Vec::new();
            walk("", root, &mut |_, node| {
                if let (Some(schema), Some(example)) = (node.get("schema"), node.get("example")) {
                    found.push((schema, example));
                }
            });
            let mut checks = Vec::new();
            for (schema, example) in found {
                checks.push((schemas.check(schema, Way::Out, &mut faults), example));
            }
            schemas.finish(&mut cache, None, &mut faults);
            for (check, example) in checks {
                let mut faults = Vec::new();
                check.complain(&mut example.to_value(), "", &mut faults);
                assert_eq!(faults, [], "{name}:{}", example.mark().line);
                checked += 1;
            }
        }
        assert!(checked > 30, "{checked}");
    }

    #[test]
    fn a_torn_document_is_refused_without_a_panic() {
        for source in shipped()
            .iter()
            .filter(|source| source.name.ends_with("oauth.yaml") || source.name.ends_with("discovery.yaml"))
        {
            for end in (0..source.text.len()).step_by(23).filter(|end| source.text.is_char_boundary(*end)) {
                let (before, after) = source.text.split_at(end);
                for text in [
                    before.to_owned(),
                    after.to_owned(),
                    format!("{before}{{{after}"),
                    format!("{before}\n{after}"),
                    format!("{before}\t'{after}"),
                ] {
                    if parse(&Source { name: "x.yaml".to_owned(), text: text.clone() }).is_ok() && end % 46 == 0 {
                        let _ = Contract::load(&[Source { name: "x.yaml".to_owned(), text }]);
                    }
                }
            }
        }
    }
}
