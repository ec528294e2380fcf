//! A place that is a stream of NATS JetStream: one message a record, with `Nats-Msg-Id` so that each is stored once.
//!
//! All messages of a batch are under way at once and each is acknowledged, so a stream holds a trail in its order. Only if
//! the server loses one of a batch between others, as while it elects a leader, does that one come behind them when the
//! batch is sent again; its number is in its id.

use std::net::IpAddr;
use std::time::Duration;

use async_nats::ConnectOptions;
use async_nats::jetstream::context::{Context, ContextBuilder, GetStreamErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, Info};
use policies::code::Outage;
use policies::secret::Secret;
use tokio::task::JoinSet;

use super::port::{Shipped, Sink};
use crate::http::trust::Trust;
use crate::store::port::Answer;

/// How long a stream made here knows ids again: longer than a restart takes, and few enough to be held in the server's memory.
pub const DUPLICATE_WINDOW: Duration = Duration::from_secs(600);

/// How long connecting may take, and each answer of the server.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What credentials begin with that are a whole `.creds` file of a user.
const CREDS_START: &str = "-----BEGIN";

/// Where a stream is, and how it is reached.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// `nats://host:port`, on this machine only, or `tls://host:port`; without credentials.
    pub url: String,
    /// The stream; made if it is not there.
    pub stream: String,
    /// The subject that records are published under.
    pub subject: String,
    /// A token, `user:password`, or the text of a `.creds` file.
    pub credentials: Option<Secret<String>>,
    /// Whom a `tls://` server is trusted by.
    pub trust: Trust,
}

/// A stream that records are published to.
#[derive(Debug)]
pub struct NatsSink {
    settings: NatsSettings,
    /// Connected, and the stream was looked at.
    context: Option<Context>,
}

impl NatsSink {
    /// Names the stream; nothing is connected yet.
    ///
    /// # Errors
    /// An [`Outage`] for an address of clear text that is not on this machine: records would be read on the way.
    pub fn new(mut settings: NatsSettings) -> Result<Self, Outage> {
        if let Some(rest) = settings.url.strip_prefix("nats://") {
            // What a resolver says of `localhost` is not to be believed.
            let named = rest.strip_prefix("localhost").filter(|port| port.is_empty() || port.starts_with(':'));
            settings.url = named.map_or(settings.url.clone(), |port| format!("nats://127.0.0.1{port}"));
            if !is_loopback(settings.url.trim_start_matches("nats://")) {
                return Err(outage("clear text stays on this machine: use `tls://`, or `nats://127.0.0.1:4222`"));
            }
        } else if !settings.url.starts_with("tls://") {
            return Err(outage("the address of a NATS server begins with `tls://` or `nats://`"));
        }
        Ok(Self { settings, context: None })
    }

    async fn publish(&mut self, batch: &[Shipped]) -> Result<(), Outage> {
        let context = match self.context.take() {
            Some(context) => context,
            None => self.settings.connect_apart().await?,
        };
        let mut sent = Vec::with_capacity(batch.len());
        for record in batch {
            let message = PublishMessage::build()
                .message_id(record.id())
                .expected_stream(&self.settings.stream)
                .payload(record.payload.clone());
            let subject = self.settings.subject.clone();
            sent.push(context.send_publish(subject, message).await.map_err(outage)?);
        }
        for (acknowledged, record) in sent.into_iter().zip(batch) {
            let acknowledged = acknowledged.await.map_err(outage)?;
            if acknowledged.duplicate {
                self.settings.compare(&context, acknowledged.sequence, record).await?;
            }
        }
        // Only a connection that has just served is used again; after a fault a new one is made.
        self.context = Some(context);
        Ok(())
    }
}

impl Sink for NatsSink {
    fn put<'a>(&'a mut self, batch: &'a [Shipped]) -> Answer<'a, ()> {
        Box::pin(self.publish(batch))
    }
}

impl NatsSettings {
    /// Connects in a task of its own: the library panics at some lines of a server, and that must end nothing of ours.
    async fn connect_apart(&self) -> Result<Context, Outage> {
        let settings = self.clone();
        // A set, as dropping it ends the task.
        let mut connecting = JoinSet::new();
        connecting.spawn(async move { settings.connect().await });
        match connecting.join_next().await {
            Some(Ok(connected)) => connected,
            Some(Err(_)) | None => Err(outage("the server says what no NATS server says")),
        }
    }

