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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;
    use crate::Contract;
    use std::path::Path;

    #[test]
    fn every_file_of_the_folder_is_shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("apis");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                format!(
                    "openapi/apis/{}",
                    entry.unwrap().file_name().to_str().unwrap()
                )
            })
            .collect();
        names.sort();
        let shipped: Vec<String> = shipped().into_iter().map(|source| source.name).collect();
        assert_eq!(shipped, names);
    }

    #[test]
    fn the_shipped_contract_loads() {
        let contract = Contract::load(&shipped())
            .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())
            .unwrap();
        assert_eq!(contract.operations().len(), 20);
    }
}
