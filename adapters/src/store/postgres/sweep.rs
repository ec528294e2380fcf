//! Taking out what is over.

use policies::time::Timestamp;

use super::super::retention::Retention;
use super::session::{Fault, Session};

/// How many rows of each table are taken out at once, so that nobody waits long for them.
const ROWS_PER_SWEEP: i64 = 4096;

/// Takes out what is over at `now`, up to a bound; what somebody else holds is left for the next time.
pub(super) async fn sweep(session: &Session, retention: Retention, now: Timestamp) -> Result<(), Fault> {
    let over = [
        (REPLAYS, now),
        (CLAIMS, now),
        (SPENDS, now),
        (ITEMS, now),
        (REVOCATIONS, now),
        (VERIFICATIONS, now - retention.verifications),
        (EVENTS, now - retention.events),
        (GENERATIONS, now - retention.generations),
    ];
    for (statement, until) in over {
        session.change(statement, &[&until.millis(), &ROWS_PER_SWEEP]).await?;
    }
    Ok(())
}

const REPLAYS: &str = "DELETE FROM replays WHERE key IN
    (SELECT key FROM replays WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)";

// What nobody knows the outcome of stays until somebody does.
const CLAIMS: &str = "DELETE FROM claims WHERE (client, operation, key) IN
    (SELECT client, operation, key FROM claims WHERE until <= $1 AND ask_at IS NULL ORDER BY until LIMIT $2
     FOR UPDATE SKIP LOCKED)";

const SPENDS: &str = "DELETE FROM spends WHERE name IN
    (SELECT name FROM spends WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)";

const ITEMS: &str = "DELETE FROM items WHERE (kind, key) IN
    (SELECT kind, key FROM items WHERE keep_until <= $1 ORDER BY keep_until LIMIT $2 FOR UPDATE SKIP LOCKED)";

const REVOCATIONS: &str = "DELETE FROM revocations WHERE position IN
    (SELECT position FROM revocations WHERE until <= $1 ORDER BY until LIMIT $2 FOR UPDATE SKIP LOCKED)";

const VERIFICATIONS: &str = "DELETE FROM verifications WHERE id IN
    (SELECT id FROM verifications WHERE expires <= $1 ORDER BY expires LIMIT $2 FOR UPDATE SKIP LOCKED)";

const EVENTS: &str = "DELETE FROM events WHERE (client, position) IN
    (SELECT client, position FROM events WHERE at <= $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)";

// A set is over when the next one was entered; the newest is in force.
const GENERATIONS: &str = "DELETE FROM generations WHERE number IN
    (SELECT this.number FROM generations AS this JOIN generations AS next ON next.number = this.number + 1
     WHERE next.entered <= $1 ORDER BY this.number LIMIT $2)";
