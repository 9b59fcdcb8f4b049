use clawdeploy_shared::{
    db::{
        Conn, Scope,
        person::{self, Change, Person},
        session,
        user::{Quotas, Role, User},
    },
    ids::UserId,
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::UserPath;
use crate::{
    audit::{Entry, Target},
    auth::{Admin, Principal},
    error::{AppError, AppResult, ErrorCode},
    extract::{Json, Path},
    middleware::RequestContext,
    state::AppState,
    validate::Checks,
};

/// Changes of an account. Omitted fields keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditUser {
    #[schema(min_length = 1, max_length = 64)]
    name: Option<String>,
    #[schema(value_type = Option<Role>)]
    role: Option<String>,
    /// Suspend the person, or end the suspension. Open sessions, streams and terminals end within two seconds;
    /// instances keep running.
    suspended: Option<bool>,
    /// All quotas at once; an omitted or null quota is reset to the installation's default
    quotas: Option<EditQuotas>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EditQuotas {
    #[schema(minimum = 0, maximum = 100_000)]
    instances: Option<i64>,
    /// Total memory limit of all instances, in MiB
    #[schema(minimum = 0, maximum = 100_000_000)]
    memory_mb: Option<i64>,
    /// Total CPU limit of all instances, in thousandths of a core
    #[schema(minimum = 0, maximum = 100_000_000)]
    cpu_millis: Option<i64>,
    #[schema(minimum = 0, maximum = 1000)]
    terminals: Option<i64>,
}

impl EditQuotas {
    fn check(&self, checks: &mut Checks) -> Quotas {
        let mut one = |field, value: Option<i64>, most| value.map(|_| checks.number(field, value, (0, most), 0));
        Quotas {
            instances: one("quotas.instances", self.instances, 100_000),
            memory_mb: one("quotas.memoryMb", self.memory_mb, 100_000_000),
            cpu_millis: one("quotas.cpuMillis", self.cpu_millis, 100_000_000),
            terminals: one("quotas.terminals", self.terminals, 1000),
        }
    }
}

/// Changes a person's name, role, quotas or suspension
#[utoipa::path(
    patch, path = "/api/admin/users/{id}", tag = "admin", params(UserPath), request_body = EditUser,
    responses((status = OK, body = Person)),
)]
pub async fn edit_user(
    app: AppState,
    Admin(who): Admin,
    context: RequestContext,
    Path(path): Path<UserPath>,
    Json(form): Json<EditUser>,
) -> AppResult<Json<Person>> {
    let mut checks = Checks::default();
    let name = form.name.as_deref().map(|name| checks.name("name", name));
    let role = form.role.as_deref().and_then(|role| checks.word("role", Some(role), Role::ALL, Role::User));
    let quotas = form.quotas.as_ref().map(|quotas| quotas.check(&mut checks));
    checks.done()?;
    let person = app
        .transaction(Scope::Everything, async move |conn| {
            let change = Change { name: name.as_deref(), role, suspended: form.suspended, quotas };
            in_transaction(conn, &who, &context, path.id, &change).await
        })
        .await?;
    Ok(Json(person))
}

async fn in_transaction(
    conn: &mut Conn,
    who: &Principal,
    context: &RequestContext,
    id: UserId,
    change: &Change<'_>,
) -> AppResult<Person> {
    let user = person::find_for_update(conn, id).await?.ok_or_else(|| AppError::not_found("person"))?;
    let stops_administrating = change.role == Some(Role::User) || change.suspended == Some(true);
    if user.role == Role::Admin && stops_administrating && !person::has_other_admin(conn, id).await? {
        let detail = "This is the last administrator. Make another person an administrator first.";
        return Err(AppError::new(ErrorCode::LastAdmin, detail));
    }
    person::change(conn, id, change).await?;
    if change.suspended == Some(true) {
        session::end_all(conn, id, None).await?;
    }
    let found = person::find(conn, id).await?.ok_or_else(|| AppError::not_found("person"))?;
    for (action, detail) in told(&user, &found.user) {
        let entry = Entry::new(action, Target::User(id)).owned_by(id);
        entry.detail(detail).by(conn, who, context).await?;
    }
    Ok(found)
}

/// The audit entries of a change: one for each property that differs.
fn told(before: &User, after: &User) -> Vec<(&'static str, Value)> {
    let mut told = Vec::new();
    let email = &after.email;
    if before.name != after.name {
        told.push(("user.rename", json!({ "email": email, "from": before.name, "to": after.name })));
    }
    if before.role != after.role {
        told.push(("user.role", json!({ "email": email, "from": before.role, "to": after.role })));
    }
    if before.quotas != after.quotas {
        told.push(("user.quotas", json!({ "email": email, "from": before.quotas, "to": after.quotas })));
    }
    match (before.suspended_at, after.suspended_at) {
        (None, Some(_)) => told.push(("user.suspend", json!({ "email": email }))),
        (Some(_), None) => told.push(("user.unsuspend", json!({ "email": email }))),
        _ => {}
    }
    told
}
