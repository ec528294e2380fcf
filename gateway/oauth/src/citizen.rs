//! `/oauth/consents`: citizens see what they have granted to whom, and take it back.
//!
//! The way to it is the same as to a decision. What is taken back ends with everything that came of it.

use adapters::authorizations::{Batch, Found, of_owner};
use policies::code::Code;
use policies::consent::{Consent, ConsentKind, ConsentState};
use policies::id::ConsentId;
use policies::login::{self, Errand, Login, Progress, Stage};
use policies::rulebook::Client;
use spine::Reply;
use spine::error::Rejection;

use crate::authorize::{keep_language, see_other};
use crate::ending;
use crate::identify::{
    Office, Turn, answered, begin, citizen, come_back, current, down, fresh_secret, index_of, number, refuse, remember,
    turn,
};
use crate::pages::{self, Frame, OwnConsent, OwnState, Place};
use crate::visit::{CITIZEN_COOKIE, Visit, foreign};

/// How sure it has to be who looks: as for the decisions themselves.
fn level(office: &Office<'_>) -> &'static str {
    ConsentKind::ALL.map(|kind| office.level(kind)).into_iter().max().unwrap_or("L2")
}

/// Answers `GET /oauth/consents`.
///
/// # Errors
/// What a local page has to say.
pub async fn show(office: &Office<'_>, visit: &Visit<'_>) -> Result<Reply, Rejection> {
    let known = match visit.secret(CITIZEN_COOKIE) {
        Some(secret) => own_login(office, visit, secret).await?.map(|found| (secret, found)),
        None => None,
    };
    let reply = match known {
        Some((secret, login)) => stage(office, visit, secret, &login, false).await?,
        // Nothing is kept of who only looks.
        None => {
            let secret = fresh_secret();
            let form_token = login::form_token(&secret);
            let mut reply = pages::identify(&frame(visit, &form_token), None, &[], None);
            remember(&mut reply, CITIZEN_COOKIE, &secret);
            reply
        }
    };
    Ok(keep_language(visit, reply))
}

/// Answers `POST /oauth/consents`.
///
/// # Errors
/// As [`show`]; [`Code::FormRefused`] for a form that was not made for this browser.
pub async fn change(office: &Office<'_>, visit: &Visit<'_>) -> Result<Reply, Rejection> {
    let secret = visit.own_form(CITIZEN_COOKIE)?;
    match visit.field("step") {
        Some("identify") => identify(office, visit, secret).await,
        Some("again") => {
            let login = needed(office, visit, secret).await?;
            let begun = login.value.again(visit.now).map_err(refuse)?;
            commit(office, visit, Batch::new().replace(&login, &begun)).await?;
            see_other(pages::CONSENTS)
        }
        Some("revoke") => revoke(office, visit, secret).await,
        Some("leave") => {
            let login = needed(office, visit, secret).await?;
            commit(office, visit, Batch::new().replace(&login, &login.value.ended())).await?;
            let mut reply = pages::left(&frame(visit, ""));
            pages::set_cookie(&mut reply, CITIZEN_COOKIE, "", 0);
            Ok(reply)
        }
        _ => Err(Rejection::new(Code::OauthInvalidRequest, "The form says nothing that can be done.")),
    }
}

async fn identify(office: &Office<'_>, visit: &Visit<'_>, secret: &str) -> Result<Reply, Rejection> {
    let iin = match number(visit) {
        Ok(iin) => iin,
        Err(fault) => {
            let form_token = login::form_token(secret);
            return Ok(pages::identify(&frame(visit, &form_token), None, &[], Some(fault)));
        }
    };
    office.identify.room(&Errand::OwnConsents, visit.now)?;
    if own_login(office, visit, secret).await?.is_none() {
        // Fails if the secret had its login before: a name is not used twice.
        let login = Login::begin(login::key_of(secret), Errand::OwnConsents, visit.now);
        commit(office, visit, Batch::new().add(&login)).await?;
    }
    let login = needed(office, visit, secret).await?;
    let reason = pages::reason(visit.language(), None, &[]);
    begin(office, visit, &login, &iin, &reason, level(office)).await
}

async fn stage(
    office: &Office<'_>,
    visit: &Visit<'_>,
    secret: &str,
    login: &Found<Login>,
    revoked: bool,
) -> Result<Reply, Rejection> {
    if let Some(reply) = come_back(office, visit, login, pages::CONSENTS).await? {
        return Ok(reply);
    }
    let form_token = login::form_token(secret);
    let frame = frame(visit, &form_token);
    Ok(match (&login.value.stage, turn(office, &login.value, visit.now).await?) {
        (_, Some(Turn::Progress(Progress::Waiting { by_itself }))) => pages::wait(&frame, by_itself),
        (_, Some(Turn::Progress(Progress::Elsewhere))) => pages::elsewhere(&frame),
        (_, Some(Turn::Progress(Progress::Missed { again }))) => pages::missed(&frame, again, None),
        (_, Some(Turn::Progress(Progress::Passed))) => {
            return Err(foreign("a verification has passed without a level"));
        }
        (_, Some(Turn::Passed(passed))) => {
            let (old, new, fresh) = *passed;
            commit(office, visit, Batch::new().replace(login, &old).add(&new)).await?;
            answered(office, &new, visit.now).await?;
            let mut reply = see_other(pages::CONSENTS)?;
            remember(&mut reply, CITIZEN_COOKIE, &fresh);
            reply
        }
        (Stage::Verified { .. }, None) => {
            let listed = listed(office, visit, &login.value).await?;
            pages::own(&frame, &listed, revoked)
        }
        (_, None) => pages::identify(&frame, None, &[], None),
    })
}

/// Lists the consents of whoever a login has verified.
async fn listed(office: &Office<'_>, visit: &Visit<'_>, login: &Login) -> Result<Vec<OwnConsent>, Rejection> {
    let citizen = citizen(office, visit, login).await?.ok_or_else(|| foreign("nobody was verified"))?;
    let index = index_of(office.sealer, &citizen.iin);
    let mut listed = Vec::new();
    for found in of_owner::<Consent>(office.store(), &index).await.map_err(down)? {
        let consent = found.value;
        let once = consent.terms.kind() == ConsentKind::DomesticPayment;
        let spent = once && ending::is_spent(&office.server, &consent, visit.now).await?;
        let state = match consent.state_at(visit.now, spent) {
            ConsentState::Authorised => OwnState::Active,
            ConsentState::Consumed => OwnState::Used,
            ConsentState::Expired => OwnState::Expired,
            ConsentState::Revoked => OwnState::Revoked,
            // It was never theirs.
            ConsentState::AwaitingAuthorisation | ConsentState::Rejected => continue,
        };
        let title = |client: &std::sync::Arc<Client>| client.organisation.title.clone();
        let who = office.client(&consent.client).map_or_else(|| consent.client.to_string(), title);
        listed.push(OwnConsent { consent, who, state });
    }
    Ok(listed)
}

/// Takes a consent back, with the grant that came of it and everything under that.
async fn revoke(office: &Office<'_>, visit: &Visit<'_>, secret: &str) -> Result<Reply, Rejection> {
    let login = needed(office, visit, secret).await?;
    let unknown = || Rejection::new(Code::NotFound, "There is no such consent of yours.");
    let id = visit.field("consentId").and_then(|id| ConsentId::parse(id).ok()).ok_or_else(unknown)?;
    let citizen = citizen(office, visit, &login.value).await?.ok_or_else(|| foreign("nobody was verified"))?;
    let index = index_of(office.sealer, &citizen.iin);
    let own = |consent: &Consent| consent.person.as_ref().is_some_and(|person| person.index == index);
    let asked = ending::consent(&office.server, &id).await?;
    asked.filter(|found| own(&found.value)).ok_or_else(unknown)?;
    visit.trail.note_reference(id.as_str());
    ending::end_consent(&office.server, &id, visit.now).await?;
    stage(office, visit, secret, &login, true).await
}

async fn commit(office: &Office<'_>, visit: &Visit<'_>, batch: Batch) -> Result<(), Rejection> {
    let kept = batch.commit(office.store(), visit.now).await.map_err(down)?;
    if kept { Ok(()) } else { Err(foreign("it went on elsewhere")) }
}

async fn own_login(office: &Office<'_>, visit: &Visit<'_>, secret: &str) -> Result<Option<Found<Login>>, Rejection> {
    let found = current(office, secret, visit.now).await?;
    Ok(found.filter(|found| found.value.errand == Errand::OwnConsents))
}

async fn needed(office: &Office<'_>, visit: &Visit<'_>, secret: &str) -> Result<Found<Login>, Rejection> {
    own_login(office, visit, secret).await?.ok_or_else(|| foreign("there is no such login"))
}

fn frame<'a>(visit: &Visit<'_>, form_token: &'a str) -> Frame<'a> {
    Frame { language: visit.language(), place: Place::Own, form_token }
}
