//! The audit log. An entry is written in the transaction of the change that it records.

use clawdeploy_shared::{
    db::{
        Conn, DbError,
        audit::{self, NewAuditEntry, Outcome},
    },
    ids::{InstanceId, JobId, SessionId, TokenId, UserId},
    job::Queue,
};
use serde_json::{Value, json};

use crate::{auth::Principal, middleware::RequestContext};

/// Target of a change.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    Instance(&'a InstanceId),
    Job(JobId),
    Token(TokenId),
    Session(SessionId),
    User(UserId),
    /// A person without an account here, by the e-mail that was given.
    Stranger(&'a str),
    /// The shared OpenClaw image.
    Image,
    Instances,
    /// The policy that says which versions of OpenClaw may be started.
    VersionPolicy,
    Queue(Queue),
    Worker(&'a str),
    Reconciler,
}

impl Target<'_> {
    fn kind(self) -> &'static str {
        match self {
            Self::Instance(_) => "instance",
            Self::Job(_) => "job",
            Self::Token(_) => "token",
            Self::Session(_) => "session",
            Self::User(_) | Self::Stranger(_) => "user",
            Self::Image => "image",
            Self::Instances => "instances",
            Self::VersionPolicy => "version_policy",
            Self::Queue(_) => "queue",
            Self::Worker(_) => "worker",
            Self::Reconciler => "reconciler",
        }
    }

    fn id(self) -> String {
        match self {
            Self::Instance(id) => id.to_string(),
            Self::Job(id) => id.to_string(),
            Self::Token(id) => id.to_string(),
            Self::Session(id) => id.to_string(),
            Self::User(id) => id.to_string(),
            Self::Stranger(name) => name.to_owned(),
            Self::Image | Self::VersionPolicy => "openclaw".to_owned(),
            Self::Queue(queue) => queue.to_string(),
            Self::Worker(id) => id.to_owned(),
            Self::Instances | Self::Reconciler => "all".to_owned(),
        }
    }
}

/// An entry of the audit log. It is written by [`Self::by`] or [`Self::by_named`].
#[derive(Debug)]
pub struct Entry<'a> {
    action: &'a str,
    target: Target<'a>,
    owner: Option<UserId>,
    detail: Value,
    outcome: Outcome,
}

impl<'a> Entry<'a> {
    /// `action` has the form `noun.verb`.
    pub fn new(action: &'a str, target: Target<'a>) -> Self {
        Self { action, target, owner: None, detail: json!({}), outcome: Outcome::Success }
    }

    /// Sets the owner of the target.
    #[must_use]
    pub fn owned_by(self, owner: impl Into<Option<UserId>>) -> Self {
        Self { owner: owner.into(), ..self }
    }

    /// Marks the change as refused or failed.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { outcome: Outcome::Failure, ..self }
    }

    /// Sets further details. They must not contain a secret.
    #[must_use]
    pub fn detail(self, detail: Value) -> Self {
        Self { detail, ..self }
    }

    /// Writes the entry for a signed-in person's request.
    pub async fn by(self, conn: &mut Conn, who: &Principal, context: &RequestContext) -> Result<(), DbError> {
        self.write(conn, Some(who.user.id), &who.user.email, Some(context)).await
    }

    /// Writes the entry for an actor that is not signed in: a request, or a command if there is no context.
    pub async fn by_named(self, conn: &mut Conn, who: &str, context: Option<&RequestContext>) -> Result<(), DbError> {
        self.write(conn, None, who, context).await
    }

    async fn write(
        self,
        conn: &mut Conn,
        actor_id: Option<UserId>,
        actor: &str,
        context: Option<&RequestContext>,
    ) -> Result<(), DbError> {
        let client_ip = context.and_then(|c| c.client_ip).map(|ip| ip.to_string());
        let entry = NewAuditEntry {
            actor_id,
            actor,
            action: self.action,
            target_kind: self.target.kind(),
            target_id: &self.target.id(),
            owner_id: self.owner,
            detail: self.detail,
            request_id: context.map(|c| &*c.request_id),
            client_ip: client_ip.as_deref(),
            outcome: self.outcome,
        };
        audit::insert(conn, &entry).await
    }
}
