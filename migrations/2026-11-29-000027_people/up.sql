-- Addresses are stored in the normal form that the programs compare (`text::email`). The collation "C" folds the letters of ASCII
-- alone, so that the result is the same under every locale; what else is stored otherwise is found by the index.
UPDATE users SET email = lower(email COLLATE "C")
WHERE email <> lower(email COLLATE "C")
    AND NOT EXISTS (SELECT FROM users other WHERE other.id <> users.id AND lower(other.email) = lower(lower(users.email COLLATE "C")));

CREATE INDEX users_email_beyond_ascii ON users (email) WHERE octet_length(email) <> length(email);

COMMENT ON COLUMN users.email IS 'Sign-in name, in its normal form: composed, in lower case, the domain as DNS has it; unique';

-- Names that look the same are the same, where nobody has both.
UPDATE instances SET name = normalize(name, NFC)
WHERE name IS NOT NFC NORMALIZED
    AND NOT EXISTS (
        SELECT FROM instances other
        WHERE other.owner_id = instances.owner_id AND other.id <> instances.id
            AND normalize(other.name, NFC) = normalize(instances.name, NFC)
    );
