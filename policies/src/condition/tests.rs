#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::facts::{FieldKind, Security, Shape};
use crate::id::{ApiId, ClientId, OperationId, OrganisationId, PlanId};
use crate::limit::Mode;
use crate::party::{Client, ScopeSet};
use crate::rulebook::{
    AuditDuty, CertificateName, ClientAuthentication, OauthTerms, OperationPolicy, Organisation, Plan, Role, Service,
    TokenBinding,
};
use crate::time::Timestamp;

fn client() -> Client {
    Client {
        id: ClientId::parse("demo-web").unwrap(),
        organisation: Arc::new(Organisation {
            id: OrganisationId::parse("demo").unwrap(),
            title: "Demo".to_owned(),
            roles: BTreeSet::from([Role::Pisp, Role::Aisp]),
            licence_ends: Timestamp::MAX,
            suspended: false,
            networks: Vec::new(),
        }),
        authentication: ClientAuthentication::TlsClientAuth(CertificateName::SanDns("client.example.kz".to_owned())),
        binding: TokenBinding::Mtls,
        scopes: ScopeSet::of(["payments:write", "payments:read"]),
        plan: Arc::new(Plan { id: PlanId::parse("standard").unwrap(), limits: vec![] }),
        suspended: false,
        webhook: None,
        oauth: OauthTerms::default(),
    }
}

fn policy() -> OperationPolicy {
    OperationPolicy {
        operation: OperationId::parse("createDomesticPayment").unwrap(),
        api: ApiId::parse("payments").unwrap(),
        security: Security::AccessToken,
        roles: BTreeSet::new(),
        scopes: ScopeSet::default(),
        body_bytes_max: 1024,
        timeout: Duration::from_secs(1),
        service: Service::Own,
        idempotent: true,
        settled_by: None,
        step_ups: Vec::new(),
        limits: Vec::new(),
        allow: Vec::new(),
        fraud: Vec::new(),
        responses: Mode::Report,
        masks: Vec::new(),
        noted: Vec::new(),
        loosened: None,
        consent: None,
        audit: AuditDuty::Required,
        origin: "payments.yaml:1".to_owned(),
    }
}

/// An operation whose body is described; `open` says whether more may stand in it.
fn operation(open: bool) -> OperationFacts {
    let fields = [
        ("/count", FieldKind::Integer),
        ("/creditor", FieldKind::Object),
        ("/creditor/bank-code", FieldKind::Text),
        ("/creditor/iban", FieldKind::Text),
        ("/extra", FieldKind::Any),
        ("/instructedAmount", FieldKind::Object),
        ("/instructedAmount/amount", FieldKind::Text),
        ("/instructedAmount/currency", FieldKind::Text),
        ("/items", FieldKind::Array),
        ("/items/*", FieldKind::Object),
        ("/items/*/code", FieldKind::Text),
        ("/items/*/price", FieldKind::Number),
        ("/rate", FieldKind::Number),
        ("/tags", FieldKind::Array),
        ("/tags/*", FieldKind::Text),
        ("/text", FieldKind::Text),
        ("/urgent", FieldKind::Boolean),
    ];
    let mut fields: Vec<_> = fields.into_iter().map(|(place, kind)| (place.to_owned(), kind)).collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    OperationFacts {
        id: "createDomesticPayment".to_owned(),
        api: "payments".to_owned(),
        method: "POST".to_owned(),
        template: "/payments".to_owned(),
        security: Security::AccessToken,
        scopes: Vec::new(),
        has_body: true,
        body: Shape { fields, open },
        body_streams: false,
        answer_streams: false,
        answer: Shape::default(),
        headers: Vec::new(),
        idempotent: true,
        own: false,
        collides_with: Vec::new(),
        obstacle: None,
        origin: "payments.yaml:1".to_owned(),
    }
}

fn body() -> Value {
    json!({
        "instructedAmount": {"amount": "250000.01", "currency": "KZT"},
        "creditor": {"iban": "KZ86125KZT5004100100", "bank-code": "TSES"},
        "items": [{"code": "A", "price": 5}, {"code": "B", "price": 2.5}],
        "tags": ["one", "two"],
        "count": 3,
        "rate": 5,
        "text": "Оплата за свет",
        "urgent": true,
        "extra": {"deep": [1, 2, 3], "name": "x", "none": null},
    })
}

