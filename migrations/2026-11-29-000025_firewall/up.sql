CREATE TABLE firewall (
    id bool PRIMARY KEY DEFAULT true CHECK (id),
    state text NOT NULL CHECK (state IN ('ok', 'open', 'off', 'unknown')),
    checked_at timestamptz NOT NULL DEFAULT now(),
    message text,
    worker text NOT NULL
);
COMMENT ON TABLE firewall IS 'What a probe on a network of the instances'' pool could reach when it last tried; one row at most, replaced by each probe';
COMMENT ON COLUMN firewall.id IS 'Always true: there is one row';
COMMENT ON COLUMN firewall.state IS 'ok: nothing that is to be closed; open: something that is to be closed; off: switched off by a setting; unknown: it could not be tried';
COMMENT ON COLUMN firewall.checked_at IS 'When the last probe ended';
COMMENT ON COLUMN firewall.message IS 'What is open and what to do, or why nothing is known; null: nothing to say';
COMMENT ON COLUMN firewall.worker IS 'Worker that ran the last probe';
