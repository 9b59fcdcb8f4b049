//! The tables for diesel. A test compares this file with the migrated schema.

pub mod warm_pool;

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        name -> Text,
        password_hash -> Text,
        role -> Text,
        suspended_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        totp_sealed -> Nullable<Text>,
        totp_confirmed_at -> Nullable<Timestamptz>,
        totp_last_step -> Nullable<Int8>,
        max_instances -> Nullable<Int4>,
        max_memory_mb -> Nullable<Int4>,
        max_cpu_millis -> Nullable<Int4>,
        max_terminals -> Nullable<Int4>,
    }
}

diesel::table! {
    api_tokens (id) {
        id -> Uuid,
        user_id -> Uuid,
        name -> Text,
        kind -> Text,
        token_hash -> Bytea,
        last_used_at -> Nullable<Timestamptz>,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        scope -> Text,
    }
}

diesel::table! {
    instances (id) {
        id -> Text,
        owner_id -> Nullable<Uuid>,
        name -> Text,
        desired_state -> Text,
        status -> Text,
        error_code -> Nullable<Text>,
        error_message -> Nullable<Text>,
        channel -> Text,
        bot_token_sealed -> Nullable<Text>,
        ai_provider -> Text,
        api_key_sealed -> Nullable<Text>,
        gateway_token_sealed -> Text,
        memory_mb -> Int4,
        cpu_millis -> Int4,
        container_id -> Nullable<Text>,
        image_id -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        status_changed_at -> Timestamptz,
        openclaw_version -> Nullable<Text>,
        env -> Jsonb,
        pending_settings -> Nullable<Jsonb>,
        disk_bytes -> Nullable<Int8>,
        disk_limit_bytes -> Nullable<Int8>,
        disk_measured_at -> Nullable<Timestamptz>,
        disk_warned -> Bool,
        disk_whole -> Bool,
        sleep_minutes -> Nullable<Int4>,
        asleep_since -> Nullable<Timestamptz>,
        wake_at -> Nullable<Timestamptz>,
        woken_at -> Nullable<Timestamptz>,
        woken_by -> Nullable<Text>,
    }
}

diesel::table! {
    idle_checks (instance_id) {
        instance_id -> Text,
        checked_at -> Timestamptz,
        idle_since -> Nullable<Timestamptz>,
        frozen_since -> Nullable<Timestamptz>,
        suspension -> Nullable<Text>,
    }
}

diesel::table! {
    ports (port) {
        port -> Int4,
        instance_id -> Nullable<Text>,
        refused_until -> Nullable<Timestamptz>,
        reserved_at -> Timestamptz,
    }
}

diesel::table! {
    jobs (id) {
        id -> Uuid,
        seq -> Int8,
        kind -> Text,
        queue -> Text,
        instance_id -> Nullable<Text>,
        owner_id -> Nullable<Uuid>,
        requested_by -> Nullable<Uuid>,
        payload -> Jsonb,
        status -> Text,
        attempt -> Int8,
        failures -> Int4,
        crashes -> Int4,
        run_at -> Timestamptz,
        leased_by -> Nullable<Text>,
        lease_until -> Nullable<Timestamptz>,
        unwinding_to -> Nullable<Text>,
        cancel_requested_at -> Nullable<Timestamptz>,
        progress -> Int2,
        step -> Nullable<Text>,
        error_code -> Nullable<Text>,
        error_message -> Nullable<Text>,
        turn -> Int8,
        depends_on -> Nullable<Uuid>,
        dedupe_key -> Nullable<Text>,
        idempotency_key -> Nullable<Text>,
        idempotency_hash -> Nullable<Bytea>,
        request_id -> Nullable<Text>,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
        undo -> Nullable<Jsonb>,
    }
}

