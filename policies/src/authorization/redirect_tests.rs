use super::*;

#[test]
fn as23_a_redirect_uri_has_one_reading() {
    for (uri, error) in [
        ("", RedirectError::TooLong),
        ("app.example/cb", RedirectError::Scheme),
        ("/cb", RedirectError::Scheme),
        ("//app.example/cb", RedirectError::Scheme),
        ("https:app.example/cb", RedirectError::Scheme),
        ("https:/app.example/cb", RedirectError::Scheme),
        ("http://app.example/cb", RedirectError::Scheme),
        ("HTTPS://app.example/cb", RedirectError::Scheme),
        ("javascript://app.example/%0aalert(1)", RedirectError::Scheme),
        ("com.example.app://callback", RedirectError::Scheme),
        ("ftp://app.example/cb", RedirectError::Scheme),
        ("data://text/html", RedirectError::Scheme),
        ("https://app.example/cb#", RedirectError::Fragment),
        ("https://app.example/cb#code=1", RedirectError::Fragment),
        ("https://user@app.example/cb", RedirectError::UserInformation),
        ("https://user:pass@app.example/cb", RedirectError::UserInformation),
        ("https://bank.example@evil.example/cb", RedirectError::UserInformation),
        ("https://app.example\\@evil.example/cb", RedirectError::BadCharacter),
        ("https://app.example\\cb", RedirectError::BadCharacter),
        ("https:\\\\app.example/cb", RedirectError::Scheme),
        ("https://app.example/c b", RedirectError::BadCharacter),
        ("https://app.example/cb\n", RedirectError::BadCharacter),
        (" https://app.example/cb", RedirectError::Scheme),
        ("https://app.example/\u{441}b", RedirectError::BadCharacter),
        ("https://\u{430}pp.example/cb", RedirectError::BadCharacter),
        ("https://*.example/cb", RedirectError::BadCharacter),
        ("https://app.example/*", RedirectError::BadCharacter),
        ("https://app.example/cb?next=*", RedirectError::BadCharacter),
        ("https://app.example/<script>", RedirectError::BadCharacter),
        ("https://app.example/\"", RedirectError::BadCharacter),
        ("https://app.example/%", RedirectError::BadCharacter),
        ("https://app.example/%zz", RedirectError::BadCharacter),
        ("https://App.example/cb", RedirectError::Host),
        ("https://app.example./cb", RedirectError::Host),
        ("https://.example/cb", RedirectError::Host),
        ("https://app..example/cb", RedirectError::Host),
        ("https://-app.example/cb", RedirectError::Host),
        ("https:///cb", RedirectError::Host),
        ("https://?cb", RedirectError::Host),
        ("https://app.example:443/cb", RedirectError::Host),
        ("https://app.example:/cb", RedirectError::Host),
        ("https://app.example:0/cb", RedirectError::Host),
        ("https://app.example:08443/cb", RedirectError::Host),
        ("https://app.example:65536/cb", RedirectError::Host),
        ("https://app.example:84a3/cb", RedirectError::Host),
        ("https://app.example:8443:1/cb", RedirectError::Host),
        ("https://2130706433/cb", RedirectError::Host),
        ("https://0x7f000001/cb", RedirectError::Host),
        ("https://127.1/cb", RedirectError::Host),
        ("https://0177.0.0.1/cb", RedirectError::Host),
        ("https://[::0001]/cb", RedirectError::Host),
        ("https://[::1/cb", RedirectError::Host),
        ("https://[app]/cb", RedirectError::Host),
        ("https://app%2eexample/cb", RedirectError::Host),
        ("http://localhost:8080/cb", RedirectError::Scheme),
        ("http://127.0.0.1/cb", RedirectError::Scheme),
        ("http://127.0.0.1:80/cb", RedirectError::Host),
        ("http://127.0.0.2:8080/cb", RedirectError::Scheme),
        ("http://127.0.0.1.evil.example:8080/cb", RedirectError::Scheme),
        ("http://[::2]:8080/cb", RedirectError::Scheme),
        ("https://app.example/a/../cb", RedirectError::Path),
        ("https://app.example/./cb", RedirectError::Path),
        ("https://app.example/..", RedirectError::Path),
        ("https://app.example/%2e%2e/cb", RedirectError::Path),
        ("https://app.example/a%2Fcb", RedirectError::Path),
        ("https://app.example/a%5ccb", RedirectError::Path),
        ("https://app.example/cb%00", RedirectError::Path),
        ("https://app.example//cb", RedirectError::Path),
        ("https://app.example/c%61llback", RedirectError::Path),
        ("https://app.example/%d0%b0", RedirectError::Path),
        ("https://app.example/%7euser", RedirectError::Path),
        ("https://app.example/cb?code=1", RedirectError::Query),
        ("https://app.example/cb?a=1&state=2", RedirectError::Query),
        ("https://app.example/cb?iss=x", RedirectError::Query),
        ("https://app.example/cb?error", RedirectError::Query),
        ("https://app.example/cb?response=x", RedirectError::Query),
        ("https://app.example/cb?c%6fde=1", RedirectError::Query),
        ("https://app.example/cb?a=1?code=2", RedirectError::Query),
    ] {
        assert_eq!(check(uri), Err(error), "{uri}");
    }
}

