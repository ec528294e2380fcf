//! The few lines of a `Cargo.toml` that tidy asks for.

/// A manifest.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    pub(crate) name: String,
    /// What the shipped code may import; dev-dependencies are not in it.
    pub(crate) dependencies: Vec<String>,
    /// Whether it takes the lints of the workspace.
    pub(crate) workspace_lints: bool,
}

/// Reads a manifest.
pub(crate) fn parse(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    let mut section = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').trim_matches('[').to_owned();
            // `[dependencies.name]` and `[target.'cfg(..)'.dependencies.name]` name one themselves.
            if let Some((kind, name)) = section.rsplit_once('.')
                && is_dependencies(kind)
            {
                manifest.dependencies.push(name.to_owned());
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match section.as_str() {
            "package" if key == "name" => manifest.name = value.trim_matches('"').to_owned(),
            "lints" if key == "workspace" => manifest.workspace_lints = value == "true",
            section if is_dependencies(section) => manifest.dependencies.push(dependency(key, value)),
            _ => {}
        }
    }
    manifest
}

/// Reads the members of the workspace.
pub(crate) fn members(text: &str) -> Vec<String> {
    let list = text.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).map_or("", |(list, _)| list);
    list.split(',').map(|item| item.trim().trim_matches('"').to_owned()).filter(|item| !item.is_empty()).collect()
}

fn is_dependencies(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or_default();
    (last == "dependencies" || last == "build-dependencies") && !section.starts_with("workspace")
}

/// A dependency under another name is still the package it names.
fn dependency(key: &str, value: &str) -> String {
    let renamed = value.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1));
    let own = key.split('.').next().unwrap_or_default().trim_matches('"');
    renamed.unwrap_or(own).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_dependency_is_read() {
        let text = "[package]\nname = \"x\"\n[lints]\nworkspace = true\n[dependencies]\na.workspace = true\nb = { version = \"1\", package = \"c\" }\n\
                    [dependencies.d]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\ne = \"1\"\n[dev-dependencies]\nf = \"1\"\n";
        let manifest = parse(text);
        assert_eq!(manifest.dependencies, ["a", "c", "d", "e"]);
        assert!(manifest.workspace_lints && manifest.name == "x");
    }
}
