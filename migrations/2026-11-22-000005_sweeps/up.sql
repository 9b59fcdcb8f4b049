CREATE TABLE sweeps (
    name text PRIMARY KEY,
    requested_at timestamptz,
    ran_at timestamptz,
    duration_ms bigint,
    worker text,
    checked bigint NOT NULL DEFAULT 0,
    findings jsonb NOT NULL DEFAULT '[]',
    error text,
    repaired_at timestamptz,
    repairs jsonb NOT NULL DEFAULT '[]'
);
COMMENT ON TABLE sweeps IS 'The reconciler''s sweeps and what the last run of each found; a sweep that never ran may have no row';
COMMENT ON COLUMN sweeps.name IS 'Which sweep';
COMMENT ON COLUMN sweeps.requested_at IS 'An administrator wants it to run at once; done when ran_at is later';
COMMENT ON COLUMN sweeps.ran_at IS 'When its last run began, on the database''s clock';
COMMENT ON COLUMN sweeps.duration_ms IS 'How long that run took, in milliseconds';
COMMENT ON COLUMN sweeps.worker IS 'Worker that ran it';
COMMENT ON COLUMN sweeps.checked IS 'How many things that run looked at';
COMMENT ON COLUMN sweeps.findings IS 'What that run found: array of {code, subject, action, message}';
COMMENT ON COLUMN sweeps.error IS 'Why that run did not come to its end; null: it did';
COMMENT ON COLUMN sweeps.repaired_at IS 'When the last run that repaired something began';
COMMENT ON COLUMN sweeps.repairs IS 'What that one repaired, in the form of findings';

CREATE TABLE sightings (
    kind text NOT NULL,
    subject text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, subject)
);
COMMENT ON TABLE sightings IS 'What seems to belong to nobody, until it is removed or turns out to belong to somebody';
COMMENT ON COLUMN sightings.kind IS 'container, network or directory';
COMMENT ON COLUMN sightings.subject IS 'Docker''s id of the container or network, or the name of the directory';
COMMENT ON COLUMN sightings.first_seen_at IS 'Since when it has been seen so without a break';