/// A Sunday evening in UTC, Monday 01:30 in Kazakhstan.
fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T20:30:00Z").unwrap()
}

fn judge(text: &str, open: bool, body: Option<&Value>) -> Result<bool, String> {
    let condition = Condition::compile(text, "here:1", Some(&operation(open)))
        .unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let (policy, client, scopes) = (policy(), client(), ScopeSet::of(["payments:write"]));
    let facts = ConditionFacts {
        operation: &policy.operation,
        api: &policy.api,
        client: Some(&client),
        scopes: Some(&scopes),
        peer: Some("10.1.2.3".parse().unwrap()),
        body: body.into(),
        now: now(),
    };
    condition.judge(&facts).map_err(|fault| fault.why)
}

/// The text between the marks of the first fault, and what is said.
fn fault(text: &str) -> (String, String, String) {
    let faults =
        Condition::compile(text, "here:1", Some(&operation(false))).err().unwrap_or_else(|| panic!("{text} passes"));
    let first = faults.first().unwrap();
    let marked: String = text.chars().skip(first.offset).take(first.length).collect();
    (marked, first.message.clone(), first.help.clone().unwrap_or_default())
}

#[test]
fn what_is_wrong_with_names_and_kinds_is_told_where_it_stands() {
    for (text, marked, message, help) in [
        ("clint.id == 'a'", "clint", "nothing is known under the name `clint`", "did you mean `client`?"),
        (
            "organisation == 'a'",
            "organisation",
            "nothing is known under the name `organisation`",
            "did you mean `client.organisation`?",
        ),
        ("count > 3", "count", "nothing is known under the name `count`", "did you mean `body.count`?"),
        ("zzzzzz", "zzzzzz", "nothing is known", "known are `client`, `token`, `request` and `body`"),
        ("true && client .rolez == 1", "rolez", "`client` has no member `rolez`", "did you mean `roles`?"),
        ("client == 'a'", "client", "`client` is a group of facts, not one", "it has `client.id`"),
        ("body.creditor.ibann == 'a'", "ibann", "`body.creditor` has no member `ibann`", "did you mean `iban`?"),
        ("body['creditr'].iban == 'a'", "[", "`body` has no member `creditr`", "did you mean `creditor`?"),
        ("body.text.length > 3", "length", "a text has no member `length`", ""),
        ("body.items.code == 'A'", "code", "a list has no member `code`", "`exists` and `all`"),
        ("body.items.exists(i, i.cod == 'A')", "cod", "`body.items.*` has no member `cod`", "did you mean `code`?"),
        ("body.count == '3'", "==", "a whole number is never equal to a text", ""),
        (
            "body.instructedAmount > 5",
            ">",
            "an object and a whole number have no order",
            "money(body.instructedAmount)",
        ),
        ("request.time < '2027-01-01'", "<", "a point in time and a text have no order", "timestamp("),
        ("body.tags == ['a']", "tags", "a list cannot be compared as a whole", "`in`"),
        ("body.text && true", "text", "true or false is needed here, this is a text", ""),
        ("!body.count", "count", "true or false is needed here, this is a whole number", ""),
        ("body.count", "count", "a condition is true or false, this is a whole number", ""),
        ("body.count + 1.5 > 2.0", "+", "cannot be reckoned together", "`.0`"),
        ("body.text + 'a' == 'b'", "+", "a text and a text cannot be reckoned with", ""),
        ("-body.text == 'b'", "text", "a text has no negative", ""),
        ("body.count / 0 == 1", "0", "nothing can be divided by zero", ""),
        ("body.rate / -0.0 == 1.0", "0.0", "nothing can be divided by zero", ""),
        ("body.count % 0 == 1", "0", "nothing can be divided by zero", ""),
        ("body.rate % 2 == 1", "%", "cannot be reckoned with", ""),
        ("'PISP' in body.text", "text", "a text is no list", "['A', 'B']"),
        ("5 in client.roles", "in", "a whole number is never in a list of which an item is a text", ""),
        ("body.tags in [['a']]", "[", "a list cannot stand in a list", ""),
        ("body.text in ['a', 5]", "5", "the list begins with a text, and here is a whole number", ""),
        ("body.tags['a'] == 'b'", "[", "a list has no member `a`", ""),
        ("body.tags[true] == 'b'", "true", "a whole number is needed here, this is true or false", ""),
        ("body.text[0] == 'b'", "text", "a text has no items", ""),
        ("body.urgent ? 1 : 'a'", "'a'", "both choices have to be of one kind", ""),
        ("body.urgent ? 'a' : 'b'", "", "a condition is true or false", ""),
        ("mony(body.instructedAmount) > 5", "mony", "there is no function `mony`", "did you mean `money`?"),
        ("money(body.creditor) > 5", "creditor", "`body.creditor` has no member `amount`", ""),
        ("money(body.text) > 5", "text", "`money` takes an object", ""),
        ("money() > 5", "money", "`money` is not written like this", "money(body.instructedAmount)"),
        ("tenge('5') > 5", "'5'", "a whole number is needed here, this is a text", ""),
        ("tenge(9223372036854775807) > 5", "9223372036854775807", "there is not so much money", ""),
        ("body.text.matches(body.text)", "text", "a pattern is a text between quotes", ""),
        ("body.text.matches('(')", "'('", "this is no regular expression", "unclosed group"),
        ("body.text.matches('(?=a)b')", "'(?=a)b'", "this is no regular expression", "look-around"),
        ("body.text.matches('((a{99}){99}){99}')", "'((a{99}){99}){99}'", "this pattern repeats too much", ""),
        ("in_network(request.peer, '10.0.0.1/8')", "'10.0.0.1/8'", "this is no network", "10.0.0.0/8"),
        ("in_network(request.peer, body.text)", "text", "a network is written as a text", ""),
        ("in_network(5, '10.0.0.0/8')", "5", "a text is needed here", ""),
        ("request.time < timestamp('tomorrow')", "'tomorrow'", "this is no point in time", "2026-12-31T19:00:00Z"),
        ("request.time < timestamp(body.text)", "text", "a point in time is written", ""),
        ("has(client.id)", "id", "only members of the body are there or not", ""),
        ("has(body)", "has", "`has` asks for a member", ""),
        ("has(body.nothing)", "nothing", "`body` has no member `nothing`", ""),
        ("client.roles.contains('PISP')", "contains", "`contains` is for texts", "`value in list`"),
        ("body.text.upper() == 'A'", "upper", "there is no function `upper`", "known are"),
        ("body.items.map(i, i.code)", "map", "there is no function `map`", ""),
        ("body.items.exists(body, true)", "body", "`body` is known already", ""),
        ("body.items.exists(1, true)", "1", "a name for the items of the list is needed here", ""),
        ("body.text.exists(i, true)", "text", "a text is no list", ""),
        ("body.items.exists(i, i.code)", "code", "true or false is needed here", ""),
        ("body.items.exists(i, body.tags.all(t, true))", "all", "cannot stand within one another", ""),
        ("i.code == 'a'", "i", "nothing is known", ""),
        ("size(body.count) > 1", "count", "a whole number has no size", ""),
        ("{'a': 1}.a == 1", "{", "objects cannot be made in a condition", ""),
        ("Object{a: 1}.a == 1", "{", "objects cannot be made in a condition", ""),
        ("5u == 5", "5u", "numbers are written without a `u` here", ""),
        ("b'a' == 'a'", "b'a'", "a text is written without a `b` here", ""),
        ("dyn(5) == 5", "dyn", "there is no function `dyn`", ""),
        ("type(5) == int", "type", "there is no function `type`", ""),
        ("@1 == 5", "@", "this is no CEL expression", ""),
        ("body.?text == 'a'", "", "this is no CEL expression", ""),
        ("'юрта \u{1f600}' == 'ө' && body.count", "count", "true or false is needed here", ""),
        ("'юрта' ==\n 'ө' & body.urgent", "&", "this is no CEL expression", "`&&`"),
        (".body.text == 'a'", "body", "nothing is known under the name `.body`", "did you mean `body`?"),
    ] {
        let (found, said, advice) = fault(text);
        assert!(said.contains(message), "{text}: {said}");
        assert!(advice.contains(help), "{text}: {said}: {advice}");
        assert!(marked.is_empty() || found == marked, "{text}: marks {found:?}, not {marked:?}");
    }
}

