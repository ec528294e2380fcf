#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_614_265_330);
const TICK: Duration = Duration::from_millis(1);
// The example of the Standard Webhooks libraries: secret `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret() -> Vec<u8> {
    STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap()
}

fn provider() -> ProviderId {
    ProviderId::parse("sandbox-face").unwrap()
}

fn check(
    id: &str,
    timestamp: &str,
    signatures: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<VerifiedCallback, CallbackError> {
    verify(&secret(), id, timestamp, signatures, body, &provider(), now)
}

fn sign(id: &str, timestamp: &str, body: &[u8]) -> String {
    let message = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    format!("v1,{}", STANDARD.encode(hmac_sha256(&secret(), &message)))
}

#[test]
fn a_callback_whose_bytes_changed_is_refused() {
    for (id, timestamp, body) in [
        (ID, "1614265330", br#"{"test": 2432232315}"#.as_slice()),
        (ID, "1614265330", b""),
        (ID, "1614265331", BODY),
        ("msg_other", "1614265330", BODY),
    ] {
        assert_eq!(check(id, timestamp, SIGNATURE, body, NOW), Err(CallbackError::BadSignature));
    }
}

#[test]
fn other_signatures_are_refused() {
    let bare = SIGNATURE.strip_prefix("v1,").unwrap();
    for signatures in [
        "",
        "v1,",
        "v1",
        ",",
        bare,
        "v1a,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "V1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",
        "v1,g0hM9SsE-OTPJTGt_tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1,g0hM9SsE",
        "v1, g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ] {
        assert_eq!(check(ID, "1614265330", signatures, BODY, NOW), Err(CallbackError::BadSignature), "{signatures}");
    }
    let longer = STANDARD.encode([STANDARD.decode(bare).unwrap(), vec![0]].concat());
    let found = check(ID, "1614265330", &format!("v1,{longer}"), BODY, NOW);
    assert_eq!(found, Err(CallbackError::BadSignature));
}

#[test]
fn any_of_several_signatures_will_do_within_the_limit() {
    let wrong = sign("other", "1", b"");
    let after = |count: usize| format!("{}{SIGNATURE}", format!("{wrong} ").repeat(count));
    assert_eq!(check(ID, "1614265330", &after(SIGNATURES_MAX), BODY, NOW), Err(CallbackError::BadSignature));
    assert!(check(ID, "1614265330", &after(SIGNATURES_MAX - 1), BODY, NOW).is_ok());
    assert!(check(ID, "1614265330", &format!("{SIGNATURE} v2,whatever {wrong}"), BODY, NOW).is_ok());
}

#[test]
fn a_short_secret_verifies_nothing() {
    for length in [0, 1, SECRET_BYTES_MIN - 1] {
        let secret = vec![7; length];
        let message = [ID.as_bytes(), b".1614265330.", BODY].concat();
        let signature = format!("v1,{}", STANDARD.encode(hmac_sha256(&secret, &message)));
        let found = verify(&secret, ID, "1614265330", &signature, BODY, &provider(), NOW);
        assert_eq!(found, Err(CallbackError::WeakSecret), "{length}");
    }
}

#[test]
fn another_secret_is_refused() {
    let found = verify(&[7; 24], ID, "1614265330", SIGNATURE, BODY, &provider(), NOW);
    assert_eq!(found, Err(CallbackError::BadSignature));
}

#[test]
fn a_callback_is_good_for_five_minutes_either_way() {
    for at in [NOW - CALLBACK_WINDOW - TICK, NOW + CALLBACK_WINDOW + TICK] {
        assert_eq!(check(ID, "1614265330", SIGNATURE, BODY, at), Err(CallbackError::NotNow));
    }
    for at in [NOW - CALLBACK_WINDOW, NOW + CALLBACK_WINDOW] {
        assert!(check(ID, "1614265330", SIGNATURE, BODY, at).is_ok());
    }
}

#[test]
fn timestamps_are_plain_digits() {
    for timestamp in ["", "-1", "+1614265330", "1614265330.0", "1614265330 ", "0x1", "1e9", "9999999999999", "１６１４"]
    {
        let signed = sign(ID, timestamp, BODY);
        assert_eq!(check(ID, timestamp, &signed, BODY, NOW), Err(CallbackError::Malformed), "{timestamp}");
    }
}

#[test]
fn ids_cannot_shift_what_is_signed() {
    for id in ["", "msg.1614265330", "msg 1", "msg\n", "қ"] {
        assert_eq!(check(id, "1614265330", &sign(id, "1614265330", BODY), BODY, NOW), Err(CallbackError::Malformed));
    }
    let sized = |bytes: usize| {
        let id = "i".repeat(bytes);
        check(&id, "1614265330", &sign(&id, "1614265330", BODY), BODY, NOW)
    };
    assert_eq!(sized(CALLBACK_ID_BYTES_MAX + 1), Err(CallbackError::Malformed));
    assert!(sized(CALLBACK_ID_BYTES_MAX).is_ok());
}

#[test]
fn the_example_of_the_standard_is_accepted() {
    let verified = check(ID, "1614265330", SIGNATURE, BODY, NOW).unwrap();
    assert_eq!((verified.id(), verified.provider()), (ID, &provider()));
    assert_eq!(CallbackError::NotNow.code(), Code::SignatureInvalid);
}