diesel::table! {
    job_events (id) {
        id -> Int8,
        job_id -> Uuid,
        attempt -> Int8,
        kind -> Text,
        step -> Nullable<Text>,
        message -> Text,
        progress -> Nullable<Int2>,
        duration_ms -> Nullable<Int8>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    workers (id) {
        id -> Text,
        host -> Text,
        pid -> Int4,
        version -> Text,
        queues -> Array<Text>,
        concurrency -> Int4,
        running -> Int4,
        draining -> Bool,
        drain_requested_at -> Nullable<Timestamptz>,
        docker_error -> Nullable<Text>,
        started_at -> Timestamptz,
        heartbeat_at -> Timestamptz,
        address -> Nullable<Text>,
        standby_code -> Nullable<Text>,
        standby_message -> Nullable<Text>,
        memory_mb -> Nullable<Int4>,
    }
}

diesel::table! {
    installation (singleton) {
        singleton -> Bool,
        id -> Uuid,
        data_dir -> Nullable<Uuid>,
        engine -> Nullable<Text>,
        created_at -> Timestamptz,
        adopted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    queue_pauses (queue) {
        queue -> Text,
        paused_by -> Nullable<Uuid>,
        paused_at -> Timestamptz,
    }
}

diesel::table! {
    images (id) {
        id -> Uuid,
        job_id -> Uuid,
        source -> Text,
        version -> Nullable<Text>,
        status -> Text,
        image_id -> Nullable<Text>,
        size_bytes -> Nullable<Int8>,
        log -> Text,
        error_message -> Nullable<Text>,
        requested_by -> Nullable<Uuid>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        reference -> Nullable<Text>,
        revision -> Nullable<Text>,
        progress -> Int2,
        duration_ms -> Nullable<Int8>,
        removed_at -> Nullable<Timestamptz>,
        log_offset -> Int8,
        current_since -> Nullable<Timestamptz>,
        tags -> Array<Text>,
        step_images -> Array<Text>,
    }
}

diesel::table! {
    snapshots (id) {
        id -> Uuid,
        instance_id -> Text,
        job_id -> Uuid,
        reason -> Text,
        status -> Text,
        was_running -> Bool,
        from_image -> Text,
        from_version -> Nullable<Text>,
        from_settings -> Jsonb,
        to_image -> Text,
        to_version -> Nullable<Text>,
        to_settings -> Jsonb,
        files -> Nullable<Int8>,
        bytes -> Nullable<Int8>,
        method -> Nullable<Text>,
        duration_ms -> Nullable<Int8>,
        stopped_at -> Nullable<Timestamptz>,
        down_ms -> Nullable<Int8>,
        expires_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        ran_before -> Nullable<Bool>,
        restored_at -> Nullable<Timestamptz>,
        stuck_at -> Nullable<Timestamptz>,
        came_back -> Nullable<Bool>,
    }
}

diesel::table! {
    rollout_members (job_id, instance_id) {
        job_id -> Uuid,
        instance_id -> Text,
        wave -> Int4,
        update_job_id -> Nullable<Uuid>,
        status -> Text,
        error_message -> Nullable<Text>,
        fault -> Nullable<Text>,
        ran -> Bool,
    }
}

diesel::table! {
    boots (job_id) {
        job_id -> Uuid,
        attempt -> Int8,
        by_system -> Bool,
        asked_at -> Timestamptz,
        admitted_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    version_policy (singleton) {
        singleton -> Bool,
        minimum_version -> Nullable<Text>,
        refuse_start -> Bool,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    audit (id) {
        id -> Int8,
        at -> Timestamptz,
        actor_id -> Nullable<Uuid>,
        actor -> Text,
        action -> Text,
        target_kind -> Text,
        target_id -> Text,
        owner_id -> Nullable<Uuid>,
        detail -> Jsonb,
        request_id -> Nullable<Text>,
        client_ip -> Nullable<Text>,
        outcome -> Text,
    }
}

diesel::table! {
    audit_exports (partition, until_at) {
        partition -> Text,
        from_at -> Nullable<Timestamptz>,
        until_at -> Timestamptz,
        entries -> Int8,
        file -> Text,
        sha256 -> Bytea,
        worker -> Text,
        exported_at -> Timestamptz,
        dropped_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sweeps (name) {
        name -> Text,
        requested_at -> Nullable<Timestamptz>,
        ran_at -> Nullable<Timestamptz>,
        duration_ms -> Nullable<Int8>,
        worker -> Nullable<Text>,
        checked -> Int8,
        findings -> Jsonb,
        error -> Nullable<Text>,
        repaired_at -> Nullable<Timestamptz>,
        repairs -> Jsonb,
    }
}

diesel::table! {
    sightings (kind, subject) {
        kind -> Text,
        subject -> Text,
        first_seen_at -> Timestamptz,
    }
}

diesel::table! {
    routing (singleton) {
        singleton -> Bool,
        generation -> Int8,
    }
}

diesel::table! {
    ready_gateways (instance_id) {
        instance_id -> Text,
        job_id -> Uuid,
        attempt -> Int8,
    }
}

diesel::table! {
    terminals (id) {
        id -> Uuid,
        user_id -> Uuid,
        token_id -> Nullable<Uuid>,
        session_id -> Nullable<Uuid>,
        instance_id -> Text,
        worker -> Text,
        command -> Nullable<Text>,
        ticket_hash -> Nullable<Bytea>,
        ticket_expires_at -> Nullable<Timestamptz>,
        close_reason -> Nullable<Text>,
        started_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        end_reason -> Nullable<Text>,
        exit_code -> Nullable<Int4>,
        bytes_in -> Int8,
        bytes_out -> Int8,
        good_until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        token_hash -> Bytea,
        user_agent -> Text,
        client_ip -> Nullable<Text>,
        created_at -> Timestamptz,
        last_seen_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    instance_usage (instance_id, at) {
        instance_id -> Text,
        at -> Timestamptz,
        cpu_ns -> Int8,
        memory_bytes -> Int8,
        memory_limit_bytes -> Int8,
        network_rx_bytes -> Int8,
        network_tx_bytes -> Int8,
        disk_bytes -> Int8,
        pids -> Int8,
        disk_known -> Bool,
    }
}

diesel::table! {
    setup_tokens (token_hash) {
        token_hash -> Bytea,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    recovery_codes (user_id, code_hash) {
        user_id -> Uuid,
        code_hash -> Bytea,
    }
}

diesel::table! {
    invitations (user_id) {
        user_id -> Uuid,
        token_hash -> Bytea,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    attempts (name, key) {
        key -> Text,
        name -> Text,
        at -> Timestamptz,
    }
}

diesel::table! {
    identities (issuer, subject) {
        issuer -> Text,
        subject -> Text,
        user_id -> Uuid,
        created_at -> Timestamptz,
        last_used_at -> Timestamptz,
    }
}

diesel::table! {
    firewall (id) {
        id -> Bool,
        state -> Text,
        checked_at -> Timestamptz,
        message -> Nullable<Text>,
        worker -> Text,
    }
}

diesel::table! {
    recoverable_instances (id) {
        id -> Text,
        state -> Text,
        owner_id -> Nullable<Uuid>,
        owner_email -> Nullable<Text>,
        name -> Nullable<Text>,
        reason -> Text,
        manifest -> Nullable<Jsonb>,
        since -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        bytes -> Nullable<Int8>,
        purge_requested_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(api_tokens -> users (user_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(identities -> users (user_id));
diesel::joinable!(ports -> instances (instance_id));
diesel::joinable!(job_events -> jobs (job_id));
diesel::allow_tables_to_appear_in_same_query!(
    users,
    api_tokens,
    sessions,
    setup_tokens,
    recovery_codes,
    invitations,
    identities,
    attempts,
    instances,
    idle_checks,
    ports,
    jobs,
    job_events,
    workers,
    installation,
    queue_pauses,
    images,
    snapshots,
    rollout_members,
    boots,
    version_policy,
    audit,
    audit_exports,
    sweeps,
    sightings,
    routing,
    ready_gateways,
    terminals,
    instance_usage,
    firewall,
    recoverable_instances
);
