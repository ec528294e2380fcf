-- A file as version 0.1 left it: its schema, and rows in every table. Written once; never changed with the program.
CREATE TABLE replays (key BLOB PRIMARY KEY, until INTEGER NOT NULL) STRICT;
CREATE INDEX replays_until ON replays (until);
CREATE TABLE claims (
    client TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL, reference TEXT NOT NULL,
    token BLOB NOT NULL, lease_ends INTEGER NOT NULL, until INTEGER NOT NULL,
    status INTEGER, headers TEXT, body BLOB, PRIMARY KEY (client, operation, key)) STRICT;
CREATE INDEX claims_until ON claims (until);
CREATE TABLE spends (
    name TEXT PRIMARY KEY, client TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, digest BLOB NOT NULL,
    until INTEGER NOT NULL) STRICT;
CREATE INDEX spends_until ON spends (until);
CREATE TABLE verifications (
    id TEXT PRIMARY KEY, client TEXT NOT NULL, subject TEXT NOT NULL, sealed_subject BLOB NOT NULL,
    purpose TEXT NOT NULL, level TEXT NOT NULL, binding TEXT, state TEXT NOT NULL, provider TEXT NOT NULL,
    session TEXT NOT NULL, capture_url TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL,
    decided INTEGER, acr TEXT, UNIQUE (provider, session)) STRICT;
CREATE INDEX verifications_expires ON verifications (expires);
INSERT INTO replays VALUES (x'0707070707070707070707070707070707070707070707070707070707070707', 1800000325000);
INSERT INTO claims VALUES
    ('fintech', 'pay', 'answered', x'0101010101010101010101010101010101010101010101010101010101010101', 'ref-answered',
        x'00000000000000000000000000000001', 1800000010000, 1800086400000,
        201, '[["location","L3YxL2RvbWVzdGljLXBheW1lbnRzL3JlZi1hbnN3ZXJlZA=="]]', x'7b22737461747573223a22626f6f6b6564227d'),
    ('fintech', 'pay', 'unknown', x'0101010101010101010101010101010101010101010101010101010101010101', 'ref-unknown',
        x'00000000000000000000000000000002', 1800000010000, 1800086400000, 202, '[]', x'7b7d'),
    ('fintech', 'pay', 'open', x'0101010101010101010101010101010101010101010101010101010101010101', 'ref-open',
        x'00000000000000000000000000000003', 1800000010000, 1800086400000, NULL, NULL, NULL);
INSERT INTO spends VALUES
    ('jti', 'fintech', 'pay', 'answered', x'0101010101010101010101010101010101010101010101010101010101010101', 1800604800000);
INSERT INTO verifications VALUES
    ('v-1', 'fintech', 'pairwise', x'00ff01', 'payment', 'L2', 'h', 'passed', 'demo', 's-1', 'https://id.example/s',
        1800000000000, 1800000030000, 1800000020000, 'urn:qaqpa:acr:L2'),
    ('v-2', 'fintech', 'pairwise', x'00ff02', 'access', 'L2', NULL, 'capture_pending', 'demo', 's-2',
        'https://id.example/s', 1800000000000, 1800000030000, NULL, NULL);
PRAGMA user_version = 1;
