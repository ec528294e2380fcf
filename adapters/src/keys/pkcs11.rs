//! A wrapping key in a token behind a PKCS#11 module, which says of the key that it gives it to nobody.
//!
//! Each exchange has a thread, a session and a time limit of its own, because a module may wait for a machine in another
//! room. It is asked when a process starts, never while a request is served. This module must not know what is wrapped.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use aws_lc_rs::aead::NONCE_LEN;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use policies::code::Outage;
use policies::secret::Secret;

use super::PORT;
use super::wrap::{KeyBytes, TokenKey, Wrapped, Wrapping};
use crate::entropy;

/// How long an exchange with a token may take: a network HSM that is well answers within one second.
pub const TOKEN_TIME: Duration = Duration::from_secs(10);

/// The length of the tag of AES-GCM, in bits.
const TAG_BITS: u64 = 128;

// A module is initialised once per process: two exchanges at once would end each other's sessions.
static EXCHANGE: Mutex<()> = Mutex::new(());

/// A wrapping key in a token.
pub(super) struct TokenWrapping {
    place: Arc<Place>,
    patience: Duration,
}

struct Place(TokenKey);

impl TokenWrapping {
    pub(super) fn new(key: TokenKey) -> Self {
        Self { place: Arc::new(Place(key)), patience: TOKEN_TIME }
    }

    /// Does `deed` with a session that is logged in, within the time.
    fn exchange<T: Send + 'static>(
        &self,
        deed: impl FnOnce(&Session, ObjectHandle) -> Result<T, Outage> + Send + 'static,
    ) -> Result<T, Outage> {
        let place = Arc::clone(&self.place);
        let (told, heard) = sync_channel(1);
        // If nobody hears any more, the exchange came too late and its result is dropped.
        let run = move || drop(told.send(place.session(deed)));
        let begun = thread::Builder::new().name("qaqpa-token".to_owned()).spawn(run);
        begun.map_err(|error| Outage::new(PORT, format!("no thread for the token: {error}")))?;
        heard.recv_timeout(self.patience).unwrap_or_else(|error| {
            let why = match error {
                RecvTimeoutError::Timeout => format!("gave no answer within {:?}", self.patience),
                RecvTimeoutError::Disconnected => "failed while it was used".to_owned(),
            };
            Err(self.place.outage(&format!("the module {why}")))
        })
    }
}

impl Wrapping for TokenWrapping {
    fn kind(&self) -> &'static str {
        "pkcs11"
    }

    fn key_id(&self) -> String {
        format!("{}/{}", self.place.0.token, self.place.0.key)
    }

    fn wrap(&self, key: &KeyBytes, purpose: &[u8]) -> Result<Wrapped, Outage> {
        let (key, purpose, place) = (key.clone(), purpose.to_vec(), Arc::clone(&self.place));
        self.exchange(move |session, handle| {
            encrypted(&purpose, |parameters| session.encrypt(&Mechanism::AesGcm(parameters), handle, key.expose()))
                .map_err(|error| place.failed("encrypting with the key", &error))
        })
    }

    fn open(&self, wrapped: &Wrapped, purpose: &[u8]) -> Result<KeyBytes, Outage> {
        let (wrapped, purpose, place) = (wrapped.clone(), purpose.to_vec(), Arc::clone(&self.place));
        self.exchange(move |session, handle| {
            let mut iv = wrapped.nonce;
            let failed = |error: Error| place.failed("decrypting with the key", &error);
            let parameters = GcmParams::new(&mut iv, &purpose, TAG_BITS.into()).map_err(failed)?;
            let text = session.decrypt(&Mechanism::AesGcm(parameters), handle, &wrapped.ciphertext).map_err(failed)?;
            let text = Secret::new(text);
            let key = <[u8; 32]>::try_from(text.expose().as_slice()).ok();
            key.map(Secret::new).ok_or_else(|| place.outage("what the token decrypted is no key of 32 bytes"))
        })
    }
}

/// Has something encrypted, under a nonce of ours or, where the token draws its own and writes it over ours, under that.
fn encrypted(purpose: &[u8], encrypt: impl FnOnce(GcmParams<'_>) -> Result<Vec<u8>, Error>) -> Result<Wrapped, Error> {
    let mut nonce = entropy::random::<NONCE_LEN>();
    let ciphertext = encrypt(GcmParams::new(&mut nonce, purpose, TAG_BITS.into())?)?;
    Ok(Wrapped { nonce, ciphertext })
}

impl fmt::Debug for TokenWrapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenWrapping").field("key", &self.place.0).finish_non_exhaustive()
    }
}

