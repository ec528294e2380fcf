//! `qaqpa tour`: the story of the gateway, told and checked against a running sandbox.
//!
//! Each step says what is asked, what came back and why, and checks it; the first surprise ends the tour. A new chapter
//! is a file beside the others and a line in [`chapters`].

mod arrival;
mod certificate;
mod citizen;
mod guide;
mod money;
mod refusals;

use self::arrival::App;
use self::guide::{Guide, Stop};
use super::client::{Actor, Client, SandboxClient, SandboxFile};

/// How the tour is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TourOptions {
    /// Tell it to a program: one JSON object a line for each step, and one for the summary.
    pub(crate) json: bool,
    /// Use colours.
    pub(crate) colour: bool,
}

// What the app of the tour asks for on the way.
const SCOPES: [&str; 6] =
    ["consents:write", "accounts:read", "balances:read", "transactions:read", "payments:write", "identity:verify"];

/// Takes the tour; tells whether everything was as expected.
///
/// # Errors
/// A sentence for people if the sandbox cannot be reached or is not one that the tour can be taken in.
pub(crate) async fn run(sandbox: &SandboxFile, options: TourOptions) -> Result<bool, String> {
    let mut guide = Guide::new(options.json, options.colour);
    let fine = match chapters(&mut guide, sandbox).await {
        Ok(()) => true,
        Err(Stop::Surprise) => false,
        Err(Stop::Trouble(text)) => return Err(text),
    };
    guide.end(fine, &next(sandbox));
    Ok(fine)
}

async fn chapters(guide: &mut Guide, sandbox: &SandboxFile) -> Result<(), Stop> {
    let record = app(sandbox)?;
    let (actor, plain) = (Actor::new(sandbox, record, None)?, Client::new(sandbox)?);
    guide.opening(
        "Qaqpa: a tour of the gate",
        &format!(
            "Qaqpa means gate. Behind it stand the banks of a small invented country, before it stands you: `{}`, an app \
             of the fintech `{}`. Nothing here is a drawing: every → is a real request over TLS to {}, every ← is what \
             came back, every ✔ is a check. Secrets are shortened.",
            record.client_id, record.organisation, sandbox.api
        ),
    );
    guide.chapter("Knocking", "First the app shows who it is, then it looks around.");
    arrival::knock(guide, sandbox, &plain).await?;
    let own = arrival::token(guide, &actor).await?;
    let seen = arrival::look(guide, &own).await?;
    let app = App { sandbox, actor: &actor, own, asks: seen.status != 200 };
    let (reading, parties) = match app.asks {
        true => citizen::people(guide, &app).await?,
        false => (citizen::Reading::own(&app), arrival::people(guide, sandbox, &app.own, &seen).await?),
    };

    guide.chapter("Lunch", "A customer of the app pays another one. The money moves in the bank's books, once.");
    let made = money::small(guide, &app, &reading.session, &parties).await?;

    guide.chapter("A fridge", "A large amount. Here the gate wants to see the person, not only the app.");
    money::large(guide, &app, &reading.session, &parties).await?;

    guide.chapter("The gate stays shut", "Eight ways not to get in. Each refusal says what to do instead.");
    refusals::thieves(guide, sandbox, &plain, &reading.session).await?;
    refusals::strays(guide, &app.own, &parties).await?;
    refusals::mistakes(guide, &made, &parties).await?;
    refusals::hurry(guide, sandbox).await?;

    citizen::change_of_mind(guide, &app, &reading, &parties.payer.iin).await?;

    guide.chapter("Another key", "Some clients bind their tokens to a TLS certificate instead of a DPoP key.");
    certificate::visit(guide, sandbox, &plain, app.asks.then_some(parties.payer.iin.as_str())).await
}

fn app(sandbox: &SandboxFile) -> Result<&SandboxClient, Stop> {
    let has = |all: &[String], wanted: &str| all.iter().any(|known| known == wanted);
    let fits = |client: &&SandboxClient| {
        client.jwk_private.is_some()
            && ["AISP", "PISP"].iter().all(|role| has(&client.roles, role))
            && SCOPES.iter().all(|scope| has(&client.scopes, scope))
    };
    sandbox.clients.iter().find(fits).ok_or_else(|| {
        let scopes = SCOPES.join(", ");
        Stop::Trouble(format!(
            "The tour needs a client with a private key, the roles AISP and PISP, and the scopes {scopes}."
        ))
    })
}

fn next(sandbox: &SandboxFile) -> String {
    let state = &sandbox.paths.state;
    let flag = if state.ends_with("/.qaqpa") { String::new() } else { format!(" --state {state}") };
    let calls = [
        ("GET /v1/accounts", "one call; token and proof are made for you, and a citizen agrees"),
        ("GET /v1/accounts --own", "the same with nobody asked: refused"),
        (
            "POST /v1/domestic-payments --data @payment.json",
            "pay; FINTECHS.md has a payment.json, large enough that the payer is verified first",
        ),
    ];
    let mut text = format!("Try next, with `qaqpa sandbox{flag}` running in another terminal:\n");
    for (call, what) in calls {
        text.push_str(&format!("  qaqpa call {call}{flag}\n      {what}\n"));
    }
    text.push_str("  qaqpa routes\n      everything that is exposed, to whom, and the lines that say so\n\n");
    text.push_str("Look at:\n");
    for (path, what) in [
        (&sandbox.paths.policies, "who may do what: change a limit and see"),
        (&sandbox.paths.contracts, "what the interfaces are (OpenAPI)"),
        (&sandbox.paths.audit, "what was decided on this tour"),
    ] {
        text.push_str(&format!("  {path}\n      {what}\n"));
    }
    text.trim_end().to_owned()
}
