//! `/oauth/authorize`: the citizen is shown who asks for what, says who they are, and decides.
//!
//! A request is used up by the decision, never by looking at it (AS22): with the decision everything that comes of it is
//! written in one change.

use std::sync::Arc;

use adapters::authorizations::{Batch, Found, consent_key, find, holder_key};
use adapters::entropy;
use policies::authorization::redirect;
use policies::authorization::{AuthorizationCode, Grant, GrantedBy, Pushed};
use policies::code::Code;
use policies::consent::{Consent, Person, SharedAccount, Terms, choose};
use policies::evidence::acr_of_level;
use policies::grant::may_act;
use policies::id::{ClientId, GrantId};
use policies::jose::sha256;
use policies::login::{self, Errand, Holder, Login, Progress, Stage};
use policies::rulebook::Client;
use spine::Reply;
use spine::error::Rejection;

use crate::identify::{
    Citizen, Office, OwnAccount, Turn, answered, begin, citizen, come_back, consent_purpose, current, down,
    fresh_secret, number, refuse, remember, subject_of, turn,
};
use crate::pages::{self, Asking, Choice, Frame, Place, Wish};
use crate::visit::{LANGUAGE_COOKIE, LANGUAGE_SECONDS, LOGIN_COOKIE, Visit, foreign};

/// A pushed request with whoever has pushed it and what it asks for.
struct Request {
    pushed: Found<Pushed>,
    client: Arc<Client>,
    consents: Vec<Found<Consent>>,
}

impl Request {
    fn who(&self) -> &str {
        &self.client.organisation.title
    }

    fn wishes(&self) -> Vec<Wish<'_>> {
        self.consents
            .iter()
            .map(|found| match &found.value.terms {
                Terms::AccountAccess(_) => Wish::Accounts,
                Terms::DomesticPayment(order) => Wish::Payment { amount: &order.amount, payee: &order.creditor_name },
            })
            .collect()
    }

    /// How sure it has to be who decides: as sure as the strictest of the consents needs.
    fn level(&self, office: &Office<'_>) -> &'static str {
        let levels = self.consents.iter().map(|found| office.level(found.value.terms.kind()));
        levels.max().unwrap_or("L2")
    }
}

/// Answers `GET /oauth/authorize`: only `client_id` and `request_uri` are read (AS25).
///
/// # Errors
/// What a local page has to say: nobody is redirected whose request is not known (AS5).
pub async fn show(office: &Office<'_>, visit: &Visit<'_>) -> Result<Reply, Rejection> {
    let missing = || Rejection::new(Code::OauthInvalidRequest, "client_id and request_uri are needed, each once.");
    let id = visit.parameter("client_id").ok_or_else(missing)?;
    let request_uri = visit.parameter("request_uri").ok_or_else(missing)?;
    let id = ClientId::parse(id).map_err(|_| unknown_client())?;
    let client = office.client(&id).ok_or_else(unknown_client)?;
    may_act(client, visit.now).map_err(|error| unknown_client().because(error))?;
    let request = request(office, &sha256(request_uri.as_bytes()), &id).await?;
    request.pushed.value.open(&id, visit.now).map_err(|error| over().because(error))?;
    let own = match visit.secret(LOGIN_COOKIE) {
        Some(secret) => current(office, secret, visit.now).await?.map(|found| (secret, found)),
        None => None,
    };
    let same =
        |login: &Login| matches!(&login.errand, Errand::Request { pushed, .. } if *pushed == request.pushed.value.key);
    let own = own.filter(|(_, found)| same(&found.value));
    held_by(office, &request, own.as_ref().map(|(_, found)| &found.value)).await?;
    if let Some((secret, found)) = own {
        return stage(office, visit, secret, &found, &request).await;
    }
    office.identify.browser(visit.now)?;
    let secret = fresh_secret();
    let errand = Errand::Request { pushed: request.pushed.value.key, client: id };
    let login = Login::begin(login::key_of(&secret), errand, visit.now);
    if !Batch::new().add(&login).commit(office.store(), visit.now).await.map_err(down)? {
        return Err(foreign("two logins have one name"));
    }
    let form_token = login::form_token(&secret);
    let frame = frame(visit, &form_token);
    let mut reply = pages::identify(&frame, Some(request.who()), &request.wishes(), None);
    remember(&mut reply, LOGIN_COOKIE, &secret);
    Ok(keep_language(visit, reply))
}

