//! The place that is a stream, over the NATS server that `tests/services` starts, and over one of our own with TLS.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use async_nats::jetstream::{self, Context, stream};
use policies::secret::Secret;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::relay::Relay;
use super::*;
use crate::audit::ship::nats::{DUPLICATE_WINDOW, NatsSettings, NatsSink};
use crate::http::trust::Trust;

/// A stream of its own, removed at the end.
struct Stream {
    name: String,
    settings: NatsSettings,
    context: Context,
}

impl Stream {
    async fn new() -> Self {
        let url = service("QAQPA_TEST_NATS");
        let name = format!("T{}", u64::from_le_bytes(entropy::random()));
        let settings = settings(&url, &name);
        let context = jetstream::new(async_nats::connect(&url).await.unwrap());
        Self { name, settings, context }
    }

    fn sink(&self) -> NatsSink {
        NatsSink::new(self.settings.clone()).unwrap()
    }

    /// Reads what the stream holds, in its order.
    async fn messages(&self) -> Vec<(String, String)> {
        let stream = self.context.get_stream(&self.name).await.unwrap();
        let mut found = Vec::new();
        for sequence in 1..=stream.cached_info().state.last_sequence {
            let message = stream.get_raw_message(sequence).await.unwrap();
            assert_eq!(message.subject.as_str(), self.settings.subject);
            let id = message.headers.get("Nats-Msg-Id").unwrap().as_str().to_owned();
            found.push((id, String::from_utf8(message.payload.to_vec()).unwrap()));
        }
        found
    }

    async fn end(self) {
        self.context.delete_stream(&self.name).await.unwrap();
    }
}

fn settings(url: &str, name: &str) -> NatsSettings {
    let (url, stream, subject) = (url.to_owned(), name.to_owned(), format!("{name}.audit"));
    NatsSettings { url, stream, subject, credentials: None, trust: Trust::nobody().unwrap() }
}

#[tokio::test]
async fn every_record_arrives_once_in_order_whatever_is_sent_again() {
    let trail = Trail::with(BATCH_RECORDS_MAX + 5).await;
    let stream = Stream::new().await;
    assert!(trail.shipper(Deafened(stream.sink())).round().await.is_err());
    assert_eq!(stream.messages().await.len(), BATCH_RECORDS_MAX);
    ship_all(&mut trail.shipper(stream.sink())).await;
    assert_eq!(stream.messages().await, trail.expected());
    std::fs::remove_file(trail.cursor_path()).unwrap();
    ship_all(&mut trail.shipper(stream.sink())).await;
    assert_eq!(stream.messages().await, trail.expected(), "known again by their ids");
    stream.end().await;
}

#[tokio::test]
async fn a_stream_is_made_with_its_window_and_cannot_be_edited() {
    let (trail, stream) = (Trail::with(1).await, Stream::new().await);
    ship_all(&mut trail.shipper(stream.sink())).await;
    let made = stream.context.get_stream(&stream.name).await.unwrap();
    let config = &made.cached_info().config;
    assert_eq!(
        (config.duplicate_window, config.subjects.clone()),
        (DUPLICATE_WINDOW, vec![stream.settings.subject.clone()])
    );
    assert!(made.delete_message(1).await.is_err());
    assert!(made.purge().await.is_err());
    stream.end().await;
}

#[tokio::test]
async fn a_server_that_was_away_catches_up_in_order() {
    let trail = Trail::with(3).await;
    let mut stream = Stream::new().await;
    let server = stream.settings.url.strip_prefix("nats://").unwrap().parse::<SocketAddr>().unwrap();
    let relay = Relay::to(server).await;
    stream.settings.url = format!("nats://{}", relay.address);
    let mut shipper = trail.shipper(stream.sink());
    ship_all(&mut shipper).await;
    relay.cut();
    trail.grow(BATCH_RECORDS_MAX).await;
    for _ in 0..3 {
        assert!(shipper.round().await.is_err());
        trail.grow(1).await;
    }
    relay.mend();
    ship_all(&mut shipper).await;
    assert_eq!(stream.messages().await, trail.expected());
    stream.end().await;
}

#[tokio::test]
async fn a_stream_that_would_not_keep_the_records_is_refused() {
    let trail = Trail::with(1).await;
    let stream = Stream::new().await;
    let other = stream::Config {
        name: stream.name.clone(),
        subjects: vec![format!("{}.other", stream.name)],
        ..Default::default()
    };
    stream.context.create_stream(other).await.unwrap();
    let outage = trail.shipper(stream.sink()).round().await.unwrap_err();
    assert!(outage.cause.contains("does not take the subject"), "{outage}");
    stream.context.delete_stream(&stream.name).await.unwrap();
    let mute = stream::Config {
        name: stream.name.clone(),
        subjects: vec![format!("{}.>", stream.name)],
        no_ack: true,
        ..Default::default()
    };
    stream.context.create_stream(mute).await.unwrap();
    let outage = trail.shipper(stream.sink()).round().await.unwrap_err();
    assert!(outage.cause.contains("acknowledges nothing"), "{outage}");
    assert_eq!(stream.messages().await, []);
    stream.end().await;
}

