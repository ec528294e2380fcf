//! Asks another authorization server what a token of its own is worth (RFC 7662).
//!
//! Who is asked and what an answer is worth are said elsewhere (`policies::issuer`, `policies::token`); here the question
//! travels, and the answer is kept for a few seconds under the hash of the token.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use oauth2::basic::BasicClient;
use oauth2::{AccessToken, AuthType, ClientId, IntrospectionUrl};
use policies::code::Outage;
use policies::jose::{Claims, KeySet};
use policies::network::Endpoint;
use policies::time::Timestamp;
use policies::token::{self, BearerToken, Expected, TokenError, VerifiedToken};
use thiserror::Error;
use tokio::sync::Semaphore;

use super::assertion::{ASSERTION_TYPE, AssertionKey};
use super::flight::{Fetched, Flight, Rests};
use super::line::{Line, Place, cause};
use crate::http::scout::Scout;

/// How long a good word for a token is believed, if the token lives that long: a revoked one is good for so long at most.
pub const BELIEVED_FOR: Duration = Duration::from_secs(10);

/// How long a bad word is: short, since a token may be new there; long enough that one who repeats it costs one question.
pub const DISBELIEVED_FOR: Duration = Duration::from_secs(2);

/// How long one question may take, from the look-up of the name to the last byte.
pub const ASK_MAX: Duration = Duration::from_secs(5);

/// The most tokens whose worth is kept, each about half a kibibyte.
pub const TOKENS_MAX: usize = 10_000;

/// The most questions under way to one server: what one with a hundred answers a second gets in its time.
pub const QUESTIONS_MAX: usize = 64;

/// Why nobody knows what a token is worth, or that it is worth nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AskError {
    /// The server was not heard in time, or what it said is no answer.
    #[error(transparent)]
    Outage(#[from] Outage),
    /// What the server says of the token is not what it has to be here.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What came of a question: none for a token that is worth nothing.
type Word = Result<Option<VerifiedToken>, TokenError>;

/// Asks one server.
pub struct Introspection {
    server: Arc<Server>,
    words: Mutex<Words>,
    questions: Arc<Semaphore>,
}

struct Server {
    issuer: String,
    audience: String,
    place: Place,
    client: String,
    key: AssertionKey,
}

#[derive(Default)]
struct Words {
    kept: HashMap<[u8; 32], Kept>,
    swept: Option<Timestamp>,
}

struct Kept {
    flight: Arc<Flight<Word>>,
    until: Timestamp,
}

impl Introspection {
    /// Prepares asking the server at `place` whose tokens have the `iss` of `issuer` and have to be for `audience`; we
    /// are `client` there and sign with `key`.
    #[must_use]
    pub fn new(
        scout: Scout,
        place: Endpoint,
        (issuer, audience): (String, String),
        (client, key): (String, AssertionKey),
    ) -> Self {
        let server = Arc::new(Server { issuer, audience, place: Place::Chosen(scout, place), client, key });
        Self { server, words: Mutex::default(), questions: Arc::new(Semaphore::new(QUESTIONS_MAX)) }
    }

    /// Tells what a token is worth; none if the server says nothing.
    ///
    /// Asked once for all who bring the same token at a time. Must be called on a runtime.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn introspect(&self, token: &BearerToken, now: Timestamp) -> Result<Option<VerifiedToken>, AskError> {
        let flight = self.flight(token, now);
        let ask = || {
            let (server, token) = (Arc::clone(&self.server), token.clone());
            let questions = Arc::clone(&self.questions);
            async move {
                let full = |_| server.outage("as many questions are under way as may be");
                let _place = questions.try_acquire().map_err(full)?;
                server.ask(&token, now).await
            }
        };
        Ok(flight.get(now, |_| true, ask).await??)
    }

    fn flight(&self, token: &BearerToken, now: Timestamp) -> Arc<Flight<Word>> {
        // Whatever came is over by then, and so is a question that is still under way.
        const KEPT_FOR: Duration = Duration::from_secs(BELIEVED_FOR.as_secs() + ASK_MAX.as_secs());
        // Whoever makes tokens up must not have all of them looked through for each.
        const SWEEP_EVERY: Duration = Duration::from_secs(1);
        let mut words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let Words { kept: words, swept } = &mut *words;
        let key = token.hash();
        if let Some(kept) = words.get_mut(&key) {
            kept.until = now + KEPT_FOR;
            return Arc::clone(&kept.flight);
        }
        if words.len() >= TOKENS_MAX && swept.is_none_or(|swept| now < swept || now >= swept + SWEEP_EVERY) {
            words.retain(|_, kept| now < kept.until);
            *swept = Some(now);
        }
        let flight = Flight::new(Rests { fetched: Duration::ZERO, failed: Duration::from_secs(1) });
        // With no room, this one is asked about each time it comes.
        if words.len() < TOKENS_MAX {
            words.insert(key, Kept { flight: Arc::clone(&flight), until: now + KEPT_FOR });
        }
        flight
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).kept.len()
    }
}

impl fmt::Debug for Introspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspection").field("issuer", &self.server.issuer).finish_non_exhaustive()
    }
}

impl Server {
    async fn ask(&self, token: &BearerToken, now: Timestamp) -> Result<Fetched<Word>, Outage> {
        let assertion = self.key.assertion(&self.client, &self.issuer, now).map_err(|error| self.outage(error))?;
        // Written into no request: the line knows where it goes.
        let url =
            IntrospectionUrl::new("https://introspection.invalid/".to_owned()).map_err(|error| self.outage(error))?;
        let client = BasicClient::new(ClientId::new(self.client.clone()))
            .set_auth_type(AuthType::RequestBody)
            .set_introspection_url(url);
        let line = Line::new(&self.place, ASK_MAX);
        let token_text = AccessToken::new(token.expose().to_owned());
        let question = client
            .introspect(&token_text)
            .set_token_type_hint("access_token")
            .add_extra_param("client_assertion_type", ASSERTION_TYPE)
            .add_extra_param("client_assertion", assertion);
        question.request_async(&line).await.map_err(|failure| self.outage(cause(&failure)))?;
        // What the crate has read is lenient: of two members of a name it takes one. It is read again.
        let came = line.came().ok_or_else(|| self.outage("its answer is empty"))?;
        let told = Claims::parse(&came).map_err(|error| self.outage(error))?;
        let keys = KeySet::default();
        let expected = Expected { issuer: &self.issuer, audience: &self.audience, keys: &keys };
        let word = token::introspected(&told, token, &expected, now);
        let until = match &word {
            Ok(Some(verified)) => (now + BELIEVED_FOR).min(verified.expires()),
            Ok(None) | Err(_) => now + DISBELIEVED_FOR,
        };
        Ok(Fetched { value: word, fresh_until: until, usable_until: until })
    }

    fn outage(&self, cause: impl ToString) -> Outage {
        Outage::new(format!("introspection at {}", self.issuer), cause)
    }
}

#[cfg(test)]
#[path = "introspection_tests.rs"]
mod tests;