/// Answers `GET /oauth/authorize/return`: where the browser is on its way; of the address only the ticket is read, which says
/// that it was at the provider's page, and the language.
///
/// # Errors
/// As [`show`].
pub async fn returned(office: &Office<'_>, visit: &Visit<'_>) -> Result<Reply, Rejection> {
    let secret = visit.secret(LOGIN_COOKIE).ok_or_else(|| foreign("there is no cookie"))?;
    let (login, request) = under_way(office, visit, secret).await?;
    stage(office, visit, secret, &login, &request).await
}

/// Answers `POST /oauth/authorize`: one form of the way.
///
/// # Errors
/// As [`show`]; [`Code::FormRefused`] for a form that was not made for this browser.
pub async fn decide(office: &Office<'_>, visit: &Visit<'_>) -> Result<Reply, Rejection> {
    let secret = visit.own_form(LOGIN_COOKIE)?;
    let (login, request) = under_way(office, visit, secret).await?;
    let unknown = || Rejection::new(Code::OauthInvalidRequest, "The form says nothing that can be done.");
    match (visit.field("step"), visit.field("decision")) {
        (Some("identify"), None) => identify(office, visit, secret, &login, &request).await,
        (Some("again"), None) => again(office, visit, &login).await,
        (Some("decide"), Some("refuse")) => refused(office, visit, &login, &request).await,
        (Some("decide"), Some("approve")) => approved(office, visit, secret, &login, &request).await,
        _ => Err(unknown()),
    }
}

async fn identify(
    office: &Office<'_>,
    visit: &Visit<'_>,
    secret: &str,
    login: &Found<Login>,
    request: &Request,
) -> Result<Reply, Rejection> {
    login.value.may_verify(visit.now).map_err(refuse)?;
    request.pushed.value.open(&request.client.id, visit.now).map_err(|error| over().because(error))?;
    match number(visit) {
        Ok(iin) => {
            office.identify.room(&login.value.errand, visit.now)?;
            let reason = pages::reason(visit.language(), Some(request.who()), &request.wishes());
            begin(office, visit, login, &iin, &reason, request.level(office)).await
        }
        Err(fault) => {
            let form_token = login::form_token(secret);
            let frame = frame(visit, &form_token);
            Ok(pages::identify(&frame, Some(request.who()), &request.wishes(), Some(fault)))
        }
    }
}

/// Goes back to the number, for another attempt.
async fn again(office: &Office<'_>, visit: &Visit<'_>, login: &Found<Login>) -> Result<Reply, Rejection> {
    let begun = login.value.again(visit.now).map_err(refuse)?;
    if !Batch::new().replace(login, &begun).commit(office.store(), visit.now).await.map_err(down)? {
        return Err(foreign("the login went on elsewhere"));
    }
    see_other(pages::RETURN)
}

/// Shows the page of the stage that a login has come to.
async fn stage(
    office: &Office<'_>,
    visit: &Visit<'_>,
    secret: &str,
    login: &Found<Login>,
    request: &Request,
) -> Result<Reply, Rejection> {
    if let Some(reply) = come_back(office, visit, login, pages::RETURN).await? {
        return Ok(reply);
    }
    let form_token = login::form_token(secret);
    let frame = frame(visit, &form_token);
    let back_to = Some((request.who(), request.pushed.value.redirect_uri.as_str()));
    let reply = match (&login.value.stage, turn(office, &login.value, visit.now).await?) {
        (_, Some(Turn::Progress(Progress::Waiting { by_itself }))) => pages::wait(&frame, by_itself),
        (_, Some(Turn::Progress(Progress::Elsewhere))) => pages::elsewhere(&frame),
        (_, Some(Turn::Progress(Progress::Missed { again }))) => pages::missed(&frame, again, back_to),
        (_, Some(Turn::Progress(Progress::Passed))) => {
            return Err(foreign("a verification has passed without a level"));
        }
        (_, Some(Turn::Passed(passed))) => {
            let (old, new, fresh) = *passed;
            let pushed = request.pushed.value.key;
            let holder = Holder { pushed, login: new.key, expires: new.expires };
            let batch = Batch::new().replace(login, &old).add(&new).add(&holder);
            if !batch.commit(office.store(), visit.now).await.map_err(down)? {
                return Err(foreign("the login went on elsewhere, or another browser holds the request"));
            }
            answered(office, &new, visit.now).await?;
            let mut reply = see_other(pages::RETURN)?;
            remember(&mut reply, LOGIN_COOKIE, &fresh);
            return Ok(keep_language(visit, reply));
        }
        (Stage::Verified { .. }, None) => decision(office, visit, &frame, &login.value, request, false).await?,
        (_, None) => pages::identify(&frame, Some(request.who()), &request.wishes(), None),
    };
    Ok(keep_language(visit, reply))
}

