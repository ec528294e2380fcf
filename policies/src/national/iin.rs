//! Identification numbers of persons (IIN) and of companies (BIN): twelve digits with one check digit.
//!
//! Must never know whether a number was really issued, nor to whom: only its form is judged here.

use std::fmt;

/// How many digits an IIN or a BIN has.
pub const DIGITS: usize = 12;

/// Weights of the first pass of the check digit.
const WEIGHTS_FIRST: [u32; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
/// Weights of the second pass, used when the first pass gives 10.
const WEIGHTS_SECOND: [u32; 11] = [3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2];

/// Why a text is not an IIN or not a BIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IinError {
    /// The text is not exactly twelve ASCII digits.
    #[error("an identification number has exactly 12 digits")]
    Form,
    /// The fifth digit belongs to the other kind of number, or to none.
    #[error("the fifth digit tells another kind of identification number")]
    Kind,
    /// The last digit does not follow from the first eleven.
    #[error("the check digit does not fit")]
    CheckDigit,
}

/// An individual identification number: form, kind and check digit are right.
///
/// Does not check the date of birth or the seventh digit: numbers with unusual ones are issued to foreigners.
/// Personal data: `Debug` shows none of it and there is no `Display`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iin(String);

impl Iin {
    /// Reads twelve digits `YYMMDD G NNNN C`.
    ///
    /// # Errors
    /// [`IinError::Form`] unless the text is twelve digits, [`IinError::Kind`] when the fifth digit is no first
    /// digit of a day (0 to 3), [`IinError::CheckDigit`] when the last digit is wrong.
    pub fn parse(text: &str) -> Result<Self, IinError> {
        read(text, b'0'..=b'3').map(Self)
    }

    /// Composes a synthetic number from a date of birth, the century digit and a serial number (0 to 9999).
    ///
    /// `None` when a part is out of range or when the prefix is one of those that are never issued.
    #[must_use]
    pub fn compose(yymmdd: &str, g: u8, serial: u16) -> Option<Self> {
        if yymmdd.len() != 6 || g > 9 || serial > 9999 {
            return None;
        }
        let prefix = format!("{yymmdd}{g}{serial:04}");
        let check = check_digit(&prefix)?;
        Self::parse(&format!("{prefix}{check}")).ok()
    }

    /// The twelve digits; personal data, so only for storage and the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Iin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Iin(…)")
    }
}

/// A business identification number: form, kind and check digit are right.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bin(String);

impl Bin {
    /// Reads twelve digits `YYMM T S NNNNN C`, where T is 4 (resident), 5 (non-resident) or 6 (joint trader).
    ///
    /// # Errors
    /// As [`Iin::parse`], with [`IinError::Kind`] unless the fifth digit is 4, 5 or 6.
    pub fn parse(text: &str) -> Result<Self, IinError> {
        read(text, b'4'..=b'6').map(Self)
    }

    /// The twelve digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bin({})", self.0)
    }
}

impl fmt::Display for Bin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks form, kind and check digit, in this order, and gives the text back.
fn read(text: &str, fifth: std::ops::RangeInclusive<u8>) -> Result<String, IinError> {
    if text.len() != DIGITS || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(IinError::Form);
    }
    let (prefix, last) = text.split_at(DIGITS - 1);
    if !prefix.as_bytes().get(4).is_some_and(|digit| fifth.contains(digit)) {
        return Err(IinError::Kind);
    }
    let check = check_digit(prefix).ok_or(IinError::CheckDigit)?;
    if last.parse() != Ok(check) {
        return Err(IinError::CheckDigit);
    }
    Ok(text.to_owned())
}

/// The check digit of eleven digits; `None` for other text and for prefixes that are never issued.
fn check_digit(prefix: &str) -> Option<u32> {
    let digits: Vec<u32> = prefix.chars().map(|c| c.to_digit(10)).collect::<Option<_>>()?;
    if digits.len() != DIGITS - 1 {
        return None;
    }
    let pass = |weights: &[u32; 11]| digits.iter().zip(weights).map(|(d, w)| d * w).sum::<u32>() % 11;
    [&WEIGHTS_FIRST, &WEIGHTS_SECOND].into_iter().map(pass).find(|s| *s < 10)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    #[test]
    fn what_is_not_twelve_digits_is_refused() {
        for text in ["", "90010135000", "9001013500033", "90010135000a", "٩٠٠١٠١", " 900101350003", "+90010135000"]
        {
            assert_eq!(Iin::parse(text), Err(IinError::Form), "{text}");
            assert_eq!(Bin::parse(text), Err(IinError::Form), "{text}");
        }
    }

    #[test]
    fn every_other_check_digit_is_refused() {
        for last in (0..=9).filter(|d| *d != 3) {
            assert_eq!(Iin::parse(&format!("90010135000{last}")), Err(IinError::CheckDigit));
        }
    }

    #[test]
    fn an_unissuable_prefix_is_refused_with_every_digit() {
        for last in 0..=9 {
            assert_eq!(Iin::parse(&format!("88071530183{last}")), Err(IinError::CheckDigit));
        }
        assert_eq!(Iin::compose("880715", 3, 183), None);
    }

    #[test]
    fn the_fifth_digit_tells_a_person_from_a_company() {
        assert_eq!(Iin::parse("150240000006"), Err(IinError::Kind));
        assert_eq!(Bin::parse("900101350003"), Err(IinError::Kind));
        assert_eq!(Iin::parse("900171350003"), Err(IinError::Kind));
        assert_eq!(Bin::parse("900171350003"), Err(IinError::Kind));
        assert!(Bin::parse("150240000006").is_ok());
    }

    #[test]
    fn vectors_of_the_domain_reference_are_read() {
        // Synthetic, domain reference 1.12; the last one needs the second pass.
        for text in ["900101350003", "850314400129", "010203500771", "880715301804"] {
            assert_eq!(Iin::parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn composing_is_the_inverse_of_reading() {
        assert_eq!(Iin::compose("900101", 3, 5000).unwrap().as_str(), "900101350003");
        assert_eq!(Iin::compose("880715", 3, 180).unwrap().as_str(), "880715301804");
        assert_eq!(Iin::compose("880715", 10, 180), None);
        assert_eq!(Iin::compose("880715", 3, 10_000), None);
        assert_eq!(Iin::compose("88071é", 3, 1), None);
        assert_eq!(Iin::compose("150240", 0, 1), None, "a company's prefix makes no person");
    }

    #[test]
    fn debug_shows_nothing_of_a_person() {
        assert_eq!(format!("{:?}", Iin::parse("900101350003").unwrap()), "Iin(…)");
    }
}
