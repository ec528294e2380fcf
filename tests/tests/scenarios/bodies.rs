//! Bodies that two parsers could read in two ways, and bodies by chance.

use scenarios::actors::Session;
use scenarios::actors::app::fresh;
use scenarios::actors::bank::{self, payment};
use scenarios::world::{Answer, Ask, Kind, World};

scenarios! {
    a_body_with_two_readings_is_refused,
    random_bodies_are_refused_and_nothing_breaks,
}

async fn pay_raw(app: &Session<'_>, body: impl Into<bytes::Bytes>) -> Answer {
    let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", fresh("order"));
    app.send(ask.with("content-type", "application/json").body(body)).await
}

async fn a_body_with_two_readings_is_refused(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let right = payment("1.00").to_string();
    let amount = r#""amount":"1.00""#;
    assert!(right.contains(amount));
    let wrong = [
        right.replace(amount, r#""amount":"1.00","amount":"2.00""#),
        right.replace(amount, r#""amount":"1.00","amo\u0075nt":"2.00""#),
        format!("{right} {right}"),
        format!("{right}x"),
        right.replace('"', "'"),
        format!("\u{feff}{right}"),
        right.get(..right.len() - 1).unwrap().to_owned(),
        right.replace("Bolat", r"\ud800"),
        right.replace("\"343\"", "NaN"),
        format!("/* x */{right}"),
        String::from("{"),
        String::from("\u{0}"),
    ];
    for body in wrong {
        let refused = pay_raw(&app, body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {}", refused.text());
        refused.refused(400, "body_malformed");
    }
    let bytes = right.replace("Bolat", "?").into_bytes().into_iter().map(|byte| if byte == b'?' { 0xff } else { byte });
    pay_raw(&app, bytes.collect::<Vec<u8>>()).await.refused(400, "body_malformed");
    assert_eq!(bank::balance(&world, 1).await, before);
}

async fn random_bodies_are_refused_and_nothing_breaks(kind: Kind) {
    let world = World::start(kind).await;
    let app = Session::of(&world, "demo-app").await;
    let before = bank::balance(&world, 1).await;
    let seed = crate::dice::seed();
    let mut dice = crate::dice::Dice::new(seed);
    let right = payment("1.00").to_string().into_bytes();
    for round in 0..50 {
        let mut body = right.clone();
        for _ in 0..=dice.below(4) {
            let at = usize::try_from(dice.below(body.len() as u64)).unwrap();
            match dice.below(3) {
                0 if at < body.len() => {
                    body.remove(at);
                }
                0 | 1 => body.insert(at, b"\"{}[],:0\\\0\xff"[usize::try_from(dice.below(11)).unwrap()]),
                _ => body.truncate(at),
            }
        }
        let answer = pay_raw(&app, body.clone()).await;
        let fine = matches!(answer.status, 201 | 400 | 415 | 422);
        assert!(fine, "seed {seed}, round {round}: {}: {}", String::from_utf8_lossy(&body), answer.text());
        if answer.status == 201 {
            // A change inside a text can leave a right payment.
            continue;
        }
        answer.named();
    }
    let after = bank::balance(&world, 1).await;
    assert!(before - after <= 50 * 1_000_000, "seed {seed}");
    assert!((world.metric("qaqpa_panics_total")).abs() < 0.5, "seed {seed}");
}
