//! What a token costs with each call: `taskset -c 0 cargo run --release -p scenarios --example tokens`.
//!
//! A call with a DPoP proof is held against one that proves itself by its certificate, which checks no signature once the
//! token is known, and one ES256 signature more. All of it runs on one thread in this process, with the sandbox's bank.
#![expect(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use gateway::layer::authenticate::known::{Entry, Known};
use policies::jose::{CompactJws, sha256};
use policies::token::{self, Expected, TOKEN_BYTES_MAX};
use scenarios::actors::Session;
use scenarios::world::{Ask, Kind, World};

/// How many calls a round has: as many as the plan of a client lets through at once. There are so many rounds, and the best
/// one counts: the others were disturbed.
const CALLS: u32 = 50;
const ROUNDS: usize = 20;

/// How long the clock is put forward between rounds, so that there is room for the next.
const REST: Duration = Duration::from_secs(5);

/// How often what takes no longer than microseconds is done.
const TIMES: u32 = 20_000;

fn best(mut round: impl FnMut() -> Duration) -> Duration {
    (0..ROUNDS).map(|_| round()).min().unwrap()
}

fn each(times: u32, mut what: impl FnMut()) -> Duration {
    best(|| {
        let began = Instant::now();
        (0..times).for_each(|_| what());
        began.elapsed() / times
    })
}

/// Measures calls that were worded before: to sign a proof is the client's cost.
async fn calls(session: &Session<'_>) -> Duration {
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let world = session.world;
        world.advance(REST);
        let asks: Vec<_> = (0..CALLS).map(|_| world.arrived(&session.dress(Ask::get("/v1/accounts")))).collect();
        let began = Instant::now();
        for ask in asks {
            world.call(ask).await.succeeded(200);
        }
        least = least.min(began.elapsed() / CALLS);
    }
    least
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let world = World::start(Kind::Memory).await;
    let by_proof = Session::of(&world, "demo-app").await;
    let by_certificate = Session::of(&world, "demo-mtls-app").await;

    let keyring = world.assembled().house.keyring.now();
    let text = format!("DPoP {}", by_proof.token);
    let (_, bearer) = token::parse_authorization(&text).unwrap();
    let expected = Expected { issuer: world.issuer(), audience: world.issuer(), keys: keyring.published() };
    let verify = || token::verify(&bearer, &expected, world.now()).unwrap();
    let known = Known::of(1);
    let hash = bearer.hash();
    known.keep(0, hash, Entry::of(world.issuer(), verify(), keyring.epoch()));

    let found = each(TIMES, || drop(black_box(known.find(0, black_box(&hash), keyring.epoch()))));
    let read = each(TIMES, || drop(black_box(token::parse_authorization(black_box(&text)))));
    let hashed = each(TIMES, || {
        black_box(sha256(black_box(text.as_bytes())));
    });
    let anew = each(TIMES / 20, || drop(black_box(verify())));
    let key = keyring.signer().verifying_key();
    let bare = each(TIMES / 20, || {
        let jws = CompactJws::parse(black_box(&by_proof.token), TOKEN_BYTES_MAX).unwrap();
        drop(black_box(jws.verify_with(key).unwrap()));
    });
    let (plain, proven) = (calls(&by_certificate).await, calls(&by_proof).await);
    let ratio = proven.as_secs_f64() / (plain + bare).as_secs_f64();

    println!("token of {} bytes", by_proof.token.len());
    println!("a known token is found:            {found:>10.2?}");
    println!("a header is read and hashed:       {read:>10.2?}  (of it SHA-256: {hashed:.2?})");
    println!("a token is verified anew:          {anew:>10.2?}");
    println!("one ES256 signature:               {bare:>10.2?}");
    println!("a call with a certificate:         {plain:>10.2?}");
    println!("a call with a DPoP proof:          {proven:>10.2?}");
    println!("proof / (certificate + signature): {ratio:>10.2}");
}
