//! The place that is a table, over the PostgreSQL that `tests/services` starts.

use std::net::SocketAddr;

use policies::secret::Secret;
use tokio_postgres::NoTls;

use super::relay::Relay;
use super::*;
use crate::audit::ship::postgres::PostgresSink;
use crate::http::trust::Trust;

fn url() -> String {
    service("QAQPA_TEST_POSTGRES")
}

fn sink() -> PostgresSink {
    let pem = std::fs::read(service("QAQPA_TEST_POSTGRES_CA")).unwrap();
    PostgresSink::new(&Secret::new(url()), Some(&Trust::from_pem(&pem, None).unwrap())).unwrap()
}

async fn client() -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Reads what the table has of a trail.
async fn rows(trail: TrailId) -> Vec<(String, String)> {
    let sql = "SELECT trail::text, sequence, payload FROM qaqpa_audit WHERE trail = $1::text::uuid ORDER BY sequence";
    let found = client().await.query(sql, &[&trail.to_string()]).await.unwrap();
    let row = |row: &tokio_postgres::Row| (format!("{}-{}", row.get::<_, String>(0), row.get::<_, i64>(1)), row.get(2));
    found.iter().map(row).collect()
}

#[tokio::test]
async fn every_record_arrives_once_whatever_is_sent_again() {
    let trail = Trail::with(BATCH_RECORDS_MAX + 5).await;
    // The server has a batch, and the process dies before it hears so.
    assert!(trail.shipper(Deafened(sink())).round().await.is_err());
    assert_eq!(rows(trail.id()).await.len(), BATCH_RECORDS_MAX);
    ship_all(&mut trail.shipper(sink())).await;
    std::fs::remove_file(trail.cursor_path()).unwrap();
    ship_all(&mut trail.shipper(sink())).await;
    assert_eq!(rows(trail.id()).await, trail.expected());
}

#[tokio::test]
async fn a_server_that_was_away_catches_up() {
    let trail = Trail::with(3).await;
    let server = url();
    let (head, rest) = server.split_once('@').unwrap();
    let (authority, name) = rest.split_once('/').unwrap();
    let relay = Relay::to(authority.parse::<SocketAddr>().unwrap()).await;
    let through = format!("{head}@{}/{name}", relay.address);
    let mut shipper = trail.shipper(PostgresSink::new(&Secret::new(through), None).unwrap());
    ship_all(&mut shipper).await;
    relay.cut();
    trail.grow(BATCH_RECORDS_MAX).await;
    for _ in 0..3 {
        let outage = shipper.round().await.unwrap_err();
        assert!(!format!("{outage:?}").contains("postgres://"), "{outage}");
        trail.grow(1).await;
    }
    assert_eq!(rows(trail.id()).await.len() as u64, trail.progress.got());
    relay.mend();
    ship_all(&mut shipper).await;
    assert_eq!(rows(trail.id()).await, trail.expected());
}

#[tokio::test]
async fn other_records_under_the_same_numbers_are_refused() {
    let trail = Trail::with(4).await;
    ship_all(&mut trail.shipper(sink())).await;
    let forge = "UPDATE qaqpa_audit SET payload = '{}' WHERE trail = $1::text::uuid AND sequence = 2";
    client().await.execute(forge, &[&trail.id().to_string()]).await.unwrap();
    std::fs::remove_file(trail.cursor_path()).unwrap();
    trail.grow(1).await;
    let outage = trail.shipper(sink()).round().await.unwrap_err();
    assert!(outage.cause.contains("another record 2 of this trail"), "{outage}");
}

#[tokio::test]
async fn neither_password_nor_records_are_told_when_the_server_refuses() {
    let trail = Trail::with(1).await;
    let (head, rest) = url().split_once("://").map(|(head, rest)| (head.to_owned(), rest.to_owned())).unwrap();
    let place = rest.split_once('@').unwrap().1.to_owned();
    let wrong = Secret::new(format!("{head}://qaqpa:hunter2@{place}"));
    let outage = trail.shipper(PostgresSink::new(&wrong, None).unwrap()).round().await.unwrap_err();
    assert!(!format!("{outage:?}").contains("hunter2"), "{outage}");
    let mut stranger = trail.shipper(PostgresSink::new(&Secret::new(url()), Some(&Trust::nobody().unwrap())).unwrap());
    assert!(stranger.round().await.unwrap_err().cause.contains("not trusted"));
    let elsewhere = Secret::new("postgres://qaqpa:hunter2@db.example/qaqpa".to_owned());
    let outage = PostgresSink::new(&elsewhere, None).unwrap_err();
    assert!(outage.cause.contains("trust") && !outage.cause.contains("hunter2"), "{outage}");
}