#[test]
fn every_fault_is_told_at_once_in_order() {
    let faults = Condition::compile("clint.id == 'a' &&\n body.cont > 5 || zzz(1)", "here:1", Some(&operation(false)))
        .unwrap_err();
    let offsets: Vec<usize> = faults.iter().map(|fault| fault.offset).collect();
    assert_eq!(offsets, [0, 25, 37], "{faults:?}");
}

#[test]
fn what_other_languages_write_is_recognised() {
    for (text, help) in [
        ("body.urgent and true", "CEL writes `&&`, `||` and `!`"),
        ("body.count = 5", "two values are compared with `==`"),
        ("body.urgent & body.urgent", "CEL writes `&&` and `||`"),
    ] {
        let (_, message, said) = fault(text);
        assert!(message.starts_with("this is no CEL expression"), "{message}");
        assert_eq!(said, help, "{text}");
    }
}

#[test]
fn conditions_are_judged_as_they_read() {
    let body = body();
    for (text, expected) in [
        ("true", true),
        ("client.id == 'demo-web'", true),
        ("client.organisation in ['demo', 'other']", true),
        ("client.organisation in ['other']", false),
        ("'PISP' in client.roles && !('BANK' in client.roles)", true),
        ("'payments:read' in client.scopes && !('payments:read' in token.scopes)", true),
        ("request.operation == 'createDomesticPayment' && request.api == 'payments'", true),
        ("request.hour == 1 && request.weekday == 1", true),
        ("request.hour >= 22 || request.hour < 6", true),
        ("request.time == timestamp('2026-11-22T20:30:00Z')", true),
        ("request.time != timestamp('2026-11-22T20:30:00Z')", false),
        ("request.time < timestamp('2026-11-23T01:30:00.001+05:00')", true),
        ("request.peer == '10.1.2.3'", true),
        ("in_network(request.peer, '10.0.0.0/8')", true),
        ("in_network(request.peer, '10.2.0.0/16')", false),
        ("money(body.instructedAmount) > tenge(250000)", true),
        ("money(body.instructedAmount) > tenge(250000) + 1", false),
        ("money(body.instructedAmount) == 25000001", true),
        ("body.instructedAmount.currency == \"KZT\"", true),
        ("body['creditor']['bank-code'] == 'TSES'", true),
        ("body.creditor.iban.startsWith('KZ') && body.creditor.iban.endsWith('0100')", true),
        ("body.text.contains('свет') && size(body.text) == 14 && body.text.size() == 14", true),
        ("body.text.matches('^[А-Я][а-я]+ ')", true),
        ("body.text.matches('^[a-z]+$')", false),
        ("has(body.text) && !has(body.extra.nothing)", true),
        ("size(body.items) == 2 && body.items[1].code == 'B'", true),
        ("body.items.exists(item, item.code == 'B' && item.price < 3.0)", true),
        ("body.items.exists(item, item.price * 2.0 == 10.0)", true),
        ("body.items.all(item, item.price > 2.5)", false),
        ("body.items.all(item, has(item.code))", true),
        ("body.items.exists(item, has(item.price) && item.code in ['B', 'C'])", true),
        ("body.tags.exists(tag, tag == 'two')", true),
        ("'two' in body.tags && !('three' in body.tags)", true),
        ("['a', 'b'].all(x, x != 'c')", true),
        ("[body.count, 5].exists(x, x == 3)", true),
        ("[].exists(x, x == 3)", false),
        ("body.count * 2 - 1 == 5 && body.count / 2 == 1 && body.count % 2 == 1", true),
        ("body.rate / 2.0 == 2.5 && body.rate == 5", true),
        ("-body.count == -3 && body.count > -5", true),
        ("body.count in [1, 2, 3]", true),
        ("body.count in [1.0, 3.0]", true),
        ("(body.urgent ? body.count : 0) == 3", true),
        ("body.extra.deep[2] == 3 && 2 in body.extra.deep && size(body.extra.deep) == 3", true),
        ("body.extra.none == null && body.extra.name != null", true),
        ("body.extra.name == 'x' && body.extra.name != 5", true),
        ("body.extra.deep.exists(n, n > 2)", true),
        ("body.count != null", true),
        // A side that cannot be judged does not matter where the other decides.
        ("body.extra.nothing == 1 || true", true),
        ("true || body.extra.nothing == 1", true),
        ("body.extra.nothing == 1 && false", false),
        ("body.items.exists(item, item.code == 'A' || item.price > 1.0) // as they come", true),
        ("!!body.urgent && !!!body.urgent == false", true),
    ] {
        assert_eq!(judge(text, false, Some(&body)), Ok(expected), "{text}");
    }
    assert_eq!(judge("body.unheard == 5", true, Some(&json!({"unheard": 5}))), Ok(true));
}

