//! Which calls a limit counts, by who is there, by the hour and by the operation.

use super::When;
use super::window::minute_of_day;
use crate::time::Timestamp;

impl When {
    /// Tells whether calls of this operation count; one that is not known is not ruled out.
    #[must_use]
    pub fn concerns(&self, operation: Option<&str>) -> bool {
        self.operations.is_empty()
            || operation.is_none_or(|called| self.operations.iter().any(|counted| counted.as_str() == called))
    }

    /// Tells whether calls count now that come with the customer there, or without.
    ///
    /// Hours that end before they begin go over midnight.
    #[must_use]
    pub fn holds(&self, attended: bool, now: Timestamp) -> bool {
        if self.attended.is_some_and(|asked| asked != attended) {
            return false;
        }
        let minute = minute_of_day(now);
        self.hours.is_empty()
            || self.hours.iter().any(|hours| match hours.start <= hours.end {
                true => hours.contains(&minute),
                false => minute >= hours.start || minute < hours.end,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::at;
    use super::*;

    fn hours(hours: &[(u16, u16)]) -> When {
        When { hours: hours.iter().map(|(start, end)| *start..*end).collect(), ..When::default() }
    }

    #[test]
    fn hours_end_before_their_last_minute_is_over() {
        // 00:00 to 06:00 in Kazakhstan.
        let night = hours(&[(0, 360)]);
        for (text, holds) in [
            ("2026-11-22T18:59:59.999Z", false),
            ("2026-11-22T19:00:00Z", true),
            ("2026-11-23T00:59:59.999Z", true),
            ("2026-11-23T01:00:00Z", false),
            ("2026-11-23T12:00:00Z", false),
        ] {
            assert_eq!(night.holds(false, at(text)), holds, "{text}");
        }
    }

    #[test]
    fn hours_over_midnight_hold_on_both_sides_of_it() {
        // 21:30 to 06:00 in Kazakhstan, and the same as two.
        for night in [hours(&[(1290, 360)]), hours(&[(0, 360), (1290, 1440)])] {
            for (text, holds) in [
                ("2026-11-22T16:29:59.999Z", false),
                ("2026-11-22T16:30:00Z", true),
                ("2026-11-22T18:59:59.999Z", true),
                ("2026-11-22T19:00:00Z", true),
                ("2026-11-23T00:59:59.999Z", true),
                ("2026-11-23T01:00:00Z", false),
            ] {
                assert_eq!(night.holds(true, at(text)), holds, "{text}");
            }
        }
    }

    #[test]
    fn no_hour_is_one_that_begins_as_it_ends_and_a_whole_day_is_all_of_them() {
        for text in ["2026-11-22T19:00:00Z", "2026-11-23T06:17:00Z", "2026-11-23T18:59:59.999Z"] {
            assert!(!hours(&[(0, 0)]).holds(true, at(text)), "{text}");
            assert!(hours(&[(0, 1440)]).holds(true, at(text)), "{text}");
            assert!(hours(&[]).holds(true, at(text)), "{text}");
        }
    }

    #[test]
    fn who_is_there_counts_only_where_it_is_asked() {
        let now = at("2026-11-22T19:00:00Z");
        for (asked, attended, holds) in [
            (Some(true), false, false),
            (Some(false), true, false),
            (Some(true), true, true),
            (Some(false), false, true),
            (None, true, true),
            (None, false, true),
        ] {
            assert_eq!(When { attended: asked, ..When::default() }.holds(attended, now), holds);
            let never = When { attended: asked, ..hours(&[(360, 361)]) };
            assert!(!never.holds(attended, now));
        }
    }
}