/// Shows what is to be decided.
async fn decision(
    office: &Office<'_>,
    visit: &Visit<'_>,
    frame: &Frame<'_>,
    login: &Login,
    request: &Request,
    nothing_chosen: bool,
) -> Result<Reply, Rejection> {
    let citizen = citizen(office, visit, login).await?.ok_or_else(|| foreign("nobody was verified"))?;
    let own = accounts(office, &citizen).await?;
    let offers: Vec<Vec<(SharedAccount, String)>> =
        request.consents.iter().map(|found| offered(&found.value, &own)).collect();
    let choices: Vec<Choice<'_>> = request
        .consents
        .iter()
        .zip(&offers)
        .map(|(found, accounts)| Choice { consent: &found.value, accounts })
        .collect();
    let place = format!("{}{}", office.external, pages::CONSENTS);
    let asking = Asking {
        who: request.who(),
        client: request.client.id.as_str(),
        redirect_uri: &request.pushed.value.redirect_uri,
        place: &place,
        consents: &choices,
        nothing_chosen,
    };
    if offers.iter().any(Vec::is_empty) {
        return Ok(pages::foreign(frame, &asking));
    }
    Ok(pages::decide(frame, &asking))
}

async fn accounts(office: &Office<'_>, citizen: &Citizen) -> Result<Vec<OwnAccount>, Rejection> {
    let listed = office.accounts.of_citizen(&citizen.iin).await;
    listed.map_err(|outage| Rejection::outage(Code::BackendUnavailable, &outage))
}

/// Returns the accounts of a citizen that a consent can be given with.
fn offered(consent: &Consent, own: &[OwnAccount]) -> Vec<(SharedAccount, String)> {
    let shared: Vec<SharedAccount> = own.iter().map(|account| account.shared.clone()).collect();
    let fits = |account: &&OwnAccount| choose(&consent.terms, &shared, &[&account.shared.id]).is_ok();
    own.iter().filter(fits).map(|account| (account.shared.clone(), account.label.clone())).collect()
}

async fn approved(
    office: &Office<'_>,
    visit: &Visit<'_>,
    secret: &str,
    login: &Found<Login>,
    request: &Request,
) -> Result<Reply, Rejection> {
    let now = visit.now;
    let Some(citizen) = citizen(office, visit, &login.value).await? else {
        return Err(foreign("nobody was verified"));
    };
    // Policy may have become stricter since the check was begun; the levels' names are in their order.
    if citizen.acr < acr_of_level(request.level(office)) {
        return Err(foreign("policy has asked for a higher level since"));
    }
    let own: Vec<SharedAccount> = accounts(office, &citizen).await?.into_iter().map(|account| account.shared).collect();
    let grant = GrantId::parse(&entropy::uuid_v7(now)).map_err(defect)?;
    let mut batch = Batch::new().replace(&request.pushed, &request.pushed.value.completed());
    let mut authorised = Vec::new();
    for found in &request.consents {
        let chosen = match &found.value.terms {
            Terms::AccountAccess(_) => visit.fields("account"),
            Terms::DomesticPayment(_) => visit.fields("debtor"),
        };
        let Ok(choice) = choose(&found.value.terms, &own, &chosen) else {
            let form_token = login::form_token(secret);
            return decision(office, visit, &frame(visit, &form_token), &login.value, request, true).await;
        };
        let sealed =
            office.subjects.seal(&citizen.key, &consent_purpose(&found.value.id), citizen.iin.expose().as_bytes());
        let index = crate::identify::index_of(office.sealer, &citizen.iin);
        let person = Person { index, sealed: sealed.map_err(down)? };
        let consent =
            found.value.authorise(choice, person, grant.clone(), now).map_err(|error| over().because(error))?;
        batch = batch.replace(found, &consent);
        authorised.push(consent);
    }
    let subject = subject_of(office.sealer, &request.client.id, &citizen.iin);
    let by = GrantedBy { subject, acr: citizen.acr.clone(), authenticated: citizen.at };
    let grant =
        Grant::of(grant, &request.pushed.value, &authorised, by).ok_or_else(|| defect("nothing was granted"))?;
    let code = fresh_secret();
    let kept = AuthorizationCode::of(sha256(code.as_bytes()), &request.pushed.value, grant.id.clone(), now);
    let batch = batch.add(&grant).add(&kept).replace(login, &login.value.ended());
    visit.trail.note_reference(grant.id.as_str());
    if !batch.commit(office.store(), now).await.map_err(down)? {
        return Err(over().because("somebody was faster"));
    }
    answer(office, request, ("code", &code))
}