#[test]
fn what_cannot_be_judged_says_why_without_a_value() {
    let other = json!({
        "instructedAmount": {"amount": "secret", "currency": "KZT"},
        "creditor": {"iban": "secret"},
        "items": [{"code": "secret"}, "secret", {"code": 7}],
        "tags": "secret",
        "count": i64::MAX,
        "rate": "secret",
        "text": "secret",
        "extra": {"deep": {"secret": "secret"}, "list": ["secret"], "text": "secret", "big": u64::MAX, "yes": true},
    });
    let member = "a member that it asks for is not there";
    let kind = "a value is of another kind than it asks for";
    for (text, why) in [
        ("body.urgent", "`body.urgent` is not there"),
        ("body.creditor['bank-code'] == 'x' && true", "`body.creditor.bank-code` is not there"),
        ("has(body.extra.gone.further)", "`body.extra.gone.further` is not there"),
        ("body.extra.gone == 5", "`body.extra.gone` is not there"),
        ("money(body.instructedAmount) > 5", "an amount is malformed or in another currency"),
        ("money(body.extra.deep) > 5", member),
        ("money(body.extra.text) > 5", kind),
        ("money(body.extra.list) > 5", kind),
        ("body.count + 1 > 5", "a number became too large"),
        ("tenge(body.count) > 5", "a number became too large"),
        ("-body.count - 2 < 5", "a number became too large"),
        ("5 / (body.count - body.count) == 1", "a division by zero"),
        ("5 % (body.count - body.count) == 1", "a division by zero"),
        ("body.rate > 5.0", kind),
        ("body.tags.exists(tag, tag == 'a')", kind),
        ("'a' in body.tags", kind),
        ("body.tags[0] == 'a'", kind),
        ("body.items[9].code == 'a'", member),
        ("body.items[-1].code == 'a'", member),
        ("body.extra.list[9] == 'a'", member),
        ("body.items.all(item, item.code != 'a')", kind),
        ("body.items.all(item, item.price > 1.0)", member),
        ("body.extra.deep == 'a'", kind),
        ("body.extra.deep != 'a'", kind),
        ("body.extra.list == body.extra.list", kind),
        ("body.extra.deep > 5", kind),
        ("body.extra.deep in body.extra.list", kind),
        ("!(body.extra.deep in ['a'])", kind),
        ("5 in body.extra.deep", kind),
        ("body.extra.deep.all(x, true)", kind),
        ("body.extra.deep && true", kind),
        ("!body.extra.deep", kind),
        ("body.extra.deep", "what comes of it is neither true nor false"),
        ("body.extra.deep ? true : false", kind),
        ("-body.extra.deep > 5", kind),
        ("body.extra.deep + body.extra.list > 5", kind),
        ("body.extra.list + 5 > 5", kind),
        ("body.extra.list + body.extra.list > 5", kind),
        ("body.extra.big + 1 > 5", kind),
        ("body.extra.text.contains('s') && body.extra.deep.contains('a')", kind),
        ("body.extra.deep.matches('a')", kind),
        ("size(body.extra.deep) > 5", kind),
        ("size(body.extra.yes) > 5", kind),
        ("body.extra.list[body.extra.text] == 5", member),
        ("body.extra.text[0] == 5", kind),
        ("body.extra.text.more == 5", "`body.extra.text.more` is not there"),
        ("in_network(body.text, '10.0.0.0/8')", "a text is no address"),
        ("in_network(body.extra.yes, '10.0.0.0/8')", kind),
    ] {
        let judged = judge(text, false, Some(&other));
        let said = judged.clone().err().unwrap_or_else(|| panic!("{text} is {judged:?}"));
        assert!(!said.contains("secret"), "{text}: {said}");
        assert_eq!(said, why, "{text}");
    }
    assert_eq!(judge("body.urgent", false, None), Err("`body.urgent` is not there".to_owned()));
}

