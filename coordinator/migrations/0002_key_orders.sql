-- Orders of operators about keys. A digest is executed once; the row stays.
CREATE TABLE key_orders (
    digest    BLOB PRIMARY KEY NOT NULL,
    body      TEXT NOT NULL,
    submitted INTEGER NOT NULL,
    ended     INTEGER,
    outcome   TEXT
) STRICT;