#[tokio::test]
async fn other_records_under_the_same_numbers_are_refused() {
    let (trail, stream) = (Trail::with(4).await, Stream::new().await);
    let mut forged = stream.sink();
    let forgery = Shipped { trail: trail.id(), sequence: 3, payload: Bytes::from_static(b"{}") };
    forged.put(&[forgery]).await.unwrap();
    let outage = trail.shipper(stream.sink()).round().await.unwrap_err();
    assert!(outage.cause.contains("another record 3 of this trail"), "{outage}");
    assert_eq!(trail.progress.got(), 0);
    stream.end().await;
}

#[tokio::test]
async fn clear_text_stays_on_this_machine() {
    for elsewhere in [
        "nats://10.0.0.6:4222",
        "nats://nats.example:4222",
        "nats://127.0.0.1.example",
        "nats://localhost.example",
        "http://127.0.0.1:1",
    ] {
        assert!(NatsSink::new(settings(elsewhere, "A")).is_err(), "{elsewhere}");
    }
    for here in [
        "nats://127.0.0.1:4222",
        "nats://localhost:4222",
        "nats://localhost",
        "nats://[::1]:4222",
        "tls://nats.example:4222",
    ] {
        assert!(NatsSink::new(settings(here, "A")).is_ok(), "{here}");
    }
}

/// A server of our own that asks for TLS, a user and a password; it ends with the test.
struct Guarded {
    child: Child,
    folder: PathBuf,
    authority: Vec<u8>,
    port: u16,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

const PASSWORD: &str = "correct-horse";

impl Guarded {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("qaqpa-nats-{}", entropy::token_128bit()));
        std::fs::create_dir(&folder).unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority, key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let own = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        std::fs::write(path("own.pem"), own.pem()).unwrap();
        std::fs::write(path("own.key"), key.serialize_pem()).unwrap();
        let mut command = Command::new("nats-server");
        command.args([
            "-a",
            "127.0.0.1",
            "-p",
            "-1",
            "-js",
            "-sd",
            &path("store"),
            "--user",
            "qaqpa",
            "--pass",
            PASSWORD,
        ]);
        command.args(["--tls", "--tlscert", &path("own.pem"), "--tlskey", &path("own.key")]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut port = 0;
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some((_, address)) = line.split_once("client connections on ") {
                port = address.parse::<SocketAddr>().unwrap().port();
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        // Read on, or the server would wait for somebody who does.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, folder, authority: pem.into_bytes(), port }
    }

    fn sink(&self, scheme: &str, host: &str, credentials: Option<&str>, trusted: bool) -> NatsSink {
        let trust = if trusted { Trust::from_pem(&self.authority, None) } else { Trust::nobody() };
        let mut settings = settings(&format!("{scheme}://{host}:{}", self.port), "GUARDED");
        settings.trust = trust.unwrap();
        settings.credentials = credentials.map(|text| Secret::new(text.to_owned()));
        NatsSink::new(settings).unwrap()
    }
}

#[tokio::test]
async fn only_a_server_that_is_trusted_and_lets_us_in_gets_records() {
    let (trail, server) = (Trail::with(2).await, Guarded::start());
    let right = format!("qaqpa:{PASSWORD}");
    let wrong = [
        ("tls", "localhost", Some(right.as_str()), false, "a stranger"),
        ("nats", "127.0.0.1", Some(right.as_str()), false, "a stranger that asks for TLS"),
        ("tls", "localhost", None, true, "no credentials"),
        ("tls", "localhost", Some("qaqpa:hunter2"), true, "a wrong password"),
        ("tls", "localhost", Some("hunter2"), true, "a wrong token"),
        ("tls", "localhost", Some("-----BEGIN hunter2"), true, "a broken file"),
    ];
    for (scheme, host, credentials, trusted, what) in wrong {
        let outage = trail.shipper(server.sink(scheme, host, credentials, trusted)).round().await.expect_err(what);
        let told = format!("{outage:?} {outage}");
        assert!(!told.contains("hunter2") && !told.contains(PASSWORD), "{what}: {told}");
    }
    assert_eq!(trail.progress.got(), 0);
    let sent = ship_all(&mut trail.shipper(server.sink("tls", "localhost", Some(&right), true))).await;
    assert_eq!(sent, trail.entries().len());
}

#[tokio::test]
async fn a_server_that_greets_with_an_error_is_an_outage_and_a_good_one_gets_everything() {
    let (trail, stream) = (Trail::with(2).await, Stream::new().await);
    let server = stream.settings.url.trim_start_matches("nats://").parse().unwrap();
    // An error without a text, for which the library has no bounds.
    let relay = Relay::greeting(server, b"-ERR\r\n").await;
    let sink = NatsSink::new(NatsSettings { url: format!("nats://{}", relay.address), ..stream.settings.clone() });
    let mut shipper = trail.shipper(sink.unwrap());
    for _ in 0..3 {
        let outage = shipper.round().await.unwrap_err();
        assert!(outage.cause.contains("what no NATS server says"), "{outage}");
        assert_eq!(trail.progress.records_behind() as usize, trail.entries().len());
    }
    relay.mend();
    ship_all(&mut shipper).await;
    assert_eq!(stream.messages().await, trail.expected());
    stream.end().await;
}
