//! The codes that clients may rely on: a code keeps its meaning and its status for good.

use axum::http::StatusCode;
use clawdeploy_shared::text_enum;

text_enum!(
    /// What went wrong, for programs.
    ErrorCode {
        /// The body is not JSON, or not of the form that is asked for.
        InvalidBody = "invalid_body",
        /// The body names something that is not known here.
        UnknownField = "unknown_field",
        InvalidQuery = "invalid_query",
        InvalidPath = "invalid_path",
        InvalidHeader = "invalid_header",
        /// Nobody is signed in, and no token was given.
        Unauthenticated = "unauthenticated",
        /// The token is unknown, has expired or was revoked.
        InvalidToken = "invalid_token",
        /// E-mail or password is wrong; which of them is not told.
        InvalidCredentials = "invalid_credentials",
        /// The password is right, and a code of the authenticator app is needed as well.
        SecondFactorRequired = "second_factor_required",
        /// The code is not right, or was used already.
        InvalidCode = "invalid_code",
        /// The token does not go so far.
        InsufficientScope = "insufficient_scope",
        /// A page of another site made the request.
        CrossSite = "cross_site",
        AdminOnly = "admin_only",
        /// This page may not open a WebSocket here.
        OriginRefused = "origin_refused",
        /// There is no such thing, or it is not yours.
        NotFound = "not_found",
        /// No device waits under this id.
        PairingRequestNotFound = "pairing_request_not_found",
        /// The instance knows no such device.
        DeviceNotFound = "device_not_found",
        MethodNotAllowed = "method_not_allowed",
        /// There is somebody already, so the first administrator cannot be made any more.
        SetupDone = "setup_done",
        EmailTaken = "email_taken",
        /// Without this person nobody could administrate any more.
        LastAdmin = "last_admin",
        TotpEnabled = "totp_enabled",
        /// No authenticator app is being set up.
        TotpNotPrepared = "totp_not_prepared",
        NameTaken = "name_taken",
        InstanceLimit = "instance_limit",
        /// All instances together would have more memory or CPU than the person may have.
        QuotaExceeded = "quota_exceeded",
        /// As many terminals are open as may be.
        TerminalLimit = "terminal_limit",
        /// The instance that this is about has been deleted since.
        InstanceGone = "instance_gone",
        AlreadyRunning = "already_running",
        AlreadyStopped = "already_stopped",
        /// The instance is in a status from which this is not possible.
        WrongStatus = "wrong_status",
        /// Only an instance that runs can be looked into.
        NotRunning = "not_running",
        /// A change of the instance could not be undone; an administrator has to retry its job first.
        UndoFailed = "undo_failed",
        /// What the instance was before is not kept, or not any more.
        NoWayBack = "no_way_back",
        /// This version of OpenClaw is known to be vulnerable, and may not be started.
        VersionRefused = "version_refused",
        /// Another job is in the way; it is in the answer.
        JobInProgress = "job_in_progress",
        /// The job is over, so it cannot be cancelled.
        JobFinished = "job_finished",
        /// What the job does cannot be taken back.
        NotCancellable = "not_cancellable",
        /// Only a job that failed or was cancelled can be tried again.
        JobNotRetryable = "job_not_retryable",
        /// Only a job that failed or was cancelled can be dropped.
        JobNotDead = "job_not_dead",
        BodyTooLarge = "body_too_large",
        UnsupportedMediaType = "unsupported_media_type",
        /// This is a WebSocket's address.
        UpgradeRequired = "upgrade_required",
        /// Some fields are not acceptable; each is named.
        ValidationFailed = "validation_failed",
        /// The Idempotency-Key was used for another request.
        IdempotencyKeyReused = "idempotency_key_reused",
        /// Too much in a short time.
        RateLimited = "rate_limited",
        InternalError = "internal_error",
        /// A moment later it may succeed.
        Unavailable = "unavailable",
        TimedOut = "timed_out",
        /// OpenClaw itself failed at it.
        GatewayFailed = "gateway_failed",
        /// Others are asking the same instance for something.
        GatewayBusy = "gateway_busy",
        /// The gateway of the instance does not answer at its address.
        InstanceUnavailable = "instance_unavailable",
        /// No worker is alive to do it.
        NoWorker = "no_worker",
        /// Some of the reconciler's sweeps have not run in time; those that have are in the answer.
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