    async fn connect(&self) -> Result<Context, Outage> {
        let options = ConnectOptions::new()
            .name("qaqpa-audit")
            .connection_timeout(ANSWER_MAX)
            .request_timeout(Some(ANSWER_MAX))
            .tls_client_config(self.trust.without_protocol())
            .require_tls(self.url.starts_with("tls://"))
            // Only the address that the operator named is called, and the shipper tries again by itself.
            .ignore_discovered_servers()
            .max_reconnects(1);
        let client = self.authenticate(options)?.connect(&self.url).await.map_err(outage)?;
        let context = ContextBuilder::new().timeout(ANSWER_MAX).ack_timeout(ANSWER_MAX).build(client);
        self.prepare(&context).await?;
        Ok(context)
    }

    fn authenticate(&self, options: ConnectOptions) -> Result<ConnectOptions, Outage> {
        let Some(credentials) = &self.credentials else { return Ok(options) };
        let text = credentials.expose();
        if text.starts_with(CREDS_START) {
            // The library's own words might quote the file.
            return options.credentials(text).map_err(|_| outage("the credentials are no `.creds` file"));
        }
        Ok(match text.split_once(':') {
            Some((user, password)) => options.user_and_password(user.to_owned(), password.to_owned()),
            None => options.token(text.clone()),
        })
    }

    /// Makes the stream, or looks whether the one that is there keeps what it acknowledges.
    async fn prepare(&self, context: &Context) -> Result<(), Outage> {
        let missing = match context.get_stream(&self.stream).await {
            Ok(stream) => return self.check(stream.cached_info()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(told) if told.code() == 404 => error,
                _ => return Err(outage(error)),
            },
        };
        tracing::info!("stream {} is made: {missing}", self.stream);
        let config = Config {
            name: self.stream.clone(),
            description: Some("The audit trail of an API gateway".to_owned()),
            subjects: vec![self.subject.clone()],
            duplicate_window: DUPLICATE_WINDOW,
            // What was recorded is not edited, here neither.
            deny_delete: true,
            deny_purge: true,
            ..Config::default()
        };
        context.create_stream(config).await.map_err(outage)?;
        Ok(())
    }

    /// Compares a record that the stream has already: a trail that was set back has others under the same numbers.
    async fn compare(&self, context: &Context, place: u64, record: &Shipped) -> Result<(), Outage> {
        let stream = context.get_stream_no_info(&self.stream).await.map_err(outage)?;
        let there = stream.get_raw_message(place).await.map_err(outage)?;
        if there.payload == record.payload {
            return Ok(());
        }
        let sequence = record.sequence;
        Err(outage(format!("the stream has another record {sequence} of this trail: was the trail set back?")))
    }

    fn check(&self, info: &Info) -> Result<(), Outage> {
        let config = &info.config;
        let refused = |cause: &str| Err(outage(format!("stream {}: {cause}", self.stream)));
        if !config.subjects.iter().any(|pattern| takes(pattern, &self.subject)) {
            return refused(&format!("it does not take the subject {}", self.subject));
        }
        if config.no_ack {
            return refused("it acknowledges nothing (no_ack), so nobody would know what it has");
        }
        if config.duplicate_window < DUPLICATE_WINDOW {
            let (window, ours) = (config.duplicate_window.as_secs(), DUPLICATE_WINDOW.as_secs());
            tracing::warn!(
                "stream {} knows ids again for {window} s only, not {ours} s: after a crash records may be there twice",
                self.stream
            );
        }
        Ok(())
    }
}

/// Tells whether a stream's pattern takes a subject: `*` is one word, `>` one or more at the end.
fn takes(pattern: &str, subject: &str) -> bool {
    let mut words = subject.split('.');
    for part in pattern.split('.') {
        match (part, words.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(word)) if part == word => {}
            _ => return false,
        }
    }
    words.next().is_none()
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.trim_start_matches('[').trim_end_matches(']').parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn outage(cause: impl ToString) -> Outage {
    Outage::new("nats", cause)
}
