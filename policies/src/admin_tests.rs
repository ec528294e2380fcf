#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

fn entry(id: &str, roles: &[AdminRole], token: &str) -> AdminEntry {
    AdminEntry {
        id: AdminId::parse(id).unwrap(),
        roles: roles.iter().copied().collect(),
        token_hash: sha256(token.as_bytes()),
    }
}

#[test]
fn short_default_and_empty_tokens_are_refused_whatever_is_configured() {
    for token in ["", "admin", "a", &"a".repeat(ADMIN_TOKEN_MIN - 1), &"a".repeat(ADMIN_TOKEN_MAX + 1)] {
        let entries = [entry("aru", &[AdminRole::Viewer], token)];
        assert_eq!(identify(&entries, token), Err(AdminError::Malformed), "{token}");
    }
    for token in ["a".repeat(ADMIN_TOKEN_MIN), "a".repeat(ADMIN_TOKEN_MAX)] {
        assert!(identify(&[entry("aru", &[], &token)], &token).is_ok());
    }
}

#[test]
fn an_unknown_token_is_refused() {
    let token = "t".repeat(40);
    assert_eq!(identify(&[], &token), Err(AdminError::Unknown));
    let entries = [entry("aru", &[AdminRole::Viewer], &"u".repeat(40))];
    assert_eq!(identify(&entries, &token), Err(AdminError::Unknown));
    // The hash is not the token.
    let hash = crate::jose::base64url(&sha256("u".repeat(40).as_bytes()));
    assert_eq!(identify(&entries, &hash), Err(AdminError::Unknown));
    assert_eq!(AdminError::Unknown.code(), Code::AdministratorRefused);
}

#[test]
fn two_people_with_one_token_are_nobody() {
    let token = "t".repeat(40);
    let entries = [entry("aru", &[AdminRole::Viewer], &token), entry("dana", &[AdminRole::Approver], &token)];
    assert_eq!(identify(&entries, &token), Err(AdminError::Unknown));
}

#[test]
fn an_administrator_has_their_own_roles_and_no_others() {
    let tokens = ["t".repeat(40), "u".repeat(40)];
    let [first, second] = &tokens;
    let entries =
        [entry("aru", &[AdminRole::Viewer, AdminRole::Auditor], first), entry("dana", &[AdminRole::Approver], second)];
    let aru = identify(&entries, first).unwrap();
    assert_eq!(aru.id().as_str(), "aru");
    let roles: Vec<bool> = AdminRole::ALL.into_iter().map(|role| aru.has(role)).collect();
    assert_eq!(roles, [true, false, false, true, false]);
    assert!(!identify(&entries, second).unwrap().has(AdminRole::Editor));
}

#[test]
fn roles_are_words() {
    for role in AdminRole::ALL {
        assert_eq!(AdminRole::from_word(role.word()), Some(role));
    }
    for word in ["", "Viewer", "root", "admin"] {
        assert_eq!(AdminRole::from_word(word), None);
    }
}

#[test]
fn an_entry_shows_no_hash() {
    let shown = format!("{:?}", entry("aru", &[AdminRole::Viewer], "t"));
    assert!(shown.contains("aru") && !shown.contains("token_hash"), "{shown}");
}
