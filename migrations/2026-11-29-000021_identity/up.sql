-- What belongs together: this database, one data directory and one Docker engine. A worker that was given others takes no jobs
-- and repairs nothing. One row, written by the first worker that starts; there is nothing in here to be removed later.
CREATE TABLE installation (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    id uuid NOT NULL,
    data_dir uuid,
    engine text,
    created_at timestamptz NOT NULL DEFAULT now(),
    adopted_at timestamptz
);
COMMENT ON TABLE installation IS 'The identity of this installation, in one row: what its workers'' data directory and Docker engine have to match';
COMMENT ON COLUMN installation.singleton IS 'Always true: there is one row';
COMMENT ON COLUMN installation.id IS 'Id of the installation; the data directory names it as well';
COMMENT ON COLUMN installation.data_dir IS 'Id of its data directory; null: no directory was bound to it yet';
COMMENT ON COLUMN installation.engine IS 'Id of its Docker engine; null: none has answered yet';
COMMENT ON COLUMN installation.created_at IS 'When it was written';
COMMENT ON COLUMN installation.adopted_at IS 'When an operator last decided what belongs together';

ALTER TABLE workers ADD COLUMN standby_code text, ADD COLUMN standby_message text;
COMMENT ON COLUMN workers.standby_code IS 'Why it stands by: database, data directory and engine do not belong together; null: it works';
COMMENT ON COLUMN workers.standby_message IS 'The same for a person, with what to do about it; null: it works';
