-- Times are milliseconds since 1970; hashes are 32 bytes.

CREATE TABLE tokens (
    hash          BLOB    NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    site          TEXT    NOT NULL,
    created       INTEGER NOT NULL,
    expires       INTEGER NOT NULL,
    reserved_for  BLOB    CHECK (length(reserved_for) = 32),
    party         INTEGER UNIQUE,
    used          INTEGER,
    revoked       INTEGER,
    CHECK (party IS NULL OR reserved_for IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE TABLE allowed (
    key_hash      BLOB    NOT NULL PRIMARY KEY CHECK (length(key_hash) = 32),
    added         INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
    party         INTEGER NOT NULL PRIMARY KEY,
    key_hash      BLOB    NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    site          TEXT    NOT NULL,
    enrolled      INTEGER NOT NULL,
    evicted       INTEGER,
    reason        TEXT
) STRICT;

CREATE TABLE rounds (
    number        INTEGER NOT NULL PRIMARY KEY,
    job           TEXT    NOT NULL,
    mode          TEXT    NOT NULL,
    started       INTEGER NOT NULL,
    ended         INTEGER,
    outcome       TEXT    CHECK (outcome IN ('opened', 'aborted')),
    reason        TEXT,
    invited       INTEGER NOT NULL,
    accepted      INTEGER NOT NULL DEFAULT 0,
    included      INTEGER NOT NULL DEFAULT 0,
    root          BLOB    CHECK (length(root) = 32),
    version       INTEGER,
    CHECK ((ended IS NULL) = (outcome IS NULL))
) STRICT;

CREATE INDEX rounds_by_job ON rounds (job, number);

CREATE TABLE models (
    job           TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    hash          BLOB    NOT NULL CHECK (length(hash) = 32),
    round         INTEGER NOT NULL,
    created       INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    removed       INTEGER,
    PRIMARY KEY (job, version)
) STRICT, WITHOUT ROWID;
