//! Random sets of limits, and random calls that they count.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use policies::id::OperationId;
use policies::limit::{
    Bucket, Costs, Credit, Dimension, Limit, Mode, Polls, Quota, Rate, Sessions, Shape, Values, When, Window,
    WithoutStore,
};

use crate::dice::Dice;

pub(crate) const STATUSES: [u16; 4] = [200, 404, 500, 201];

/// By what limits count; all short, so that calls meet in one counter.
const PER: [&[Dimension]; 6] = [
    &[Dimension::Client],
    &[Dimension::Organisation],
    &[Dimension::Operation],
    &[Dimension::Client, Dimension::Operation],
    &[Dimension::Organisation, Dimension::Customer],
    &[Dimension::Subject],
];

pub(crate) fn some(count: u64) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(count).unwrap()).unwrap()
}

pub(crate) fn limit(id: &str, per: &[Dimension], shape: Shape) -> Limit {
    Limit {
        id: Arc::from(id),
        per: per.to_vec(),
        subject: per.contains(&Dimension::Subject).then(|| Arc::from("x-payer-id")),
        shape,
        when: When::default(),
        without_store: WithoutStore::LocalShare,
        mode: Mode::Enforce,
    }
}

pub(crate) fn bucket(count: u64, per: Duration, burst: u64) -> Bucket {
    Bucket { rate: Rate { count: some(count), per }, burst: some(burst), costs: None, credit: None }
}

/// Draws a set of one to four limits.
pub(crate) fn draw_limits(dice: &mut Dice) -> Vec<Limit> {
    (0..dice.between(1, 4))
        .map(|number| {
            let shape = draw_shape(dice);
            let per = match shape {
                Shape::Polls(_) => &[Dimension::Client, Dimension::Resource],
                _ => *dice.pick(&PER),
            };
            let mode = if dice.once_in(6) { Mode::Report } else { Mode::Enforce };
            Limit { mode, ..limit(&format!("limit-{number}"), per, shape) }
        })
        .collect()
}

fn draw_shape(dice: &mut Dice) -> Shape {
    let span = |millis: &u64| Duration::from_millis(*millis);
    match dice.below(9) {
        0..=3 => Shape::Bucket(draw_bucket(dice)),
        4..=5 => {
            let rolling = Window::Rolling(span(dice.pick(&[1000, 1001, 7000, 10_000, 60_000, 600_000])));
            let windows = [Window::Second, Window::Minute, Window::Hour, Window::Day, Window::Month, rolling, rolling];
            Shape::Quota(Quota { most: some(dice.between(1, 9)), window: *dice.pick(&windows) })
        }
        6 => Shape::InFlight(some(dice.between(1, 4))),
        7 => {
            let after = dice.once_in(2).then(|| (OperationId::parse("pay").unwrap(), "/id".to_owned()));
            Shape::Polls(Polls {
                first: if after.is_some() { span(dice.pick(&[1, 5000, 90_000])) } else { Duration::ZERO },
                after,
                gap: span(dice.pick(&[0, 1, 1000, 60_000])),
                most: some(dice.between(1, 4)),
                within: span(dice.pick(&[100_000, 7_200_000])),
            })
        }
        _ => Shape::Sessions(Sessions {
            per_day: some(dice.between(1, 4)),
            calls: some(dice.between(1, 8)),
            rate: some(dice.between(1, 4)),
            idle: span(dice.pick(&[1000, 10_000, 600_000])),
        }),
    }
}

fn draw_bucket(dice: &mut Dice) -> Bucket {
    let count = *dice.pick(&[1, 2, 3, 7, 20, 60, 333, 1000, 12_000, 7000]);
    let per = Duration::from_secs(*dice.pick(&[1, 1, 10, 60, 60, 3600, 86_400]));
    let mut bucket = bucket(count, per, *dice.pick(&[1, 2, 3, 5, 10, 20, 100, 5000]));
    if dice.once_in(3) {
        let costs = |dice: &mut Dice| *dice.pick(&[0, 1, 1, 2, 3, 20, -1, -5]);
        let of: BTreeMap<_, _> = STATUSES.iter().take(2).map(|status| (*status, costs(dice))).collect();
        bucket.costs = Some(Costs { of, otherwise: costs(dice) });
    }
    if dice.once_in(3) {
        bucket.credit = Some(Credit {
            operation: OperationId::parse("pay").unwrap(),
            tokens: some(dice.between(1, 5)),
            by: Arc::from("x-end-to-end-id"),
            within: Duration::from_secs(*dice.pick(&[1, 60, 86_400])),
        });
    }
    bucket
}

/// Draws whose call it is, and what of.
pub(crate) fn draw_values(dice: &mut Dice) -> Values<'static> {
    Values {
        client: Some(*dice.pick(&["app", "other-app"])),
        organisation: Some(*dice.pick(&["bank", "other-bank"])),
        operation: Some(*dice.pick(&["pay", "look"])),
        customer: Some(*dice.pick(&["one", "two"])),
        subject: Some(*dice.pick(&["anna", "berik"])),
        resource: Some(*dice.pick(&["a", "b"])),
        ..Values::default()
    }
}

/// Names a counter, apart from how engines do.
pub(crate) fn counter(number: usize, limit: &Limit, values: &Values<'_>) -> String {
    let values: Vec<_> = limit.per.iter().map(|dimension| values.of(*dimension).unwrap()).collect();
    format!("{number} {values:?}")
}

/// Draws how much time goes by, often none.
pub(crate) fn draw_pause(dice: &mut Dice) -> i64 {
    let most = *dice.pick(&[0, 0, 0, 0, 3, 50, 400, 1500, 1500, 12_000, 100_000, 100_000, 4_000_000, 90_000_000]);
    i64::try_from(dice.between(most / 4, most)).unwrap()
}
