//! Account numbers of Kazakhstan: `KZ`, two check digits, a three-digit bank code, thirteen letters or digits.
//!
//! Must never know whether the account or the bank exists: only the form and ISO 13616's mod-97 are judged here.

use std::fmt;

/// How many characters a Kazakh IBAN has.
pub const LENGTH: usize = 20;

/// Why a text is not a Kazakh IBAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IbanError {
    /// The text does not have twenty characters of the right kinds; blanks and small letters are not accepted.
    #[error("a Kazakh IBAN has 20 characters: KZ, 2 digits, 3 digits, 13 capital letters or digits")]
    Form,
    /// The text is formed like an IBAN of another country.
    #[error("the IBAN is not of Kazakhstan")]
    Country,
    /// The two check digits do not follow from the rest.
    #[error("the check digits do not fit")]
    CheckDigits,
}

/// A Kazakh account number whose form and check digits are right.
///
/// Personal data when the account is a person's: `Debug` shows the bank code only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Iban(String);

impl Iban {
    /// Reads the electronic form, twenty characters without blanks.
    ///
    /// # Errors
    /// [`IbanError::Country`] unless it starts with `KZ`, [`IbanError::Form`] for another length or a wrong kind
    /// of character, [`IbanError::CheckDigits`] when mod-97 does not fit.
    pub fn parse(text: &str) -> Result<Self, IbanError> {
        let rest = match text.get(..2) {
            Some("KZ") => text.get(2..).unwrap_or_default(),
            Some(other) if other.bytes().all(|b| b.is_ascii_uppercase()) => {
                return Err(IbanError::Country);
            }
            _ => return Err(IbanError::Form),
        };
        let (check, bban) = rest.split_at_checked(2).ok_or(IbanError::Form)?;
        if text.len() != LENGTH || !check.bytes().all(|b| b.is_ascii_digit()) || !is_bban(bban) {
            return Err(IbanError::Form);
        }
        // Recomputed and compared, because 00, 01 and 99 would also pass a bare remainder test.
        if check_digits(bban).as_deref() != Some(check) {
            return Err(IbanError::CheckDigits);
        }
        Ok(Self(text.to_owned()))
    }

    /// Composes an account number from a three-digit bank code and thirteen capital letters or digits.
    ///
    /// `None` when a part is not of that form.
    #[must_use]
    pub fn compose(bank_code: &str, account13: &str) -> Option<Self> {
        let bban = format!("{bank_code}{account13}");
        if bank_code.len() != 3 || !is_bban(&bban) {
            return None;
        }
        let check = check_digits(&bban)?;
        Some(Self(format!("KZ{check}{bban}")))
    }

    /// The twenty characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The three digits that tell the bank.
    #[must_use]
    pub fn bank_code(&self) -> &str {
        self.0.get(4..7).unwrap_or_default()
    }
}

impl fmt::Debug for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Iban(KZ..{}…)", self.bank_code())
    }
}

/// Whether this is a bank code of three digits and an account of thirteen capital letters or digits.
fn is_bban(bban: &str) -> bool {
    bban.len() == LENGTH - 4
        && bban.bytes().take(3).all(|b| b.is_ascii_digit())
        && bban.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

/// The two check digits of ISO 13616: 98 less the remainder of `bban KZ 00` by 97, letters as 10 to 35.
fn check_digits(bban: &str) -> Option<String> {
    let mut remainder = 0_u32;
    for character in bban.chars().chain("KZ00".chars()) {
        let value = character.to_digit(36)?;
        let shift = if value < 10 { 10 } else { 100 };
        remainder = (remainder * shift + value) % 97;
    }
    Some(format!("{:02}", 98 - remainder))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
    use super::*;

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "K",
            "KZ",
            "KZ8",
            "KZ86125KZT500410010",
            "KZ86125KZT50041001000",
            "KZ86 125K ZT50 0410 0100",
            "kz86125KZT5004100100",
            "KZ86125kzt5004100100",
            "KZA6125KZT5004100100",
            "KZ86A25KZT5004100100",
            "KZ86125KZT50041001é",
            "KZé125KZT5004100100",
            "éé125KZT5004100100",
        ] {
            assert_eq!(Iban::parse(text), Err(IbanError::Form), "{text}");
        }
    }

    #[test]
    fn another_country_is_refused() {
        assert_eq!(Iban::parse("GB82WEST12345698765432"), Err(IbanError::Country));
        assert_eq!(Iban::parse("DE89370400440532013000"), Err(IbanError::Country));
    }

    #[test]
    fn every_other_pair_of_check_digits_is_refused() {
        for check in (0..100).filter(|c| *c != 86) {
            assert_eq!(Iban::parse(&format!("KZ{check:02}125KZT5004100100")), Err(IbanError::CheckDigits));
        }
    }

    #[test]
    fn vectors_of_the_domain_reference_are_read_and_composed() {
        // Domain reference 1.12.
        for text in ["KZ86125KZT5004100100", "KZ86601A861000000001", "KZ040100000000000001"] {
            let iban = Iban::parse(text).unwrap();
            assert_eq!(iban.as_str(), text);
            assert_eq!(Iban::compose(iban.bank_code(), text.get(7..).unwrap()), Some(iban));
        }
    }

    #[test]
    fn composing_refuses_parts_of_another_form() {
        assert_eq!(Iban::compose("12", "5KZT5004100100"), None);
        assert_eq!(Iban::compose("12A", "KZT5004100100"), None);
        assert_eq!(Iban::compose("125", "KZT500410010"), None);
        assert_eq!(Iban::compose("125", "kzt5004100100"), None);
    }

    #[test]
    fn debug_shows_no_account() {
        assert_eq!(format!("{:?}", Iban::parse("KZ86125KZT5004100100").unwrap()), "Iban(KZ..125…)");
    }
}
