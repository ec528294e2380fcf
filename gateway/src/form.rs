//! Reads `application/x-www-form-urlencoded`, strictly.

/// The most fields of a form; the token endpoint knows six.
const FIELDS_MAX: usize = 32;

/// Parses a form; `None` if an escape is broken, a text is not UTF-8, or there are more than 32 fields.
#[must_use]
pub fn parse(raw: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(raw).ok()?;
    let mut fields = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if fields.len() == FIELDS_MAX {
            return None;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        fields.push((decode(name)?, decode(value)?));
    }
    Some(fields)
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(rest.next()?).to_digit(16)?;
                let low = char::from(rest.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_escapes_are_refused() {
        for raw in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(parse(raw.as_bytes()), None, "{raw}");
        }
    }

    #[test]
    fn fields_are_decoded_and_their_number_is_bounded() {
        assert_eq!(parse(b"a=b+c%2F&d="), Some(vec![("a".into(), "b c/".into()), ("d".into(), String::new())]));
        let most = vec!["a=1"; FIELDS_MAX].join("&");
        assert!(parse(most.as_bytes()).is_some());
        assert_eq!(parse(format!("{most}&a=1").as_bytes()), None);
    }
}
