//! The tables of the warm pool.

diesel::table! {
    warm_instances (instance_id) {
        instance_id -> Text,
        warmed_by -> Uuid,
        created_at -> Timestamptz,
        ready_at -> Nullable<Timestamptz>,
        taken_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    warm_pool (singleton) {
        singleton -> Bool,
        wanted -> Int4,
        held_back -> Nullable<Text>,
        checked_at -> Timestamptz,
    }
}

diesel::table! {
    warm_pool_days (day) {
        day -> Date,
        taken -> Int4,
        missed -> Int4,
    }
}