#[test]
fn as23_plain_addresses_of_apps_are_registered() {
    for uri in [
        "https://app.example/cb",
        "https://app.example",
        "https://app.example/",
        "https://app.example/cb/",
        "https://app.example:8443/cb",
        "https://xn--80aaa.example/cb",
        "https://app.example/cb?tenant=1",
        "https://app.example/cb?codes=1&errors=2",
        "https://192.0.2.7/cb",
        "https://app.example/%D0%B0",
        "https://[2001:db8::1]:8443/cb",
        "http://127.0.0.1:8080/cb",
        "http://[::1]:8080/cb",
    ] {
        assert_eq!(check(uri), Ok(()), "{uri}");
    }
}

#[test]
fn a_redirect_uri_has_at_most_512_bytes() {
    let of = |bytes: usize| {
        let start = "https://app.example/";
        format!("{start}{}", "a".repeat(bytes - start.len()))
    };
    assert_eq!(check(&of(REDIRECT_URI_BYTES_MAX + 1)), Err(RedirectError::TooLong));
    assert_eq!(check(&of(REDIRECT_URI_BYTES_MAX)), Ok(()));
}

#[test]
fn as5_an_answer_cannot_break_out_of_its_parameter() {
    let state = "a&code=evil#frag?x=1 %26\"<>\u{430}+";
    let uri = answer("https://app.example/cb", &[("code", "c"), ("iss", "https://gate.example"), ("state", state)]);
    assert_eq!(
        uri,
        "https://app.example/cb?code=c&iss=https%3A%2F%2Fgate.example\
         &state=a%26code%3Devil%23frag%3Fx%3D1%20%2526%22%3C%3E%D0%B0%2B"
    );
    let queried = answer("https://app.example/cb?tenant=1", &[("error", "access_denied")]);
    assert_eq!(queried, "https://app.example/cb?tenant=1&error=access_denied");
    assert_eq!(answer("https://app.example/cb?", &[("code", "c")]), "https://app.example/cb?code=c");
    assert_eq!(answer("https://app.example/cb?a=1&", &[("code", "c")]), "https://app.example/cb?a=1&code=c");
}

// Whatever byte somebody changes: it is refused, or it is another place, never the same place written otherwise.
#[test]
fn as23_no_two_registered_uris_are_one_place() {
    let good = "https://app.example:8443/cb/a?tenant=1";
    let mut accepted = std::collections::BTreeMap::new();
    for (index, _) in good.char_indices() {
        for put in [
            "", "a", "A", "/", "\\", ".", "%2e", "%", "@", ":", "#", "?", "&", " ", "0", "[", "\u{430}", "//", "..",
            "\n",
        ] {
            let (before, after) = good.split_at(index);
            for changed in [format!("{before}{put}{after}"), format!("{before}{put}{}", after.get(1..).unwrap_or(""))] {
                if check(&changed).is_ok() {
                    let place = changed.split('?').next().unwrap_or_default().trim_end_matches('/').to_owned();
                    let query = changed.split_once('?').map(|(_, query)| query.to_owned());
                    let normal = normalise_url(&place);
                    let known = accepted.insert((normal, query), changed.clone());
                    let slash = |uri: &str| uri.replacen("/?", "?", 1);
                    assert!(known.is_none_or(|known| slash(&known) == slash(&changed)), "{changed}");
                }
            }
        }
    }
    assert!(accepted.len() > 10, "{}", accepted.len());
}
