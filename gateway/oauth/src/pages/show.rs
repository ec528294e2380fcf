//! How values are written for people: amounts, account numbers, days.

use std::time::Duration;

use policies::national::iban::Iban;
use policies::national::money::Money;
use policies::time::Timestamp;

use super::language::Language;

/// The time of the whole country since March 2024: five hours ahead of UTC.
const OFFSET: Duration = Duration::from_secs(5 * 3600);

/// A blank at which no line breaks.
const BLANK: char = '\u{a0}';

/// Writes an amount with its thousands apart: `250 000,00 KZT`.
pub(crate) fn amount(money: &Money, language: Language) -> String {
    let text = money.amount();
    let (whole, part) = text.split_once('.').unwrap_or((&text, "00"));
    let (point, between) = match language {
        Language::English => ('.', ','),
        Language::Kazakh | Language::Russian => (',', BLANK),
    };
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.chars().count() - index;
        if index > 0 && left % 3 == 0 && digit.is_ascii_digit() {
            grouped.push(between);
        }
        grouped.push(digit);
    }
    format!("{grouped}{point}{part}{BLANK}{}", money.currency().code())
}

/// Writes an account number in groups of four.
pub(crate) fn iban(iban: &Iban) -> String {
    let mut grouped = String::new();
    for (index, character) in iban.as_str().chars().enumerate() {
        if index > 0 && index % 4 == 0 {
            grouped.push(BLANK);
        }
        grouped.push(character);
    }
    grouped
}

/// Writes a point in time as a day and an hour of the country: `03.03.2027, 14:05`.
pub(crate) fn time(at: Timestamp) -> String {
    let text = (at + OFFSET).to_string();
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    format!("{}.{}.{},{BLANK}{}", part(8, 10), part(5, 7), part(0, 4), part(11, 16))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

    use super::*;

    #[test]
    fn amounts_are_written_as_people_read_them() {
        let write = |text: &str, language| amount(&Money::parse(text, "KZT").unwrap(), language).replace(BLANK, " ");
        assert_eq!(write("1.05", Language::Russian), "1,05 KZT");
        assert_eq!(write("999.00", Language::Kazakh), "999,00 KZT");
        assert_eq!(write("1000.00", Language::Kazakh), "1 000,00 KZT");
        assert_eq!(write("1234567.80", Language::English), "1,234,567.80 KZT");
    }

    #[test]
    fn account_numbers_and_hours_are_written_as_people_read_them() {
        let number = Iban::parse("KZ47901SBX0000000101").unwrap();
        assert_eq!(iban(&number).replace(BLANK, " "), "KZ47 901S BX00 0000 0101");
        let at = Timestamp::parse("2027-03-03T21:05:59Z").unwrap();
        assert_eq!(time(at).replace(BLANK, " "), "04.03.2027, 02:05");
    }
}
