//! Who one is, and what one can change of one's own account.

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

/// Your account
#[utoipa::path(get, path = "/api/me", tag = "auth", responses((status = OK, body = User)))]
pub async fn get_me(who: Principal) -> Json<User> {
    Json(who.user)
}

/// Something that a person proves once more, and might guess; counted with the attempts to sign in.
async fn guess(app: &AppState, who: &Principal) -> AppResult<Attempt> {
    app.logins.attempt(&[Key::account(&who.user.email)]).await
}

/// What was given in a field is not the right thing.
fn wrong(field: &'static str, message: &'static str) -> AppError {
    AppError::validation(vec![FieldError::new(field, "wrong", message)])
}

/// Refuses unless this is the person's present password.
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
