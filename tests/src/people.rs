//! Clients of users with certain roles.

use clawdeploy_shared::{
    db::{
        token::{self, NewApiToken, TokenScope},
        user::{self, NewUser, Role},
    },
    ids::{TokenId, UserId},
    token::{api_token, token_hash},
};
use secrecy::ExposeSecret as _;

use crate::{client::Client, installation::Installation};

impl Installation {
    /// A client without credentials.
    pub fn anon(&self) -> Client {
        Client::new(&self.base, None)
    }

    /// An ordinary user. The same name is the same user.
    pub async fn user(&self, name: &str) -> Client {
        self.person(name, Role::User).await
    }

    /// An administrator.
    pub async fn admin(&self) -> Client {
        self.person("admin", Role::Admin).await
    }

    /// Id of a user, who is created if necessary.
    pub async fn user_id(&self, name: &str, role: Role) -> UserId {
        let email = format!("{name}@test.example");
        let mut conn = self.db.conn().await.unwrap();
        if let Some((user, _)) = user::find_by_email(&mut conn, &email).await.unwrap() {
            return user.id;
        }
        // No password matches this hash. Tests of the login create their users with the program.
        let new = NewUser { id: UserId::generate(), email: &email, name, password_hash: "!", role };
        user::insert(&mut conn, &new).await.unwrap().id
    }

    async fn person(&self, name: &str, role: Role) -> Client {
        let user_id = self.user_id(name, role).await;
        let secret = api_token();
        let token_hash = token_hash(secret.expose_secret());
        let new = NewApiToken {
            id: TokenId::generate(),
            user_id,
            name: "test",
            scope: TokenScope::Admin,
            token_hash,
            expires_at: None,
        };
        token::insert(&mut self.db.conn().await.unwrap(), &new).await.unwrap();
        self.remember_secret(secret.expose_secret());
        Client::new(&self.base, Some(secret.expose_secret().to_owned()))
    }
}
