use clawdeploy_shared::{
    db::{
        Conn,
        instance::{self, Instance, NewInstance, seal_context},
        job::{self, Job, NewJob},
        user,
    },
    ids::InstanceId,
    instance::{DesiredState, InstanceStatus},
    job::JobKind,
    secret::{Sealer, SecretError},
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
        let id = InstanceId::random();
        let new = self.row(&id, &self.app.sealer).map_err(AppError::internal)?;
        let instance = instance::insert(conn, &new).await?;
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
            .detail(json!({ "name": instance.name, "jobId": job.id }))
            .by(conn, &self.who, &self.context)
            .await?;
        Ok((instance, job))
    }

    fn row<'a>(&'a self, id: &'a InstanceId, sealer: &Sealer) -> Result<NewInstance<'a>, SecretError> {
        let draft = &self.draft;
        let seal = |secret: &Option<_>, place| secret.as_ref().map(|secret| sealer.seal(secret, place)).transpose();
        Ok(NewInstance {
            id,
            owner_id: self.who.user.id,
            name: &draft.name,
            desired_state: DesiredState::Running,
            status: InstanceStatus::Pending,
            channel: draft.channel,
            bot_token_sealed: seal(&draft.bot_token, seal_context::bot_token(id))?,
            ai_provider: draft.ai_provider,
            api_key_sealed: seal(&draft.api_key, seal_context::api_key(id))?,
            gateway_token_sealed: sealer.seal(&gateway_token(), seal_context::gateway_token(id))?,
            memory_mb: draft.memory_mb,
            cpu_millis: draft.cpu_millis,
        })
    }
}