#[test]
fn facts_that_nobody_has_are_not_judged() {
    let policy = policy();
    let facts = ConditionFacts {
        operation: &policy.operation,
        api: &policy.api,
        client: None,
        scopes: None,
        peer: None,
        body: KnownBody::Nothing,
        now: now(),
    };
    for fact in context::FACTS {
        let name = format!("{}.{}", fact.group, fact.name);
        let text = match fact.kind {
            FactKind::Text => format!("{name} != 'a'"),
            FactKind::Texts => format!("!('a' in {name})"),
            FactKind::Int => format!("{name} >= 0"),
            FactKind::Time => format!("{name} > timestamp('2020-01-01T00:00:00Z')"),
        };
        let condition = Condition::compile(&text, "here:1", None).unwrap();
        assert_eq!(condition.facts().collect::<Vec<_>>(), [fact.id]);
        let expected = match fact.group {
            "request" if fact.name != "peer" => Ok(true),
            _ => Err(NotJudged { why: format!("`{name}` is not there") }),
        };
        assert_eq!(condition.judge(&facts), expected, "{text}");
    }
}

#[test]
fn what_names_the_body_waits_for_it() {
    for (text, waits) in [
        ("client.id == 'body.text'", false),
        ("[1].exists(x, x == 1)", false),
        ("has(body.text)", true),
        ("client.id == 'a' || money(body.instructedAmount) > 5", true),
    ] {
        assert_eq!(Condition::compile(text, "here:1", None).unwrap().names_body(), waits, "{text}");
    }
    let mut bodiless = operation(false);
    bodiless.has_body = false;
    let faults = Condition::compile("body.text == 'a'", "here:1", Some(&bodiless)).unwrap_err();
    assert_eq!(faults.first().unwrap().message, "the contract describes no body for this operation");
}

