//! Where citizens are sent back to: what may be registered, and how the answer is put behind it.

use std::net::IpAddr;

use thiserror::Error;

use crate::proof::normalise_url;

/// The longest redirect URI, in bytes: code, issuer and state go behind it into a Location header.
pub const REDIRECT_URI_BYTES_MAX: usize = 512;

// What an answer carries: a registered URI that has one of them in its query would make it stand twice.
const ANSWER_PARAMETERS: [&str; 7] = ["code", "state", "iss", "error", "error_description", "error_uri", "response"];

/// Why a text cannot be registered as a redirect URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RedirectError {
    /// It is empty or longer than [`REDIRECT_URI_BYTES_MAX`].
    #[error("a redirect URI has at most {REDIRECT_URI_BYTES_MAX} bytes")]
    TooLong,
    /// It has a character that no URI has, or that browsers and servers read in different ways.
    #[error("a redirect URI has no blanks, backslashes, wildcards or characters outside ASCII")]
    BadCharacter,
    /// It is neither https nor, on the loopback address, http.
    #[error("a redirect URI is https; http only with 127.0.0.1 or [::1] and a port, for apps on the same device")]
    Scheme,
    /// It has user information.
    #[error("a redirect URI has no user information")]
    UserInformation,
    /// Its host is none, or is not in its one form: lower case, no dot at the end, a port that is not the usual one.
    #[error("the host of a redirect URI is a name in lower case, without a dot at the end or the usual port")]
    Host,
    /// It has a fragment.
    #[error("a redirect URI has no fragment")]
    Fragment,
    /// Its path has dot segments, doubled slashes, or percent-encoded ones or letters.
    #[error(
        "the path of a redirect URI is in its one form: no dot segments, doubled or encoded slashes, encoded letters"
    )]
    Path,
    /// Its query has a parameter that answers have.
    #[error("the query of a redirect URI has no parameter that answers have")]
    Query,
}

/// Tells whether a text may be registered as a redirect URI: absolute, and with one reading only.
///
/// # Errors
/// [`RedirectError`].
pub fn check(uri: &str) -> Result<(), RedirectError> {
    if uri.is_empty() || uri.len() > REDIRECT_URI_BYTES_MAX {
        return Err(RedirectError::TooLong);
    }
    if uri.contains('#') {
        return Err(RedirectError::Fragment);
    }
    let (scheme, rest) = uri.split_once("://").ok_or(RedirectError::Scheme)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?[]@!$&'()+,;=%".contains(&byte);
    if !rest.bytes().all(plain) || !triplets(rest) {
        return Err(RedirectError::BadCharacter);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if authority.contains('@') {
        return Err(RedirectError::UserInformation);
    }
    let loopback = check_authority(scheme, authority)?;
    match scheme {
        "https" => {}
        "http" if loopback => {}
        _ => return Err(RedirectError::Scheme),
    }
    let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
    check_path(path)?;
    // Whatever else two readers could take for one and the same: lower-case triplets, encoded letters.
    let written = format!("{scheme}://{authority}{}", if path.is_empty() { "/" } else { path });
    if normalise_url(&written).as_ref() != Some(&written) {
        return Err(RedirectError::Path);
    }
    let told = |pair: &str| ANSWER_PARAMETERS.contains(&pair.split('=').next().unwrap_or(pair));
    // An encoded name could be one of them after all.
    if query.contains('?')
        || query.split('&').any(|pair| told(pair) || pair.split('=').next() != Some(&plain_name(pair)))
    {
        return Err(RedirectError::Query);
    }
    Ok(())
}

/// Puts the parameters of an answer behind a registered redirect URI, percent-encoded.
#[must_use]
pub fn answer(uri: &str, parameters: &[(&str, &str)]) -> String {
    let mut answered = uri.to_owned();
    let mut separator = if uri.contains('?') { '&' } else { '?' };
    if uri.ends_with(['?', '&']) {
        answered.pop();
        separator = if answered.contains('?') { '&' } else { '?' };
    }
    for (name, value) in parameters {
        answered.push(separator);
        answered.push_str(name);
        answered.push('=');
        answered.push_str(&encoded(value));
        separator = '&';
    }
    answered
}

// RFC 3986, section 2.1: everything but unreserved characters.
fn encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

// The name of a query parameter without what could stand for another character.
fn plain_name(pair: &str) -> String {
    let name = pair.split('=').next().unwrap_or(pair);
    name.chars().filter(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')).collect()
}

fn triplets(text: &str) -> bool {
    let hex = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('%').skip(1).all(|after| after.get(..2).is_some_and(hex))
}

// Tells whether the host is a loopback address with a port.
fn check_authority(scheme: &str, authority: &str) -> Result<bool, RedirectError> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']').ok_or(RedirectError::Host)?;
        authority.split_at(end + 1)
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse::<u16>().map_err(|_| RedirectError::Host)?)
        }
        _ => return Err(RedirectError::Host),
    };
    let usual = if scheme == "https" { 443 } else { 80 };
    if port == Some(usual) {
        return Err(RedirectError::Host);
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        let address: IpAddr = inner.parse().map_err(|_| RedirectError::Host)?;
        // One form only: what the address is written as.
        return if address.to_string() == inner {
            Ok(inner == "::1" && port.is_some())
        } else {
            Err(RedirectError::Host)
        };
    }
    let label = |label: &str| {
        let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(inside) && !label.starts_with('-')
    };
    if !host.split('.').all(label) {
        return Err(RedirectError::Host);
    }
    // A host whose last label is a number is an address: in the one usual form, or a trick.
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    let tricked = host.rsplit('.').next().is_some_and(|last| last.starts_with("0x"));
    if tricked || (numeric && host.parse::<IpAddr>().is_err()) {
        return Err(RedirectError::Host);
    }
    Ok(host == "127.0.0.1" && port.is_some())
}

fn check_path(path: &str) -> Result<(), RedirectError> {
    let lower = path.to_ascii_lowercase();
    let encoded = ["%2f", "%5c", "%2e", "%00"].iter().any(|triplet| lower.contains(triplet));
    let dots = path.split('/').any(|segment| matches!(segment, "." | ".."));
    if encoded || dots || path.contains("//") { Err(RedirectError::Path) } else { Ok(()) }
}

#[cfg(test)]
#[path = "redirect_tests.rs"]
mod tests;
