//! Who of the administrators may ask for what.

use policies::admin::AdminRole;
use policies::caller::Caller;
use policies::code::Code;
use spine::error::Rejection;
use spine::stage::Cleared;

/// Who may read what is in force.
pub(super) const READERS: [AdminRole; 4] =
    [AdminRole::Viewer, AdminRole::Editor, AdminRole::Approver, AdminRole::Auditor];

/// Lets an administrator pass who has one of these roles.
pub(super) fn allow(cleared: &Cleared, roles: &[AdminRole]) -> Result<(), Rejection> {
    match cleared.caller() {
        Caller::Administrator(administrator) if roles.iter().any(|role| administrator.has(*role)) => Ok(()),
        _ => {
            let words: Vec<&str> = roles.iter().map(|role| role.word()).collect();
            Err(Rejection::new(Code::AdministratorRefused, format!("This needs the role {}.", words.join(" or "))))
        }
    }
}
