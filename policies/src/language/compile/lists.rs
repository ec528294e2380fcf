//! Lists whose items are different, and at least one.

use std::collections::BTreeSet;

use crate::language::decode::Value;

/// Joins the items of a list; none if there are none, or one stands twice.
pub(super) fn distinct<T: Ord>(list: Value<'_>, items: Vec<(T, Value<'_>)>, what: &str) -> Option<BTreeSet<T>> {
    if items.is_empty() {
        list.report(list.fault("P0111", format!("{} names no {what}", list.name())).label("at least one belongs here"));
        return None;
    }
    let mut found = BTreeSet::new();
    let mut sound = true;
    for (item, value) in items {
        if !found.insert(item) {
            value.report(
                value.fault("P0110", format!("the same {what} stands twice in {}", list.name())).label("again"),
            );
            sound = false;
        }
    }
    sound.then_some(found)
}