#[test]
fn hours_and_days_are_those_of_kazakhstan() {
    let policy = policy();
    for (at, hour, weekday) in [
        ("2026-11-22T18:59:59.999Z", 23, 7),
        ("2026-11-22T19:00:00Z", 0, 1),
        ("2024-02-29T19:00:00Z", 0, 5),
        ("1970-01-01T00:00:00Z", 5, 4),
        ("1969-12-31T18:59:59Z", 23, 3),
    ] {
        let text = format!("request.hour == {hour} && request.weekday == {weekday}");
        let condition = Condition::compile(&text, "here:1", None).unwrap();
        let now = Timestamp::parse(at).unwrap();
        let facts = ConditionFacts {
            operation: &policy.operation,
            api: &policy.api,
            client: None,
            scopes: None,
            peer: None,
            body: KnownBody::Nothing,
            now,
        };
        assert_eq!(condition.judge(&facts), Ok(true), "{at}");
    }
}

#[test]
fn bounds_hold_on_both_sides() {
    let passes = |text: &str| Condition::compile(text, "here:1", Some(&operation(false)));
    let refused = |text: &str, what: &str| {
        let faults = passes(text).err().unwrap_or_else(|| panic!("passes: {what}"));
        let message = &faults.first().unwrap().message;
        assert!(message.contains(what), "{message}");
    };
    // The length of the text.
    let long = |length: usize| format!("true{}", " ".repeat(length - 4));
    passes(&long(TEXT_BYTES_MAX)).unwrap();
    refused(&long(TEXT_BYTES_MAX + 1), "at most 32768 bytes");
    // Operators.
    let negated = |count: usize| format!("{}true", "!".repeat(count));
    passes(&negated(OPERATORS_MAX)).unwrap();
    refused(&negated(OPERATORS_MAX + 1), "at most 512 operators");
    // Nodes: `true` is one, each ` || true` two more.
    let any = |nodes: usize| format!("true{}", " || true".repeat(nodes / 2));
    passes(&any(NODES_MAX - 1)).unwrap();
    refused(&any(NODES_MAX + 1), "at most 256 nodes, this has 257");
    // Depth.
    let deep = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    passes(&deep(usize::from(DEPTH_MAX))).unwrap();
    refused(&deep(usize::from(DEPTH_MAX) + 1), "nested deeper than 16");
    // Items of a list.
    let many = |count: usize| format!("body.count in [{}]", vec!["7"; count].join(", "));
    passes(&many(context::LIST_ITEMS_MAX)).unwrap();
    refused(&many(context::LIST_ITEMS_MAX + 1), "at most 1000 items, this has 1001");
    // The length of a pattern.
    let pattern = |length: usize| format!("body.text.matches('{}')", "a".repeat(length));
    passes(&pattern(PATTERN_BYTES_MAX)).unwrap();
    refused(&pattern(PATTERN_BYTES_MAX + 1), "at most 256 bytes");
    // What it may cost: two lists against each other.
    passes("body.tags.exists(t, t in ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'])").unwrap();
    refused("body.tags.exists(t, t in body.tags)", "steps for one request");
}

