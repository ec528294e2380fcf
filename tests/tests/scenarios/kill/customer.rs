//! A client that pays through a gateway that may be killed at any time, and remembers everything it was ever told.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use policies::time::Timestamp;
use scenarios::actors::App;
use scenarios::actors::app::{ASSERTION_TYPE, fresh};
use scenarios::actors::bank::payment_with;
use scenarios::actors::jws::Jws;
use scenarios::actors::key::{base64url, sha256};
use scenarios::world::socket::{self, MODERN};
use scenarios::world::{Ask, Tls};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::dice::Dice;

/// How many orders of a customer may wait for their answer at once.
const WAITING_MAX: usize = 100;

/// How long a customer waits for an answer: longer than the gateway may take for one.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// How long an order rests at first that was told to come back later; twice as long each time, up to the longest.
const REST: Duration = Duration::from_millis(100);
const REST_MAX: Duration = Duration::from_secs(4);

/// What may go wrong at the bank, and how often: most payments are ordinary.
const FAULTS: [(&str, u64); 6] =
    [("order", 70), ("SBX:lost", 10), ("SBX:delay=120", 8), ("SBX:mute=1", 6), ("SBX:late=200", 5), ("SBX:dropped", 1)];

/// A payment that a customer wants, and all it was told of it.
#[derive(Debug)]
pub struct Order {
    /// The idempotency key, which also stands in the text of the payment.
    pub key: String,
    /// The request.
    pub body: Value,
    /// Under which names it was told.
    pub ids: BTreeSet<String>,
    /// Whether it was told once that nobody knows.
    pub unknown: bool,
    /// The first final answer.
    pub answer: Option<Value>,
    /// How often it was answered.
    pub heard: u32,
    due: Instant,
    rest: Duration,
}

/// Where the gateway is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The address of its public door.
    pub address: SocketAddr,
    /// The URL of that door, which is the issuer as well.
    pub external: String,
    /// Who vouches for it.
    pub ca: PathBuf,
}

/// The client.
pub struct Customer {
    app: App,
    place: Place,
    line: Option<SendRequest<Full<Bytes>>>,
    token: Option<String>,
    dice: Dice,
    orders: Vec<Order>,
}

impl Customer {
    /// Begins without orders.
    pub fn new(app: App, place: Place, seed: u64) -> Self {
        Self { app, place, line: None, token: None, dice: Dice::new(seed), orders: Vec::new() }
    }

    /// Pays until told to stop; gives back every order it ever made.
    pub async fn live(mut self, stop: watch::Receiver<bool>) -> (App, Vec<Order>) {
        while !*stop.borrow() {
            let at = self.next();
            let Some(at) = at else {
                tokio::time::sleep(REST / 10).await;
                continue;
            };
            self.ask(at).await;
        }
        (self.app, self.orders)
    }

    /// Chooses what to ask: an order that is due, sometimes one that was answered before, else a new one.
    fn next(&mut self) -> Option<usize> {
        let now = Instant::now();
        let due = self.orders.iter().position(|order| order.answer.is_none() && order.due <= now);
        if due.is_some() {
            return due;
        }
        if !self.orders.is_empty() && self.dice.below(8) == 0 {
            let at = self.dice.below(self.orders.len() as u64) as usize;
            return Some(at).filter(|at| self.orders[*at].answer.is_some());
        }
        if self.orders.iter().filter(|order| order.answer.is_none()).count() >= WAITING_MAX {
            return None;
        }
        let key = fresh(&format!("{}-kill", self.app.id));
        let mut thrown = self.dice.below(100);
        let fault = FAULTS.iter().find(|(_, share)| thrown.checked_sub(*share).map(|left| thrown = left).is_none());
        let amount = format!("0.{:02}", 1 + self.dice.below(99));
        let body = payment_with(&amount, &format!("{} {key}", fault.unwrap().0));
        self.orders.push(Order {
            key,
            body,
            ids: BTreeSet::new(),
            unknown: false,
            answer: None,
            heard: 0,
            due: now,
            rest: REST,
        });
        Some(self.orders.len() - 1)
    }

    async fn ask(&mut self, at: usize) {
        let order = &self.orders[at];
        let (key, body) = (order.key.clone(), order.body.clone());
        let other_body = order.answer.is_some() && self.dice.below(4) == 0;
        let asking = self.pay(&key, if other_body { other(&body) } else { body });
        let heard = tokio::time::timeout(ANSWER_MAX, asking).await.unwrap_or(None);
        let order = &mut self.orders[at];
        let Some((status, answer)) = heard else {
            // Nothing is known: the gateway was killed, or is not there yet.
            self.line = None;
            order.due = Instant::now() + REST;
            tokio::time::sleep(Duration::from_millis(5)).await;
            return;
        };
        order.heard += 1;
        if other_body {
            assert_eq!(status, 422, "{key}: another body: {answer}");
            assert_eq!(answer["type"], "urn:qaqpa:problem:idempotency_mismatch");
            return;
        }
        order.hear(status, answer);
        if status == 401 {
            self.token = None;
        }
    }