async fn refused(
    office: &Office<'_>,
    visit: &Visit<'_>,
    login: &Found<Login>,
    request: &Request,
) -> Result<Reply, Rejection> {
    let mut batch = Batch::new().replace(&request.pushed, &request.pushed.value.completed());
    for found in &request.consents {
        // What was decided or is over in the meantime stays as it is.
        if let Ok(rejected) = found.value.reject(visit.now) {
            batch = batch.replace(found, &rejected);
        }
    }
    let batch = batch.replace(login, &login.value.ended());
    if !batch.commit(office.store(), visit.now).await.map_err(down)? {
        return Err(over().because("somebody was faster"));
    }
    answer(office, request, ("error", "access_denied"))
}

/// Sends the browser back to the client: with the issuer in every answer (RFC 9207), and what the client gave us for it.
fn answer(office: &Office<'_>, request: &Request, said: (&str, &str)) -> Result<Reply, Rejection> {
    let pushed = &request.pushed.value;
    let mut said = vec![said, ("iss", office.server.issuer)];
    said.extend(pushed.state.as_deref().map(|state| ("state", state)));
    let mut reply = see_other(&redirect::answer(&pushed.redirect_uri, &said))?;
    pages::set_cookie(&mut reply, LOGIN_COOKIE, "", 0);
    Ok(reply)
}

/// Finds the login of a cookie and the request that it is about; both have to be good still.
async fn under_way(office: &Office<'_>, visit: &Visit<'_>, secret: &str) -> Result<(Found<Login>, Request), Rejection> {
    let login = current(office, secret, visit.now).await?.ok_or_else(|| foreign("there is no such login"))?;
    let Errand::Request { pushed, client } = &login.value.errand else { return Err(foreign("the login is for else")) };
    let request = request(office, pushed, client).await?;
    if request.pushed.value.used {
        return Err(over().because("it was decided before"));
    }
    may_act(&request.client, visit.now).map_err(|error| unknown_client().because(error))?;
    held_by(office, &request, Some(&login.value)).await?;
    Ok((login, request))
}

/// Refuses every login but the one that has verified somebody for a request, once there is one: no other browser goes on
/// with it, nor refuses in the name of who was verified.
async fn held_by(office: &Office<'_>, request: &Request, login: Option<&Login>) -> Result<(), Rejection> {
    let holder = find::<Holder>(office.store(), &holder_key(&request.pushed.value.key)).await.map_err(down)?;
    match holder {
        Some(holder) if login.is_none_or(|login| login.key != holder.value.login) => {
            Err(foreign("another browser holds the request"))
        }
        _ => Ok(()),
    }
}

async fn request(office: &Office<'_>, key: &[u8; 32], id: &ClientId) -> Result<Request, Rejection> {
    let pushed = find::<Pushed>(office.store(), key).await.map_err(down)?.ok_or_else(over)?;
    if pushed.value.client != *id {
        return Err(over().because("another client pushed it"));
    }
    let client = Arc::clone(office.client(id).ok_or_else(unknown_client)?);
    if !client.oauth.redirect_uris.contains(&pushed.value.redirect_uri) {
        return Err(over().because("the redirect URI is not the client's any more"));
    }
    let mut consents = Vec::new();
    for id in &pushed.value.consents {
        let found = find::<Consent>(office.store(), &consent_key(id)).await.map_err(down)?;
        consents.push(found.ok_or_else(|| over().because("a consent of it is not there any more"))?);
    }
    Ok(Request { pushed, client, consents })
}

fn frame<'a>(visit: &Visit<'_>, form_token: &'a str) -> Frame<'a> {
    Frame { language: visit.language(), place: Place::Request, form_token }
}

/// Has the browser keep a language that was chosen just now.
pub(crate) fn keep_language(visit: &Visit<'_>, mut reply: Reply) -> Reply {
    if let Some(language) = visit.chosen_language() {
        pages::set_cookie(&mut reply, LANGUAGE_COOKIE, language.tag(), LANGUAGE_SECONDS);
    }
    reply
}

pub(crate) fn see_other(place: &str) -> Result<Reply, Rejection> {
    pages::see_other(place).ok_or_else(|| defect("a place cannot be a header"))
}

fn over() -> Rejection {
    Rejection::new(Code::OauthInvalidRequestUri, "The request is over, or was never pushed by this client.")
}

fn unknown_client() -> Rejection {
    Rejection::new(Code::OauthUnauthorizedClient, "The client may not ask for an authorization.")
}

fn defect(cause: impl ToString) -> Rejection {
    Rejection::new(Code::Internal, "The page could not be made.").because(cause)
}
