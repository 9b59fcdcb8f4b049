use std::collections::BTreeMap;

use clawdeploy_shared::{
    db::{
        Conn,
        instance::{self, Instance, InstanceSettings, NewInstance, seal_context},
        job::{self, Job, NewJob},
        user, warm_pool,
    },
    ids::InstanceId,
    instance::{Channel, DesiredState, InstanceStatus},
    job::JobKind,
    secret::SecretError,
    token::gateway_token,
};
use serde_json::json;

use super::{
    Accepted, Outcome,
    form::{CreateInstance, Draft},
    idempotency::{Earlier, IdempotencyKey},
};
use crate::{
    audit::{Entry, Target},
    auth::Principal,
    capacity,
    error::{AppError, AppResult, ErrorCode},
    extract::DigestedJson,
    middleware::RequestContext,
    quota::{self, Wanted},
    state::AppState,
};

/// Creates an instance
///
/// The response is sent at once; a job provisions the instance. A request with an `Idempotency-Key` can be repeated
/// without creating a second instance: the response then describes the first one, with `Idempotency-Replayed: true`.
#[utoipa::path(
    post, path = "/api/instances", tag = "instances", request_body = CreateInstance,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 128)),
    responses((
        status = ACCEPTED, body = Accepted,
        headers(
            ("Location", description = "URL of the job"),
            ("Idempotency-Replayed", description = "`true`: created by an earlier request"),
        ),
    )),
)]
pub async fn create_instance(
    app: AppState,
    who: Principal,
    context: RequestContext,
    key: IdempotencyKey,
    DigestedJson { value, sha256 }: DigestedJson<CreateInstance>,
) -> AppResult<Accepted> {
    let draft = value.check()?;
    let (scope, creation) = (who.own(), Creation { app: app.clone(), who, context, key, sha256, draft });
    let outcome = app.transaction(scope, async move |conn| creation.run(conn).await).await?;
    Ok(Accepted::of(&app, outcome))
}

struct Creation {
    app: AppState,
    who: Principal,
    context: RequestContext,
    key: IdempotencyKey,
    sha256: [u8; 32],
    draft: Draft,
}

impl Creation {
    async fn run(&self, conn: &mut Conn) -> AppResult<Outcome> {
        // The lock serializes a person's requests, so that concurrent ones cannot exceed the quota or use a key twice.
        let owner = user::lock(conn, self.who.user.id).await?;
        match self.key.earlier(conn, self.who.user.id, &self.sha256).await? {
            Earlier::None => {
                let wanted = Wanted { memory_mb: self.draft.memory_mb, cpu_millis: self.draft.cpu_millis };
                quota::check(conn, &self.app.quotas, &owner, wanted, None).await?;
                capacity::check_new(conn, &self.app.capacity, wanted.memory_mb).await?;
                let (instance, job) = self.insert(conn).await?;
                Ok(Outcome::load(conn, instance, job).await?)
            }
            Earlier::Same(job) => self.replay(conn, *job).await,
            Earlier::Other => {
                let detail = "This Idempotency-Key was used for another request. Use a new key for a new request.";
                Err(AppError::new(ErrorCode::IdempotencyKeyReused, detail))
            }
        }
    }

    async fn replay(&self, conn: &mut Conn, job: Job) -> AppResult<Outcome> {
        let found = match &job.instance_id {
            Some(id) => instance::find(conn, self.who.own(), id).await?,
            None => None,
        };
        let (instance, _) = found.ok_or_else(|| {
            let detail =
                "The instance created with this Idempotency-Key no longer exists. Use a new key to create another one.";
            AppError::new(ErrorCode::InstanceGone, detail)
        })?;
        Ok(Outcome::load(conn, instance, job).await?.replayed(true))
    }

    async fn insert(&self, conn: &mut Conn) -> AppResult<(Instance, Job)> {
        let warm =
            if self.must_boot() { None } else { warm_pool::take(conn, &self.draft.name, self.draft.memory_mb).await? };
        let is_warm = warm.is_some();
        let id = warm.unwrap_or_else(InstanceId::random);
        let instance = if is_warm {
            let settings = self.settings(&id).map_err(AppError::internal)?;
            instance::set_settings(conn, &id, &settings).await?
        } else {
            let new = self.row(&id).map_err(AppError::internal)?;
            instance::insert(conn, &new).await?
        };
        let job = NewJob {
            requested_by: Some(self.who.user.id),
            idempotency_key: self.key.0.as_deref(),
            idempotency_hash: self.key.0.is_some().then(|| self.sha256.to_vec()),
            request_id: Some(&self.context.request_id),
            ..NewJob::on_instance(JobKind::Provision, &id, self.who.user.id)
        };
        let job = job::insert(conn, &job).await?;
        Entry::new("instance.create", Target::Instance(&id))
            .owned_by(self.who.user.id)
            .detail(json!({ "name": instance.name, "jobId": job.id, "warm": is_warm }))
            .by(conn, &self.who, &self.context)
            .await?;
        Ok((instance, job))
    }

    /// Whether no warm gateway would do. A model key is a variable of the gateway's environment, and Discord needs a
    /// plugin: both are read when the gateway boots.
    fn must_boot(&self) -> bool {
        self.draft.api_key.is_some() || self.draft.channel == Channel::Discord
    }

    /// The row of a new instance.
    fn row<'a>(&'a self, id: &'a InstanceId) -> Result<NewInstance<'a>, SecretError> {
        let settings = self.settings(id)?;
        Ok(NewInstance {
            id,
            owner_id: Some(self.who.user.id),
            name: &self.draft.name,
            desired_state: DesiredState::Running,
            status: InstanceStatus::Pending,
            channel: settings.channel,
            bot_token_sealed: settings.bot_token_sealed,
            ai_provider: settings.ai_provider,
            api_key_sealed: settings.api_key_sealed,
            gateway_token_sealed: self.app.sealer.seal(&gateway_token(), seal_context::gateway_token(id))?,
            memory_mb: settings.memory_mb,
            cpu_millis: settings.cpu_millis,
        })
    }

    fn settings(&self, id: &InstanceId) -> Result<InstanceSettings, SecretError> {
        let (draft, sealer) = (&self.draft, &self.app.sealer);
        let seal = |secret: &Option<_>, place| secret.as_ref().map(|secret| sealer.seal(secret, place)).transpose();
        Ok(InstanceSettings {
            memory_mb: draft.memory_mb,
            cpu_millis: draft.cpu_millis,
            channel: draft.channel,
            bot_token_sealed: seal(&draft.bot_token, seal_context::bot_token(id))?,
            ai_provider: draft.ai_provider,
            api_key_sealed: seal(&draft.api_key, seal_context::api_key(id))?,
            env_sealed: BTreeMap::new(),
        })
    }
}