#[test]
fn bounds_of_values_hold_on_both_sides() {
    let text = |length: usize| json!({"text": "a".repeat(length)});
    assert_eq!(judge("body.text != 'b'", false, Some(&text(TEXT_VALUE_BYTES_MAX))), Ok(true));
    let too_long = "`body.text` is longer than conditions look at".to_owned();
    assert_eq!(judge("body.text != 'b'", false, Some(&text(TEXT_VALUE_BYTES_MAX + 1))), Err(too_long.clone()));
    // Nothing that is named may be too long, whatever else decides.
    assert_eq!(judge("body.text != 'b' || true", false, Some(&text(TEXT_VALUE_BYTES_MAX + 1))), Err(too_long));
    let list = |length: usize| json!({"tags": vec!["a"; length]});
    assert_eq!(judge("body.tags.all(t, t == 'a')", false, Some(&list(context::LIST_ITEMS_MAX))), Ok(true));
    assert_eq!(
        judge("body.tags.all(t, t == 'a')", false, Some(&list(context::LIST_ITEMS_MAX + 1))),
        Err("`body.tags` is longer than conditions look at".to_owned())
    );
    // Within lists as well.
    let item = |length: usize| json!({"items": [{"code": "a".repeat(length)}], "tags": ["a".repeat(length)]});
    assert_eq!(judge("body.items.all(i, i.code != 'b')", false, Some(&item(TEXT_VALUE_BYTES_MAX))), Ok(true));
    assert_eq!(
        judge("body.items.all(i, i.code != 'b')", false, Some(&item(TEXT_VALUE_BYTES_MAX + 1))),
        Err(value::TOO_LARGE.to_owned())
    );
    assert!(judge("body.tags.all(t, size(t) > 1)", false, Some(&item(TEXT_VALUE_BYTES_MAX + 1))).is_err());
}

/// Numbers that look random and are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (sides.max(1) as u64)).unwrap()
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from.get(self.roll(from.len())).copied().unwrap()
    }

    /// An expression of random make, mostly well-formed.
    fn expression(&mut self, depth: usize, described: bool) -> String {
        const LEAVES: &[&str] = &[
            "true",
            "false",
            "null",
            "1",
            "-3",
            "2.5",
            "'a'",
            "'A'",
            "client.id",
            "client.roles",
            "token.scopes",
            "request.time",
            "request.hour",
            "request.peer",
            "body.count",
            "body.rate",
            "body.text",
            "body.urgent",
            "body.tags",
            "body.items",
            "body.extra",
            "body.extra.deep",
            "body.extra.none",
            "body.instructedAmount",
            "body.nothing",
            "i",
            "i.code",
            "i.price",
            "['a', 'b']",
            "[1, 2]",
            "[]",
            "timestamp('2026-12-31T19:00:00Z')",
            "9223372036854775807",
        ];
        const BETWEEN: &[&str] =
            &["&&", "||", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "in", "? true :", "."];
        // What the contract does not describe passes the checks, so that it is evaluated.
        const UNDESCRIBED: &[&str] = &[
            "body.extra",
            "body.extra.deep",
            "body.extra.none",
            "body.extra.name",
            "body.extra.nothing",
            "true",
            "'x'",
            "1",
        ];
        if depth == 0 {
            return self.pick(if described { LEAVES } else { UNDESCRIBED }).to_owned();
        }
        let one = self.expression(depth - 1, described);
        match self.roll(12) {
            0..=5 => format!("{one} {} {}", self.pick(BETWEEN), self.expression(depth - 1, described)),
            6 => format!("({one})"),
            7 => format!("{}{one}", self.pick(&["!", "-", "!!", "--"])),
            8 => format!("{}({one})", self.pick(&["has", "money", "tenge", "size", "timestamp", "dyn"])),
            9 => format!("{one}[{}]", self.expression(depth - 1, described)),
            10 => {
                format!("{one}.{}(i, {})", self.pick(&["exists", "all", "map"]), self.expression(depth - 1, described))
            }
            _ => format!(
                "{one}.{}({})",
                self.pick(&["contains", "matches", "startsWith", "size"]),
                self.expression(depth - 1, described)
            ),
        }
    }
}

