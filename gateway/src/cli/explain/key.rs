//! `qaqpa explain KEY.PATH`: what a key of the language means, from the tables that the decoder reads.

use policies::language::outline::{Found, NAME, called, find, inside, told as kind_told};
use policies::language::schema::{bounds, strictness};
use policies::language::suggest::listed;
use policies::language::table::{Kind, Need, Table};

use super::page::{columns, wrapped};

/// Tells of a key.
///
/// # Errors
/// The part of the path that is no key, and what was probably meant.
pub(super) fn told(path: &str) -> Result<String, String> {
    let parts: Vec<&str> = path.split('.').collect();
    let found = find(&parts).map_err(|unknown| {
        // The last part of a path, as it stands in a file, is what people have before their eyes.
        let ends = if parts.len() == 1 { called(path) } else { Vec::new() };
        if !ends.is_empty() {
            return format!("`{path}` stands below other keys: try {}", listed(ends.iter().map(String::as_str)));
        }
        let help = match unknown.meant() {
            Some(word) => format!("did you mean `{word}`?"),
            None if unknown.known.is_empty() => "nothing stands below".to_owned(),
            None => format!("known: {}", listed(unknown.known.iter().copied())),
        };
        format!("no key `{}` in `{path}`; {help}", unknown.part)
    })?;
    Ok(page(&found))
}

fn page(found: &Found) -> String {
    let field = found.field;
    let mut text = format!("{}\n\n{}\n\n", found.path.join("."), wrapped(field.about));
    let mut rows = vec![("value".to_owned(), kind_told(&field.kind))];
    if let Some(range) = bounds(&field.kind) {
        rows.push(("range".to_owned(), range));
    }
    let need = match field.need {
        Need::Required => "has to be there".to_owned(),
        Need::Optional => "there is none of it".to_owned(),
        Need::Default(value) => value.to_owned(),
    };
    rows.push((if field.need == Need::Required { "needed" } else { "left out" }.to_owned(), need));
    if let Some(stricter) = strictness(field.stricter) {
        rows.push(("stricter".to_owned(), stricter.to_owned()));
    }
    text.push_str(&columns(rows.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    if let Some(below) = inside(&field.kind) {
        let title = if below.named { format!("\nBelow it, for each {NAME}:\n") } else { "\nBelow it:\n".to_owned() };
        text.push_str(&title);
        text.push_str(&keys(below.table));
    } else if matches!(field.kind, Kind::Named(_)) {
        text.push_str("\nBelow it stand names that people choose.\n");
    }
    text
}

fn keys(table: &'static Table) -> String {
    columns(table.fields.iter().map(|field| (field.name, field.about)))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn a_misspelt_key_is_told_with_what_was_meant() {
        assert!(told("apis.payments.operatoins.timeout").unwrap_err().contains("did you mean `operations`?"));
        assert!(told("timeuot").unwrap_err().contains("no key `timeuot`"));
    }

    #[test]
    fn the_last_part_of_a_key_is_told_with_where_it_stands() {
        let told = |path: &str| told(path).unwrap_err();
        assert_eq!(told("override"), "`override` stands below other keys: try `apis.operations.override`");
        assert!(told("networks").contains("`organisations.networks`"));
        assert!(told("timeout").contains("`defaults.timeout`"));
    }

    #[test]
    fn a_key_is_told_with_value_range_and_strictness() {
        let text = told("apis.operations.timeout").unwrap();
        for part in
            ["apis.<name>.operations.<name>.timeout", "`800ms`", "From 1ms to 2m.", "The smaller, the stricter."]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(told("defaults").unwrap().contains("Below it:\n"));
        assert!(told("plans.limits").unwrap().contains("burst"));
    }
}
