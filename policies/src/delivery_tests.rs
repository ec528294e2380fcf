//! Signatures against the vector of the reference library, and every answer on both sides of what it means.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use super::*;
use crate::callback;
use crate::id::ProviderId;

const NOW: Timestamp = Timestamp::from_seconds(1_614_265_330);

fn written(bytes: usize) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(vec![7; bytes]))
}

fn planned(attempts: u32) -> Duration {
    *SCHEDULE.get(attempts as usize).unwrap()
}

fn answer(status: u16, retry_after: Option<&str>) -> Heard<'_> {
    Heard::Answer { status, retry_after }
}

#[test]
fn what_is_no_secret_is_refused_and_not_quoted() {
    for (text, error) in [
        ("", SecretError::Prefix),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS?", SecretError::Encoding),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", SecretError::Encoding),
        ("whsec_", SecretError::Length),
        (&written(SECRET_BYTES_MIN - 1), SecretError::Length),
        (&written(SECRET_BYTES_MAX + 1), SecretError::Length),
    ] {
        let told = SigningSecret::parse(text).unwrap_err();
        assert_eq!(told, error, "{text}");
        assert!(!told.to_string().contains("MfKQ"));
    }
    for bytes in [SECRET_BYTES_MIN, SECRET_BYTES_MAX] {
        assert!(SigningSecret::parse(&format!("{}\n", written(bytes))).is_ok());
    }
    let secret = SigningSecret::parse(&written(SECRET_BYTES_MIN)).unwrap();
    assert_eq!(format!("{secret:?}"), "SigningSecret([secret])");
}

/// The vector of the reference library for JavaScript, "sign function works".
#[test]
fn a_message_is_signed_as_the_reference_library_does() {
    let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let signed = sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", b"{\"test\": 2432232314}", NOW).unwrap();
    assert_eq!(signed.timestamp, "1614265330");
    assert_eq!(signed.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn during_a_rotation_either_secret_verifies() {
    let secrets = [1, 2].map(|byte| vec![byte; SECRET_BYTES_MIN]);
    let parsed =
        secrets.clone().map(|bytes| SigningSecret::parse(&format!("whsec_{}", STANDARD.encode(bytes))).unwrap());
    let signed = sign(&parsed, "id", b"{}", NOW).unwrap();
    assert_eq!(signed.signature.split(' ').count(), 2);
    let provider = ProviderId::parse("p").unwrap();
    for secret in &secrets {
        let verified =
            callback::verify(secret, &signed.id, &signed.timestamp, &signed.signature, b"{}", &provider, NOW);
        assert!(verified.is_ok());
    }
    let other = callback::verify(
        &[3; SECRET_BYTES_MIN],
        &signed.id,
        &signed.timestamp,
        &signed.signature,
        b"{}",
        &provider,
        NOW,
    );
    assert!(other.is_err());
}

#[test]
fn nothing_is_signed_without_a_secret_or_with_an_id_that_could_be_cut() {
    let secret = SigningSecret::parse(&written(SECRET_BYTES_MIN)).unwrap();
    assert_eq!(sign(&[], "id", b"", NOW), None);
    for id in ["", "a.b", "a b", "a\nb"] {
        assert_eq!(sign(std::slice::from_ref(&secret), id, b"", NOW), None, "{id:?}");
    }
}

#[test]
fn only_a_2xx_is_a_delivery() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(judge(answer(status, None), 1, 0, NOW), Verdict::Delivered, "{status}");
    }
    for status in [199, 300, 301, 302, 307, 308, 400, 401, 403, 404, 409, 411, 500, 502, 504, 599] {
        assert_eq!(judge(answer(status, None), 1, 0, NOW), Verdict::Again(NOW + SCHEDULE[1]), "{status}");
    }
    assert_eq!(judge(Heard::Nothing, 1, 0, NOW), Verdict::Again(NOW + SCHEDULE[1]));
    assert_eq!(judge(answer(410, None), 1, 0, NOW), Verdict::Parked);
}

#[test]
fn the_schedule_is_gone_through_and_then_the_event_is_parked() {
    let mut now = NOW;
    for attempts in 1..10 {
        let Verdict::Again(at) = judge(Heard::Nothing, attempts, 0, now) else { unreachable!("attempt {attempts}") };
        assert_eq!(at.since(now), planned(attempts));
        now = at;
    }
    // As the specification's own table ends.
    assert_eq!(now.since(NOW), Duration::from_secs((75 * 60 + 35) * 60 + 5));
    assert_eq!(judge(Heard::Nothing, 10, 0, now), Verdict::Parked);
    assert_eq!(judge(answer(503, Some("1")), 10, 0, now), Verdict::Parked);
    assert_eq!(judge(answer(200, None), 10, 0, now), Verdict::Delivered);
    assert_eq!(judge(Heard::Nothing, u32::MAX, 0, now), Verdict::Parked);
}

#[test]
fn jitter_adds_a_fifth_at_most_and_never_takes_away() {
    for attempts in 1..10 {
        let planned = planned(attempts);
        let waits = [0, 128, 255].map(|jitter| match judge(Heard::Nothing, attempts, jitter, NOW) {
            Verdict::Again(at) => at.since(NOW),
            _ => unreachable!("it is not the last"),
        });
        assert!(waits[0] == planned && waits[0] < waits[1] && waits[1] < waits[2], "{waits:?}");
        assert_eq!(waits[2], planned + planned / 5);
    }
}

#[test]
fn an_endpoint_may_ask_for_more_time_within_bounds() {
    let waits = |status, text: &str| match judge(answer(status, Some(text)), 1, 0, NOW) {
        Verdict::Again(at) => at.since(NOW).as_secs(),
        _ => unreachable!("it is tried again"),
    };
    for status in [429, 503] {
        assert_eq!(waits(status, "120"), 120);
        // Less than the schedule has it does not hurry us.
        assert_eq!(waits(status, "0"), 5);
        assert_eq!(waits(status, "86400"), 86_400);
        assert_eq!(waits(status, "86401"), 86_400);
        assert_eq!(waits(status, "99999999999999999999999999"), 86_400);
        // 1614265330 is Thu, 25 Feb 2021 15:02:10 GMT.
        assert_eq!(waits(status, "Thu, 25 Feb 2021 15:12:10 GMT"), 600);
        assert_eq!(waits(status, "Thu, 25 Feb 2021 15:02:00 GMT"), 5);
        assert_eq!(waits(status, "Fri, 25 Feb 2022 15:02:10 GMT"), 86_400);
        for nonsense in [
            "",
            "soon",
            "-1",
            "1.5",
            "1e3",
            "Thu, 25 Feb 2021 15:12:10 CET",
            "Thu, 31 Feb 2021 15:12:10 GMT",
            "Thu, 25 Feb 2021 25:12:10 GMT",
            "2021-02-25T15:12:10Z",
        ] {
            assert_eq!(waits(status, nonsense), 5, "{nonsense}");
        }
    }
    assert_eq!(waits(500, "120"), 5);
}
