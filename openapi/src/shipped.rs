//! The contracts that are published with this gateway.

use crate::fault::Source;

/// The files of `openapi/apis/`, as they were when this was built.
const APIS: [(&str, &str); 6] = [
    (
        "openapi/apis/accounts.yaml",
        include_str!("../apis/accounts.yaml"),
    ),
    (
        "openapi/apis/admin.yaml",
        include_str!("../apis/admin.yaml"),
    ),
    (
        "openapi/apis/discovery.yaml",
        include_str!("../apis/discovery.yaml"),
    ),
    (
        "openapi/apis/identity.yaml",
        include_str!("../apis/identity.yaml"),
    ),
    (
        "openapi/apis/oauth.yaml",
        include_str!("../apis/oauth.yaml"),
    ),
    (
        "openapi/apis/payments.yaml",
        include_str!("../apis/payments.yaml"),
    ),
];

/// The published contracts, sorted by name.
pub fn shipped() -> Vec<Source> {
    APIS.iter()
        .map(|(name, text)| Source {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        })
        .collect()
}