impl Place {
    fn session<T>(&self, deed: impl FnOnce(&Session, ObjectHandle) -> Result<T, Outage>) -> Result<T, Outage> {
        let _alone = EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner);
        let module = Pkcs11::new(&self.0.module).map_err(|error| {
            self.outage(&format!("the module {} cannot be loaded: {error}", self.0.module.display()))
        })?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) => {}
            Err(error) => return Err(self.failed("initialising the module", &error)),
        }
        let done = self.logged_in(&module).and_then(|session| {
            let handle = self.find(&session)?;
            deed(&session, handle)
        });
        // The session is closed by now. That the end of the module fails changes nothing of what was done.
        drop(module.finalize());
        done
    }

    fn logged_in(&self, module: &Pkcs11) -> Result<Session, Outage> {
        let slot = self.slot(module)?;
        let token = module.get_token_info(slot).map_err(|error| self.failed("asking the token", &error))?;
        if token.user_pin_locked() {
            return Err(self.outage("the PIN of the token's user is locked"));
        }
        // A process that is started again and again with a wrong PIN would lock the token for everybody.
        if token.user_pin_final_try() {
            let why = "one more wrong PIN would lock the token, so none is tried; log in once by hand";
            return Err(self.outage(why));
        }
        let session = module.open_ro_session(slot).map_err(|error| self.failed("opening a session", &error))?;
        let pin = String::from_utf8(self.0.pin.expose().clone()).map_err(|_| self.outage("the PIN is not text"))?;
        let pin = AuthPin::new(pin.into_boxed_str());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) => Ok(session),
            Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange, _)) => {
                Err(self.outage("the token refuses the PIN"))
            }
            Err(error) => Err(self.failed("logging in", &error)),
        }
    }

    fn slot(&self, module: &Pkcs11) -> Result<Slot, Outage> {
        let slots = module.get_slots_with_token().map_err(|error| self.failed("listing the tokens", &error))?;
        let ours = |slot: &Slot| module.get_token_info(*slot).is_ok_and(|token| token.label() == self.0.token);
        let found: Vec<Slot> = slots.into_iter().filter(ours).collect();
        match found.as_slice() {
            [slot] => Ok(*slot),
            [] => Err(self.outage("no token of this label is there")),
            _ => Err(self.outage("more than one token of this label is there")),
        }
    }

    fn find(&self, session: &Session) -> Result<ObjectHandle, Outage> {
        let wanted = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::AES),
            Attribute::Label(self.0.key.clone().into_bytes()),
        ];
        let failed = |error: Error| self.failed("looking for the key", &error);
        let found = session.find_objects(&wanted).map_err(failed)?;
        let handle = match found.as_slice() {
            [handle] => *handle,
            [] => return Err(self.outage("the token has no AES key of this label")),
            _ => return Err(self.outage("the token has more than one AES key of this label")),
        };
        let asked = [AttributeType::ValueLen, AttributeType::Sensitive, AttributeType::Extractable];
        let told = session.get_attributes(handle, &asked).map_err(failed)?;
        self.fit(&told)?;
        Ok(handle)
    }

    /// Refuses a key of another length, and one that does not say that it stays in the token.
    fn fit(&self, told: &[Attribute]) -> Result<(), Outage> {
        if !told.iter().any(|attribute| matches!(attribute, Attribute::ValueLen(bytes) if u64::from(*bytes) == 32)) {
            return Err(self.outage("the key of this label is not of 256 bits"));
        }
        if !told.contains(&Attribute::Sensitive(true)) {
            return Err(self.outage("whoever knows the PIN can read this key; make it anew, with CKA_SENSITIVE true"));
        }
        if !told.contains(&Attribute::Extractable(false)) {
            let why =
                "whoever knows the PIN can take this key out under another; make it anew, with CKA_EXTRACTABLE false";
            return Err(self.outage(why));
        }
        Ok(())
    }

    fn outage(&self, why: &str) -> Outage {
        Outage::new(PORT, format!("the wrapping key {} in token {}: {why}", self.0.key, self.0.token))
    }

    // The texts of the library name its functions and codes, and hold nothing that was given to it.
    fn failed(&self, doing: &str, error: &Error) -> Outage {
        self.outage(&format!("{doing} failed: {error}"))
    }
}

#[cfg(test)]
#[path = "pkcs11_tests.rs"]
mod tests;
