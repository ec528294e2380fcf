//! `authorization_details` (RFC 9396): what exactly a token is for, beside its scopes.
//!
//! What is granted travels in the token, so that a call is judged without asking a store. This module must not know where
//! a call has its account or amount: that is for [`rule::consent`](crate::rule).

use std::collections::BTreeSet;

use crate::consent::{ConsentKind, PaymentOrder, Permission};
use crate::id::ConsentId;

/// The most details of one request: each is shown to the citizen.
pub const DETAILS_MAX: usize = 4;

/// The longest `authorization_details` parameter, in bytes.
pub const DETAILS_BYTES_MAX: usize = 8 * 1024;

/// One thing that a citizen has granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Reading accounts.
    AccountInformation {
        /// The consent behind it.
        consent: ConsentId,
        /// What may be read.
        permissions: BTreeSet<Permission>,
        /// Of which accounts, by the ids that paths name.
        accounts: BTreeSet<String>,
    },
    /// One payment.
    PaymentInitiation {
        /// The consent behind it, which the payment uses up.
        consent: ConsentId,
        /// What the payment has to equal.
        order: PaymentOrder,
    },
}

impl Detail {
    /// Returns the kind of the consent behind it.
    #[must_use]
    pub const fn kind(&self) -> ConsentKind {
        match self {
            Detail::AccountInformation { .. } => ConsentKind::AccountAccess,
            Detail::PaymentInitiation { .. } => ConsentKind::DomesticPayment,
        }
    }

    /// Returns the consent behind it.
    #[must_use]
    pub const fn consent(&self) -> &ConsentId {
        match self {
            Detail::AccountInformation { consent, .. } | Detail::PaymentInitiation { consent, .. } => consent,
        }
    }
}
