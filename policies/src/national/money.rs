//! Amounts: a whole number of tiyn and a currency, never a floating-point number.
//!
//! Must never know a limit or a price: what an amount may be used for is a rule and stands elsewhere.

use std::cmp::Ordering;
use std::fmt;

/// How many digits may stand before the point: far above all tenge in being, and 17 digits of tiyn fit an `i64`.
pub const INTEGER_DIGITS_MAX: usize = 15;

/// How many tiyn make one tenge.
const TIYN_PER_UNIT: i64 = 100;

/// Why a pair of texts is not an amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amount is not digits, a point and exactly two digits, or has a needless leading zero.
    #[error("an amount is written as digits, a point and two digits, like 1000.00")]
    Form,
    /// More digits stand before the point than any amount has.
    #[error("an amount has at most 15 digits before the point")]
    TooLarge,
    /// The currency is not one of those that are settled here.
    #[error("the currency is not KZT")]
    Currency,
}

/// A currency that is settled here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Currency {
    /// Kazakhstan tenge.
    Kzt,
}

impl Currency {
    /// Reads the three letters of ISO 4217.
    ///
    /// # Errors
    /// [`MoneyError::Currency`] for all others.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        match code {
            "KZT" => Ok(Self::Kzt),
            _ => Err(MoneyError::Currency),
        }
    }

    /// The three letters of ISO 4217.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Kzt => "KZT",
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount of money in tiyn (hundredths), with its currency.
///
/// May be negative when it was computed; what is read from text never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    tiyn: i64,
    currency: Currency,
}

impl Money {
    /// Reads an amount as it stands on the wire: `"1000.00"`, `"KZT"`.
    ///
    /// # Errors
    /// [`MoneyError::Form`] for a sign, a leading zero, blanks or other than two decimals,
    /// [`MoneyError::TooLarge`] from 16 digits before the point on, [`MoneyError::Currency`] unless `KZT`.
    pub fn parse(amount: &str, currency: &str) -> Result<Self, MoneyError> {
        let currency = Currency::parse(currency)?;
        let (whole, part) = amount.split_once('.').ok_or(MoneyError::Form)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() != 2 || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(MoneyError::Form);
        }
        if whole.len() > INTEGER_DIGITS_MAX {
            return Err(MoneyError::TooLarge);
        }
        let tiyn = format!("{whole}{part}").parse().map_err(|_| MoneyError::TooLarge)?;
        Ok(Self { tiyn, currency })
    }

    /// Takes a number of tiyn, of either sign.
    #[must_use]
    pub const fn from_tiyn(tiyn: i64, currency: Currency) -> Self {
        Self { tiyn, currency }
    }

    /// The number of tiyn.
    #[must_use]
    pub const fn tiyn(&self) -> i64 {
        self.tiyn
    }

    /// The currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// The amount as it stands on the wire, such as `1000.00`.
    #[must_use]
    pub fn amount(&self) -> String {
        let sign = if self.tiyn < 0 { "-" } else { "" };
        let size = self.tiyn.unsigned_abs();
        let per_unit = TIYN_PER_UNIT.unsigned_abs();
        format!("{sign}{}.{:02}", size / per_unit, size % per_unit)
    }

    /// The sum; `None` when the currencies differ or the sum does not fit.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        self.combine(other, i64::checked_add)
    }

    /// The difference; `None` when the currencies differ or the difference does not fit.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.combine(other, i64::checked_sub)
    }

    /// Which of two amounts is larger; `None` when the currencies differ.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        (self.currency == other.currency).then(|| self.tiyn.cmp(&other.tiyn))
    }

    fn combine(&self, other: &Self, with: fn(i64, i64) -> Option<i64>) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        Some(Self { tiyn: with(self.tiyn, other.tiyn)?, currency: self.currency })
    }
}

impl PartialOrd for Money {
    /// As [`Money::compare`].
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.compare(other)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    #[test]
    fn other_forms_are_refused() {
        for amount in [
            "", ".", "1", "1.", "1.0", "1.000", ".10", "01.00", "00.00", "-1.00", "+1.00", " 1.00", "1.00 ", "1,00",
            "1e2.00", "1.0.0", "١.00", "0x1.00", "1 000.00", "NaN", "1.0é",
        ] {
            assert_eq!(Money::parse(amount, "KZT"), Err(MoneyError::Form), "{amount}");
        }
    }

    #[test]
    fn another_currency_is_refused() {
        for currency in ["", "kzt", "USD", "KZT "] {
            assert_eq!(Money::parse("1.00", currency), Err(MoneyError::Currency), "{currency}");
        }
    }

    #[test]
    fn fifteen_digits_pass_and_sixteen_do_not() {
        let last = Money::parse("999999999999999.99", "KZT").unwrap();
        assert_eq!(last.tiyn(), 99_999_999_999_999_999);
        assert_eq!(Money::parse("1000000000000000.00", "KZT"), Err(MoneyError::TooLarge));
        let endless = format!("{}.00", "9".repeat(10_000));
        assert_eq!(Money::parse(&endless, "KZT"), Err(MoneyError::TooLarge));
    }

    #[test]
    fn what_is_read_is_written_the_same() {
        for amount in ["0.00", "0.01", "1.00", "1000.00", "250000.05"] {
            assert_eq!(Money::parse(amount, "KZT").unwrap().amount(), amount);
        }
        assert_eq!(Money::parse("250000.00", "KZT").unwrap().to_string(), "250000.00 KZT");
        assert_eq!(Money::from_tiyn(-5, Currency::Kzt).amount(), "-0.05");
        assert_eq!(Money::from_tiyn(i64::MIN, Currency::Kzt).amount(), "-92233720368547758.08");
    }

    #[test]
    fn sums_do_not_wrap() {
        let largest = Money::from_tiyn(i64::MAX, Currency::Kzt);
        let one = Money::from_tiyn(1, Currency::Kzt);
        assert_eq!(largest.checked_add(&one), None);
        assert_eq!(Money::from_tiyn(i64::MIN, Currency::Kzt).checked_sub(&one), None);
        assert_eq!(one.checked_add(&one), Some(Money::from_tiyn(2, Currency::Kzt)));
        assert_eq!(one.checked_sub(&one), Some(Money::from_tiyn(0, Currency::Kzt)));
    }

    #[test]
    fn amounts_of_one_currency_are_ordered() {
        let (small, large) = (Money::from_tiyn(1, Currency::Kzt), Money::from_tiyn(2, Currency::Kzt));
        assert_eq!(small.compare(&large), Some(Ordering::Less));
        assert!(large > small);
    }
}
