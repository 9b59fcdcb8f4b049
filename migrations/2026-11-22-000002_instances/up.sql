CREATE TABLE instances (
    id text PRIMARY KEY,
    owner_id uuid NOT NULL REFERENCES users (id),
    name text NOT NULL,
    desired_state text NOT NULL,
    status text NOT NULL,
    error_code text,
    error_message text,
    channel text NOT NULL DEFAULT 'none',
    bot_token_sealed text,
    ai_provider text NOT NULL DEFAULT 'none',
    api_key_sealed text,
    gateway_token_sealed text NOT NULL,
    memory_mb integer NOT NULL,
    cpu_millis integer NOT NULL,
    container_id text,
    image_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    status_changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT instances_id_form CHECK (id ~ '^[a-z][a-z0-9]{11}$'),
    CONSTRAINT instances_name_length CHECK (char_length(name) BETWEEN 1 AND 64),
    CONSTRAINT instances_desired_state_known CHECK (desired_state IN ('running', 'stopped', 'deleted')),
    CONSTRAINT instances_status_known CHECK (status IN ('pending', 'provisioning', 'running', 'stopping', 'stopped', 'starting', 'updating', 'deleting', 'error')),
    CONSTRAINT instances_channel_known CHECK (channel IN ('none', 'telegram', 'discord')),
    CONSTRAINT instances_ai_provider_known CHECK (ai_provider IN ('none', 'anthropic', 'openai', 'gemini', 'openrouter')),
    CONSTRAINT instances_owner_name_unique UNIQUE (owner_id, name)
);
CREATE INDEX instances_owner_created ON instances (owner_id, created_at DESC, id DESC);
CREATE INDEX instances_status ON instances (status);

COMMENT ON TABLE instances IS 'One OpenClaw gateway each; the row goes when the gateway is gone';
COMMENT ON COLUMN instances.id IS 'Twelve of [a-z0-9], first a letter: DNS label, directory and part of the container name';
COMMENT ON COLUMN instances.owner_id IS 'Whose gateway it is';
COMMENT ON COLUMN instances.name IS 'Chosen by the owner; unique among the owner''s instances';
COMMENT ON COLUMN instances.desired_state IS 'What the owner wants: running, stopped or deleted';
COMMENT ON COLUMN instances.status IS 'What is so, as last seen or as a job is making it';
COMMENT ON COLUMN instances.error_code IS 'Stable code of what went wrong; set with status error';
COMMENT ON COLUMN instances.error_message IS 'What went wrong and what to do, for a person';
COMMENT ON COLUMN instances.channel IS 'Chat channel configured at creation';
COMMENT ON COLUMN instances.bot_token_sealed IS 'Bot token of the channel, sealed';
COMMENT ON COLUMN instances.ai_provider IS 'Model provider configured at creation';
COMMENT ON COLUMN instances.api_key_sealed IS 'Key of the model provider, sealed';
COMMENT ON COLUMN instances.gateway_token_sealed IS 'Token that opens the gateway, sealed';
COMMENT ON COLUMN instances.memory_mb IS 'Memory limit of the container, in MiB';
COMMENT ON COLUMN instances.cpu_millis IS 'CPU limit once it runs, in thousandths of a core';
COMMENT ON COLUMN instances.container_id IS 'Docker''s id of the container, if there is one';
COMMENT ON COLUMN instances.image_id IS 'Docker''s id of the image that the container was made from';
COMMENT ON COLUMN instances.created_at IS 'When it was asked for';
COMMENT ON COLUMN instances.updated_at IS 'Last change of the row';
COMMENT ON COLUMN instances.status_changed_at IS 'Last change of the status';

CREATE TABLE ports (
    port integer PRIMARY KEY,
    instance_id text,
    refused_until timestamptz,
    reserved_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ports_instance_unique UNIQUE (instance_id),
    CONSTRAINT ports_instance_fk FOREIGN KEY (instance_id) REFERENCES instances (id) ON DELETE CASCADE,
    CONSTRAINT ports_valid CHECK (port BETWEEN 1024 AND 65535),
    CONSTRAINT ports_held_or_refused CHECK (instance_id IS NOT NULL OR refused_until IS NOT NULL)
);

COMMENT ON TABLE ports IS 'Host ports in use; a port without a row is free';
COMMENT ON COLUMN ports.port IS 'TCP port on 127.0.0.1 of the host';
COMMENT ON COLUMN ports.instance_id IS 'Who holds it; null: nobody, but the host refused it';
COMMENT ON COLUMN ports.refused_until IS 'A stranger holds the port; not tried again before then';
COMMENT ON COLUMN ports.reserved_at IS 'When it was taken';
