//! The person's own account.

use clawdeploy_shared::db::user::{self, User};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    auth::{
        Principal, password,
        throttle::{Attempt, Key},
    },
    error::{AppError, AppResult, FieldError},
    extract::Json,
    state::AppState,
};

pub mod password_change;
pub mod totp;

/// Returns your account
#[utoipa::path(get, path = "/api/me", tag = "auth", responses((status = OK, body = User)))]
pub async fn get_me(who: Principal) -> Json<User> {
    Json(who.user)
}

/// Counts an attempt to confirm a password or code, together with attempts to sign in, to slow down guessing.
async fn guess(app: &AppState, who: &Principal) -> AppResult<Attempt> {
    app.logins.attempt(&[Key::account(&who.user.email)]).await
}

/// The error for a wrong password or code in a field.
fn wrong(field: &'static str, message: &'static str) -> AppError {
    AppError::validation(vec![FieldError::new(field, "wrong", message)])
}

/// Refuses unless this is the person's current password.
async fn confirm_password(app: &AppState, who: &Principal, field: &'static str, given: SecretString) -> AppResult<()> {
    let guess = guess(app, who).await?;
    let stored = user::password_hash(&mut *app.db.conn().await?, who.user.id).await?;
    let stored = Some(stored).filter(|_| given.expose_secret().len() <= password::MAX_BYTES);
    if !app.passwords.verify(given, stored).await.map_err(AppError::internal)? {
        return Err(wrong(field, "is not your current password"));
    }
    guess.was_right().await;
    Ok(())
}