/// Bodies that fit the contract, and some that do not.
fn bodies() -> Vec<Value> {
    let odd = json!({"text": 5, "tags": {"a": 1}, "items": "x", "count": "3", "instructedAmount": [1], "extra": [null, {}], "urgent": {}});
    vec![body(), odd, json!({}), json!([1, 2]), json!(null), json!("text")]
}

fn holds_together(text: &str) -> bool {
    match Condition::compile(text, "here:1", Some(&operation(true))) {
        Ok(condition) => {
            let (policy, client, scopes) = (policy(), client(), ScopeSet::of(["payments:write"]));
            for body in bodies() {
                let (client, scopes, peer) = (Some(&client), Some(&scopes), Some([10, 0, 0, 1].into()));
                let facts = ConditionFacts {
                    operation: &policy.operation,
                    api: &policy.api,
                    client,
                    scopes,
                    peer,
                    body: KnownBody::Whole(&body),
                    now: now(),
                };
                let _ = condition.judge(&facts);
            }
            true
        }
        Err(faults) => {
            let characters = text.chars().count().max(1);
            assert!(!faults.is_empty(), "{text}");
            for fault in faults {
                assert!(fault.length > 0 && fault.offset + fault.length <= characters, "{text:?}: {fault:?}");
            }
            false
        }
    }
}

#[test]
fn nothing_that_is_written_panics() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let signs = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "`",
        "\\",
        ".",
        ",",
        "?",
        ":",
        "!",
        "-",
        "&",
        "=",
        "@",
        "#",
        "\n",
        "\t",
        "ю",
        "\u{1f600}",
        "\u{301}",
        "\u{0}",
        "r'",
        "b'",
        "'''",
        "\"\"\"",
        "//",
        "0x",
        "1e",
        "1u",
        " in ",
        "e",
        "9",
        "\\u12",
        "\\x",
        "\\777",
        "_",
    ];
    let mut passed = 0;
    for round in 0..1500 {
        let depth = 1 + dice.roll(4);
        let mut text = dice.expression(depth, round % 4 < 2);
        if round % 2 == 1 {
            for _ in 0..=dice.roll(4) {
                let mut characters: Vec<char> = text.chars().collect();
                let at = dice.roll(characters.len());
                match dice.roll(3) {
                    0 if !characters.is_empty() => {
                        characters.remove(at);
                    }
                    1 => characters.truncate(at),
                    _ => {
                        let sign = dice.pick(&signs);
                        characters.splice(at..at, sign.chars());
                    }
                }
                text = characters.into_iter().collect();
            }
        }
        passed += usize::from(holds_together(&text));
    }
    assert!(passed > 100, "{passed} passed: the dice only make refused ones");
    for _ in 0..500 {
        let length = 1 + dice.roll(40);
        let text: String = (0..length).map(|_| dice.pick(&signs)).collect();
        holds_together(&text);
        let text: String =
            (0..length).filter_map(|_| char::from_u32(u32::try_from(dice.roll(0x3000)).unwrap())).collect();
        holds_together(&text);
    }
}
