//! The name of an operation that its document gives none.
//!
//! Policies speak of operations by name, so the name depends on method and path alone, and no two paths share one:
//! `GET /things/{id}` is `get_things_by_id`. Must never look at anything else of a document.

use crate::reader::NAME_BYTES_MAX;
use crate::router::segments;

/// Makes the name: the method, then each segment behind `_`, a parameter as `by_NAME`.
///
/// Letters, digits and `-` stay. So that no two paths share a name, `_` is written `._`, a point `..`, other characters
/// `.` and two hexadecimal digits a byte, and a plain segment `by` is `.by`. What gets too long ends with a check sum.
pub(crate) fn operation_id(method: &str, template: &str) -> String {
    let mut name = method.to_ascii_lowercase();
    for segment in segments(template) {
        name.push('_');
        match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(parameter) => {
                name.push_str("by_");
                spell(parameter, &mut name);
            }
            None if segment == "by" => name.push_str(".by"),
            None => spell(segment, &mut name),
        }
    }
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let sum = format!("...{:016x}", fnv1a(&name));
    name.truncate(NAME_BYTES_MAX - sum.len());
    name + &sum
}

fn spell(text: &str, name: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'_' => name.push_str("._"),
            b'.' => name.push_str(".."),
            b'-' => name.push('-'),
            byte if byte.is_ascii_alphanumeric() => name.push(char::from(byte)),
            byte => name.push_str(&format!(".{byte:02X}")),
        }
    }
}

/// FNV-1a with 64 bits: the same in every build, unlike the standard library's.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::is_name;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_paths_share_a_name() {
        let templates = [
            "/",
            "/a",
            "/a_b",
            "/a/b",
            "/a-b",
            "/a.b",
            "/a._b",
            "/a.5Fb",
            "/by/{id}",
            "/{by}/id",
            "/by/id",
            "/{id}",
            "/{by_id}",
            "/by/by/id",
            "/{a}/{b}",
            "/a/{b}",
            "/{a}/b",
            "/a~b",
            "/a:b",
            "/a/_b",
            "/a_/b",
            "/a__b",
            "/a/by",
        ];
        let names: BTreeSet<String> = templates.iter().map(|template| operation_id("GET", template)).collect();
        assert_eq!(names.len(), templates.len(), "{names:?}");
        assert!(names.iter().all(|name| is_name(name)), "{names:?}");
        assert_ne!(operation_id("GET", "/a"), operation_id("PUT", "/a"));
    }

    #[test]
    fn names_are_what_they_are_said_to_be() {
        for (method, template, name) in [
            ("GET", "/things/{id}", "get_things_by_id"),
            ("POST", "/v1/payment-orders", "post_v1_payment-orders"),
            ("DELETE", "/a_b/{c-d}/e.f", "delete_a._b_by_c-d_e..f"),
            ("GET", "/", "get"),
        ] {
            assert_eq!(operation_id(method, template), name);
        }
    }

    #[test]
    fn the_limit_of_names_holds_on_both_sides() {
        let template = |length: usize| format!("/{}", "a".repeat(length - "get_".len()));
        assert_eq!(operation_id("GET", &template(NAME_BYTES_MAX)).len(), NAME_BYTES_MAX);
        let long = operation_id("GET", &template(NAME_BYTES_MAX + 1));
        assert!(long.len() == NAME_BYTES_MAX && long.contains("...") && is_name(&long));
        assert_ne!(long, operation_id("GET", &template(NAME_BYTES_MAX + 2)));
    }
}
