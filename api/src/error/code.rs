//! Error codes. They are part of the public contract: a code never changes its meaning or its status.

use axum::http::StatusCode;
use clawdeploy_shared::text_enum;

text_enum!(
    /// Stable code of an error, for programs.
    ErrorCode {
        /// The body is not valid JSON, or it does not match the schema.
        InvalidBody = "invalid_body",
        /// The body has an unknown field.
        UnknownField = "unknown_field",
        InvalidQuery = "invalid_query",
        InvalidPath = "invalid_path",
        InvalidHeader = "invalid_header",
        /// The request has no valid session and no token.
        Unauthenticated = "unauthenticated",
        /// The token is unknown, has expired or was revoked.
        InvalidToken = "invalid_token",
        /// E-mail or password is wrong. The response does not say which.
        InvalidCredentials = "invalid_credentials",
        /// The password is right, but a code of the authenticator app is needed as well.
        SecondFactorRequired = "second_factor_required",
        /// The code is wrong or was already used.
        InvalidCode = "invalid_code",
        /// The token's scope does not allow this.
        InsufficientScope = "insufficient_scope",
        /// The request comes from a page of another site.
        CrossSite = "cross_site",
        AdminOnly = "admin_only",
        /// This page may not open a WebSocket here.
        OriginRefused = "origin_refused",
        /// It does not exist, or it belongs to another person.
        NotFound = "not_found",
        /// There is no pairing request with this id.
        PairingRequestNotFound = "pairing_request_not_found",
        /// The instance has no device with this id.
        DeviceNotFound = "device_not_found",
        MethodNotAllowed = "method_not_allowed",
        /// An account exists already, so the first administrator can no longer be created.
        SetupDone = "setup_done",
        EmailTaken = "email_taken",
        /// The change would leave no administrator.
        LastAdmin = "last_admin",
        TotpEnabled = "totp_enabled",
        /// No authenticator app is being set up.
        TotpNotPrepared = "totp_not_prepared",
        NameTaken = "name_taken",
        InstanceLimit = "instance_limit",
        /// The limits of all instances together would exceed the person's quota.
        QuotaExceeded = "quota_exceeded",
        /// The host has no memory left for another running instance.
        HostFull = "host_full",
        /// The maximum number of open terminals is reached.
        TerminalLimit = "terminal_limit",
        /// The instance of the job, or of the earlier request with this Idempotency-Key, was deleted.
        InstanceGone = "instance_gone",
        AlreadyRunning = "already_running",
        AlreadyStopped = "already_stopped",
        /// The instance's status does not allow this.
        WrongStatus = "wrong_status",
        /// The instance must be running.
        NotRunning = "not_running",
        /// A change of the instance could not be undone. An administrator must retry its job first.
        UndoFailed = "undo_failed",
        /// There is no snapshot to roll back to, or it has expired.
        NoWayBack = "no_way_back",
        /// This version of OpenClaw is known to be vulnerable and may not be started.
        VersionRefused = "version_refused",
        /// The instance was asleep and is waking up. The response contains the job to wait for.
        Waking = "waking",
        /// Another job prevents this request. The response contains it.
        JobInProgress = "job_in_progress",
        /// The job has ended, so it cannot be cancelled.
        JobFinished = "job_finished",
        /// The job's work cannot be undone.
        NotCancellable = "not_cancellable",
        /// Only a failed or cancelled job can be retried.
        JobNotRetryable = "job_not_retryable",
        /// Only a failed or cancelled job can be dropped.
        JobNotDead = "job_not_dead",
        BodyTooLarge = "body_too_large",
        UnsupportedMediaType = "unsupported_media_type",
        /// This path accepts only WebSocket connections.
        UpgradeRequired = "upgrade_required",
        /// Some fields are invalid. The response names each.
        ValidationFailed = "validation_failed",
        /// The Idempotency-Key was already used for a different request.
        IdempotencyKeyReused = "idempotency_key_reused",
        /// Too many requests in a short time.
        RateLimited = "rate_limited",
        InternalError = "internal_error",
        /// A retry may succeed.
        Unavailable = "unavailable",
        TimedOut = "timed_out",
        /// OpenClaw failed.
        GatewayFailed = "gateway_failed",
        /// The instance is busy with other requests.
        GatewayBusy = "gateway_busy",
        /// The instance's gateway does not answer.
        InstanceUnavailable = "instance_unavailable",
        /// No worker is available.
        NoWorker = "no_worker",
        /// Some of the reconciler's sweeps did not finish in time. The response contains the finished ones.
        ReconcileUnfinished = "reconcile_unfinished",
    }
);

impl ErrorCode {
    pub fn status(self) -> StatusCode {
        match self {
            Self::InvalidBody | Self::UnknownField | Self::InvalidQuery | Self::InvalidPath | Self::InvalidHeader => {
                StatusCode::BAD_REQUEST
            }
            Self::Unauthenticated
            | Self::InvalidToken
            | Self::InvalidCredentials
            | Self::SecondFactorRequired
            | Self::InvalidCode => StatusCode::UNAUTHORIZED,
            Self::AdminOnly | Self::InsufficientScope | Self::CrossSite | Self::OriginRefused => StatusCode::FORBIDDEN,
            Self::NotFound | Self::PairingRequestNotFound | Self::DeviceNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::NameTaken
            | Self::SetupDone
            | Self::EmailTaken
            | Self::LastAdmin
            | Self::TotpEnabled
            | Self::TotpNotPrepared
            | Self::QuotaExceeded
            | Self::InstanceLimit
            | Self::HostFull
            | Self::TerminalLimit
            | Self::InstanceGone
            | Self::AlreadyRunning
            | Self::AlreadyStopped
            | Self::WrongStatus
            | Self::UndoFailed
            | Self::NotRunning
            | Self::NoWayBack
            | Self::VersionRefused
            | Self::JobInProgress
            | Self::Waking
            | Self::JobFinished
            | Self::NotCancellable
            | Self::JobNotRetryable
            | Self::JobNotDead => StatusCode::CONFLICT,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::ValidationFailed | Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::GatewayFailed => StatusCode::BAD_GATEWAY,
            Self::Unavailable | Self::InstanceUnavailable | Self::NoWorker | Self::GatewayBusy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::TimedOut | Self::ReconcileUnfinished => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}
