//! Compares two values by strictness: what tightening layers and the comparison of two policy sets go by.
//!
//! Works on values as the language writes them, so that every reader of the tables can ask. Must never hold a rule.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::table::{Kind, Need, Stricter};
use super::units;
use crate::limit::{Quota, Window};

/// What a later value is, held against an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same.
    Same,
    /// It lets less through.
    Stricter,
    /// It lets more through.
    Looser,
    /// Another one, of which nothing of the kind can be said.
    Other,
}

/// Holds `after` against `before`, each as its items; `None` is what was left out, and the need says what it means.
#[must_use]
pub fn compare(
    kind: &Kind,
    stricter: Stricter,
    need: Need,
    before: Option<&[String]>,
    after: Option<&[String]>,
) -> Comparison {
    let (before, after) = (or_default(need, before), or_default(need, after));
    if before == after {
        return Comparison::Same;
    }
    let (before, after) = (before.as_deref(), after.as_deref());
    let left_out_is_loosest = |order: fn(&Kind, &str, &str) -> Option<Ordering>| match (before, after) {
        (None, _) => Some(Ordering::Less),
        (_, None) => Some(Ordering::Greater),
        (Some([before]), Some([after])) => order(kind, after, before),
        _ => None,
    };
    // `Less` is the stricter one from here on.
    let order = match stricter {
        Stricter::Neither => None,
        Stricter::Smaller => left_out_is_loosest(ordered),
        Stricter::Larger => left_out_is_loosest(|kind, after, before| ordered(kind, before, after)),
        Stricter::SmallerOrNone => match (before, after) {
            (None, _) => Some(Ordering::Greater),
            (_, None) => Some(Ordering::Less),
            _ => both(before, after, |before, after| ordered(kind, after, before)),
        },
        Stricter::Unsaid => match (before, after) {
            (None, _) => Some(Ordering::Greater),
            (_, None) => Some(Ordering::Less),
            _ => None,
        },
        Stricter::Fewer => match (before, after) {
            (None, _) => Some(Ordering::Less),
            (_, None) => Some(Ordering::Greater),
            (Some(before), Some(after)) => within(after, before),
        },
        Stricter::More => within(before.unwrap_or_default(), after.unwrap_or_default()),
        Stricter::LaterWord | Stricter::True => both(before, after, |before, after| ordered(kind, before, after)),
        Stricter::NotFirstWord => both(before, after, |before, after| {
            let words = words(kind)?;
            let is_first = |word: &str| words.first().is_some_and(|first| *first == word);
            // Neither of two others is stricter.
            Some(is_first(after).cmp(&is_first(before))).filter(|order| order.is_ne())
        }),
        Stricter::EarlierWord | Stricter::False => both(before, after, |before, after| ordered(kind, after, before)),
    };
    match order {
        Some(Ordering::Less) => Comparison::Stricter,
        Some(Ordering::Equal) => Comparison::Same,
        Some(Ordering::Greater) => Comparison::Looser,
        None => Comparison::Other,
    }
}

fn or_default(need: Need, value: Option<&[String]>) -> Option<Cow<'_, [String]>> {
    match (value, need) {
        (Some(value), _) => Some(Cow::Borrowed(value)),
        (None, Need::Default(text)) => Some(Cow::Owned(default_items(text))),
        (None, Need::Required | Need::Optional) => None,
    }
}

/// Returns the items of a default as the tables write it: `64KiB` is one, `[a, b]` are two, `[]` is none.
#[must_use]
pub fn default_items(text: &str) -> Vec<String> {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some("") => Vec::new(),
        Some(items) => items.split(", ").map(str::to_owned).collect(),
        None => vec![text.to_owned()],
    }
}

fn both(
    before: Option<&[String]>,
    after: Option<&[String]>,
    order: impl FnOnce(&str, &str) -> Option<Ordering>,
) -> Option<Ordering> {
    match (before, after) {
        (Some([before]), Some([after])) => order(before, after),
        _ => None,
    }
}

// The words of a kind, alone or among others.
fn words(kind: &Kind) -> Option<&'static [&'static str]> {
    match kind {
        Kind::Word(words) => Some(words),
        Kind::Either(kinds) => kinds.iter().find_map(words),
        _ => None,
    }
}

// `Less` if all of the first are in the second, and not the other way round.
fn within(first: &[String], second: &[String]) -> Option<Ordering> {
    let inside = first.iter().all(|item| second.contains(item));
    let around = second.iter().all(|item| first.contains(item));
    match (inside, around) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) => None,
    }
}

// Compares two values of one kind by size; `None` if they cannot be compared.
fn ordered(kind: &Kind, first: &str, second: &str) -> Option<Ordering> {
    match kind {
        Kind::Whole(_) => Some(units::whole(first)?.cmp(&units::whole(second)?)),
        Kind::Signed(_) => Some(units::signed(first)?.cmp(&units::signed(second)?)),
        Kind::Duration(_) => Some(units::duration(first)?.cmp(&units::duration(second)?)),
        Kind::Bytes(_) => Some(units::bytes(first)?.cmp(&units::bytes(second)?)),
        Kind::Money => units::money(first)?.compare(&units::money(second)?),
        // Years have four digits, so that days compare as text.
        Kind::Date => Some(first.cmp(second)),
        Kind::Boolean => Some((first == "true").cmp(&(second == "true"))),
        Kind::Word(words) => {
            let at = |text: &str| words.iter().position(|word| *word == text);
            Some(at(first)?.cmp(&at(second)?))
        }
        Kind::Rate => {
            let (first, second) = (units::rate(first)?, units::rate(second)?);
            let cross = |a: crate::limit::Rate, b: crate::limit::Rate| u128::from(a.count.get()) * b.per.as_millis();
            Some(cross(first, second).cmp(&cross(second, first)))
        }
        Kind::Quota => quotas(&units::quota(first)?, &units::quota(second)?),
        Kind::Either(kinds) => kinds.iter().find_map(|kind| ordered(kind, first, second)),
        Kind::Named(kind) => ordered(kind, first, second),
        _ => None,
    }
}

