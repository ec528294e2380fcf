//! A limit in words: what it counts, by what, of which calls, and how much there may be.

use std::fmt::Write as _;

use policies::language::units::{shown_duration, shown_hours, shown_quota};
use policies::limit::{Bucket, Costs, Dimension, Limit, Mode, Polls, Quota, Shape, Window, WithoutStore};

/// Says in one line what a limit lets through.
pub(super) fn shown(limit: &Limit) -> String {
    let mut text = match &limit.shape {
        Shape::Bucket(bucket) => of_bucket(bucket, &per(limit)),
        Shape::Quota(quota) => of_quota(quota, &per(limit)),
        Shape::InFlight(most) => format!("{most} at once per {}, in each gateway", per(limit)),
        Shape::Polls(polls) => of_polls(polls, &per(limit)),
        Shape::Sessions(sessions) => format!(
            "{} sessions a day per {}, each of {} calls and {}/s, over after {} without one",
            sessions.per_day,
            per(limit),
            sessions.calls,
            sessions.rate,
            shown_duration(sessions.idle)
        ),
    };
    text.push_str(&counted(limit));
    match limit.without_store {
        WithoutStore::LocalShare => {}
        WithoutStore::Allow => text.push_str(", not counted without the store"),
        WithoutStore::Deny => text.push_str(", nothing passes without the store"),
    }
    if limit.mode != Mode::Enforce {
        let _ = write!(text, " ({})", limit.mode.word());
    }
    text
}

fn per(limit: &Limit) -> String {
    let word = |dimension: &Dimension| match (&limit.subject, dimension) {
        (Some(header), Dimension::Subject) => format!("subject ({header})"),
        _ => dimension.word().to_owned(),
    };
    limit.per.iter().map(word).collect::<Vec<_>>().join(" and ")
}

fn of_bucket(bucket: &Bucket, per: &str) -> String {
    let mut text = format!("{} per {per}, burst {}", bucket.rate, bucket.burst);
    if let Some(costs) = &bucket.costs {
        let _ = write!(text, ", {}", of_costs(costs));
    }
    if let Some(credit) = &bucket.credit {
        let within = shown_duration(credit.within);
        let _ = write!(text, ", {} back for `{}` within {within} ({})", credit.tokens, credit.operation, credit.by);
    }
    text
}

fn of_costs(costs: &Costs) -> String {
    let each = costs.of.iter().map(|(status, cost)| format!("{status} costs {cost}"));
    each.chain([format!("others cost {}", costs.otherwise)]).collect::<Vec<_>>().join(", ")
}

fn of_quota(quota: &Quota, per: &str) -> String {
    match quota.window {
        Window::Rolling(length) => format!("{} in any {} per {per}", quota.most, shown_duration(length)),
        _ => format!("{} per {per}", shown_quota(quota)),
    }
}

fn of_polls(polls: &Polls, per: &str) -> String {
    let mut text = format!("{} questions per {per} within {}", polls.most, shown_duration(polls.within));
    if let Some((operation, _)) = &polls.after {
        let _ = write!(text, ", the first {} after `{operation}`", shown_duration(polls.first));
    }
    if !polls.gap.is_zero() {
        let _ = write!(text, ", {} apart", shown_duration(polls.gap));
    }
    text
}

// Of which calls, where it is not of all.
fn counted(limit: &Limit) -> String {
    let mut text = String::new();
    match limit.when.attended {
        Some(true) => text.push_str(", of attended calls"),
        Some(false) => text.push_str(", of unattended calls"),
        None => {}
    }
    if !limit.when.operations.is_empty() {
        let names: Vec<String> = limit.when.operations.iter().map(|operation| format!("`{operation}`")).collect();
        let _ = write!(text, ", of {}", names.join(" and "));
    }
    if !limit.when.hours.is_empty() {
        let hours: Vec<String> = limit.when.hours.iter().map(|hours| shown_hours(hours.start, hours.end)).collect();
        let _ = write!(text, ", at {}", hours.join(" and "));
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use std::sync::Arc;
    use std::time::Duration;

    use policies::id::OperationId;
    use policies::limit::{Credit, Rate, Sessions, When};

    use super::*;

    fn of(shape: Shape) -> Limit {
        let rate = Rate { count: 50.try_into().unwrap(), per: Duration::from_secs(1) };
        Limit { shape, ..Limit::bucket("a", &[Dimension::Client, Dimension::Operation], rate, 100.try_into().unwrap()) }
    }

    #[test]
    fn a_bucket_is_told_with_what_calls_cost_and_what_comes_back() {
        let rate = Rate { count: 2.try_into().unwrap(), per: Duration::from_secs(60) };
        let plain = Limit::bucket("a", &[Dimension::Subject], rate, 100.try_into().unwrap());
        assert_eq!(shown(&plain), "2/min per subject, burst 100");
        let Shape::Bucket(bucket) = plain.shape.clone() else { return };
        let costs = Some(Costs { of: [(404, 20), (500, 0)].into(), otherwise: 1 });
        let credit = Some(Credit {
            operation: OperationId::parse("pay").unwrap(),
            tokens: 1.try_into().unwrap(),
            by: Arc::from("x-id"),
            within: Duration::from_secs(3600),
        });
        let dear = Limit {
            subject: Some(Arc::from("x-payer")),
            shape: Shape::Bucket(Bucket { costs, credit, ..bucket }),
            without_store: WithoutStore::Deny,
            mode: Mode::Report,
            ..plain
        };
        assert_eq!(
            shown(&dear),
            "2/min per subject (x-payer), burst 100, 404 costs 20, 500 costs 0, others cost 1, 1 back for `pay` within 1h (x-id), nothing passes without the store (report)"
        );
    }

    #[test]
    fn every_other_shape_is_told_in_words() {
        let most = 20.try_into().unwrap();
        let quota = |window| of(Shape::Quota(Quota { most, window }));
        assert_eq!(shown(&quota(Window::Month)), "20/month per client and operation");
        let rolling = quota(Window::Rolling(Duration::from_secs(600)));
        assert_eq!(shown(&rolling), "20 in any 10m per client and operation");
        assert_eq!(shown(&of(Shape::InFlight(most))), "20 at once per client and operation, in each gateway");
        let polls = |after, gap| {
            let (first, within) = (Duration::from_secs(90), Duration::from_secs(7200));
            shown(&of(Shape::Polls(Polls { after, first, gap, most, within })))
        };
        assert_eq!(polls(None, Duration::ZERO), "20 questions per client and operation within 2h");
        assert_eq!(
            polls(Some((OperationId::parse("pay").unwrap(), "/id".to_owned())), Duration::from_secs(60)),
            "20 questions per client and operation within 2h, the first 90s after `pay`, 1m apart"
        );
        let sessions = Sessions { per_day: most, calls: most, rate: most, idle: Duration::from_secs(600) };
        assert_eq!(
            shown(&of(Shape::Sessions(sessions))),
            "20 sessions a day per client and operation, each of 20 calls and 20/s, over after 10m without one"
        );
    }

    #[test]
    fn which_calls_are_counted_is_told_where_not_all_are() {
        let operations = vec![OperationId::parse("pay").unwrap(), OperationId::parse("read").unwrap()];
        let when = When { attended: Some(false), hours: vec![0..360, 1320..1440], operations };
        let limit = Limit { when, without_store: WithoutStore::Allow, ..of(Shape::InFlight(1.try_into().unwrap())) };
        assert_eq!(
            shown(&limit),
            "1 at once per client and operation, in each gateway, of unattended calls, of `pay` and `read`, at 00:00-06:00 and 22:00-24:00, not counted without the store"
        );
    }
}