    /// Sends a payment; none if no whole answer came.
    async fn pay(&mut self, key: &str, body: Value) -> Option<(u16, Value)> {
        if self.token.is_none() {
            self.token = Some(self.fetch_token().await?);
        }
        let token = self.token.clone()?;
        let url = format!("{}/v1/domestic-payments", self.place.external);
        let proof = self.proof(&url, Some(&token));
        let ask = Ask::post("/v1/domestic-payments").with("x-idempotency-key", key).json(&body);
        self.send(ask.with("authorization", format!("DPoP {token}")).with("dpop", proof)).await
    }

    async fn fetch_token(&mut self) -> Option<String> {
        let now = seconds();
        let claims = json!({
            "iss": self.app.id, "sub": self.app.id, "aud": self.place.external, "jti": fresh("assertion"),
            "iat": now, "exp": now + 60,
        });
        let key = self.app.key();
        let assertion = Jws::new(json!({"alg": key.algorithm(), "kid": self.app.kid, "typ": "JWT"}), claims).sign(key);
        let form = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
        ];
        let proof = self.proof(&format!("{}/oauth/token", self.place.external), None);
        let (status, answer) = self.send(Ask::post("/oauth/token").form(&form).with("dpop", proof)).await?;
        assert!([200, 503].contains(&status), "{answer}");
        Some(answer["access_token"].as_str()?.to_owned())
    }

    fn proof(&self, url: &str, token: Option<&str>) -> String {
        let key = &self.app.proof_key;
        let header = json!({"typ": "dpop+jwt", "alg": key.algorithm(), "jwk": key.public_jwk()});
        let claims = json!({"jti": fresh("proof"), "htm": "POST", "htu": url, "iat": seconds()});
        let proof = Jws::new(header, claims);
        let proof = match token {
            Some(token) => proof.set("ath", base64url(&sha256(token.as_bytes()))),
            None => proof,
        };
        proof.sign(key)
    }

    /// Sends over the line that is open, or a new one.
    async fn send(&mut self, ask: Ask) -> Option<(u16, Value)> {
        let mut line = match self.line.take().filter(|line| !line.is_closed()) {
            Some(line) => line,
            None => self.connect().await?,
        };
        let mut request =
            Request::builder().method(Method::POST).uri(&ask.target).body(Full::new(ask.body.clone())).ok()?;
        for (name, value) in &ask.headers {
            request.headers_mut().append(name, value.clone());
        }
        let host = self.place.external.split_once("://")?.1;
        request.headers_mut().insert(http::header::HOST, host.parse().ok()?);
        line.ready().await.ok()?;
        let answer = line.send_request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        self.line = Some(line);
        let body = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("no JSON ({error}): {status} {body:?}"));
        Some((status, body))
    }

    async fn connect(&self) -> Option<SendRequest<Full<Bytes>>> {
        let tls = Tls { alpn: &[b"http/1.1"], versions: MODERN, certificate: None };
        let stream = socket::connect(self.place.address, &self.place.ca, tls).await.ok()?;
        let (line, connection) = handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(async move {
            // Ends when the gateway does, or this client.
            let _ = connection.await;
        });
        Some(line)
    }
}

impl Order {
    /// Takes an answer in, and checks it against all that was told before.
    pub fn hear(&mut self, status: u16, answer: Value) {
        let key = &self.key;
        let id = answer["paymentId"].as_str().map(str::to_owned);
        match StatusCode::from_u16(status).unwrap() {
            StatusCode::CREATED => {
                assert_eq!(answer["status"], "ACSC", "{key}: {answer}");
                self.ids.insert(id.unwrap());
                match &self.answer {
                    Some(before) => assert_eq!(*before, answer, "{key} has two answers"),
                    None => self.answer = Some(answer),
                }
            }
            StatusCode::ACCEPTED => {
                assert!(self.answer.is_none(), "{key} was answered, and is unknown again: {answer}");
                assert_eq!(answer["status"], "unknown", "{key}: {answer}");
                self.unknown = true;
                self.ids.insert(id.unwrap());
            }
            // Under way, or the gateway cannot at present, or the token is over: asked again later.
            StatusCode::CONFLICT | StatusCode::SERVICE_UNAVAILABLE | StatusCode::UNAUTHORIZED => {}
            _ => panic!("{key}: {status} {answer}"),
        }
        self.due = Instant::now() + self.rest;
        self.rest = (self.rest * 2).min(REST_MAX);
    }
}

/// Another payment under the same key.
fn other(body: &Value) -> Value {
    let mut other = body.clone();
    other["knp"] = json!("710");
    other
}

fn seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap()).seconds()
}