// The one that keeps the other whatever comes is the stricter one: windows of the calendar lie within one another.
fn quotas(first: &Quota, second: &Quota) -> Option<Ordering> {
    let keeps = |a: &Quota, b: &Quota| {
        let (inner, outer) = (seconds(a.window)?, seconds(b.window)?);
        let windows = outer.div_ceil(inner).max(1);
        Some(u64::from(a.most.get()).saturating_mul(windows) <= u64::from(b.most.get()))
    };
    match (keeps(first, second)?, keeps(second, first)?) {
        (true, true) => Some(Ordering::Equal),
        (true, false) => Some(Ordering::Less),
        (false, true) => Some(Ordering::Greater),
        (false, false) => None,
    }
}

// The longest that a window of the calendar is.
fn seconds(window: Window) -> Option<u64> {
    match window {
        Window::Second => Some(1),
        Window::Minute => Some(60),
        Window::Hour => Some(3600),
        Window::Day => Some(86_400),
        Window::Month => Some(31 * 86_400),
        Window::Rolling(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn judged(kind: &Kind, stricter: Stricter, need: Need, before: &[&str], after: &[&str]) -> Comparison {
        let texts = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        let (before, after) = (texts(before), texts(after));
        let given = |items: &[String]| (items != ["-"]).then(|| items.to_vec());
        compare(kind, stricter, need, given(&before).as_deref(), given(&after).as_deref())
    }

    type Held<'k> = (&'k Kind, Stricter, Need, &'k [&'k str], &'k [&'k str], Comparison);

    #[test]
    fn what_lets_more_through_is_looser() {
        use Comparison::{Looser, Other, Same, Stricter as Tighter};
        use Need::{Default, Optional, Required};
        let time = Kind::Duration(Duration::ZERO..=Duration::from_secs(60));
        let words = Kind::Word(&["off", "report", "enforce"]);
        let bind = Kind::Word(&["either", "dpop", "mtls"]);
        let cases: [Held<'_>; 26] = [
            (&time, Stricter::Smaller, Optional, &["1s"], &["1001ms"], Looser),
            (&time, Stricter::Smaller, Optional, &["1s"], &["1000ms"], Same),
            (&time, Stricter::Smaller, Optional, &["1s"], &["999ms"], Tighter),
            (&time, Stricter::Smaller, Optional, &["1s"], &["-"], Looser),
            (&time, Stricter::Larger, Optional, &["1s"], &["2s"], Tighter),
            (&time, Stricter::Larger, Optional, &["-"], &["2s"], Tighter),
            (&Kind::Rate, Stricter::Smaller, Optional, &["60/min"], &["1/s"], Same),
            (&Kind::Rate, Stricter::Smaller, Optional, &["60/min"], &["2/s"], Looser),
            (&Kind::Money, Stricter::Smaller, Optional, &["1 KZT"], &["0.99 KZT"], Tighter),
            (&Kind::Bytes(0..=9), Stricter::Smaller, Default("1KiB"), &["-"], &["1024B"], Same),
            (&Kind::Bytes(0..=9), Stricter::Smaller, Default("1KiB"), &["-"], &["1025B"], Looser),
            (&Kind::Date, Stricter::Smaller, Optional, &["2026-12-31"], &["2027-01-01"], Looser),
            (&words, Stricter::LaterWord, Default("report"), &["enforce"], &["-"], Looser),
            (&words, Stricter::EarlierWord, Optional, &["off"], &["report"], Looser),
            (&bind, Stricter::NotFirstWord, Required, &["dpop"], &["either"], Looser),
            (&bind, Stricter::NotFirstWord, Required, &["mtls"], &["either"], Looser),
            (&bind, Stricter::NotFirstWord, Required, &["either"], &["mtls"], Tighter),
            (&bind, Stricter::NotFirstWord, Required, &["dpop"], &["mtls"], Other),
            (&Kind::Boolean, Stricter::True, Default("false"), &["true"], &["-"], Looser),
            (&Kind::Text, Stricter::Fewer, Optional, &["a", "b"], &["b"], Tighter),
            (&Kind::Text, Stricter::Fewer, Optional, &["a"], &["-"], Looser),
            (&Kind::Text, Stricter::Fewer, Optional, &["a"], &["b"], Other),
            (&Kind::Text, Stricter::Fewer, Default("[]"), &["-"], &["b"], Looser),
            (&Kind::Text, Stricter::More, Optional, &["a", "b"], &["b"], Looser),
            (&Kind::Text, Stricter::More, Optional, &["-"], &["b"], Tighter),
            (&Kind::Text, Stricter::Neither, Optional, &["a"], &["b"], Other),
        ];
        for (kind, stricter, need, before, after, expected) in cases {
            assert_eq!(judged(kind, stricter, need, before, after), expected, "{kind:?} {before:?} {after:?}");
        }
    }

    #[test]
    fn defaults_are_written_as_in_a_file() {
        assert_eq!(default_items("64KiB"), ["64KiB"]);
        assert_eq!(default_items("[a, b]"), ["a", "b"]);
        assert!(default_items("[]").is_empty());
    }
}
