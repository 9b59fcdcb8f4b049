//! Normalization of email addresses, including those of accounts made on the command line.

use serde_json::json;

use super::Site;
use crate::support::{PASSWORD, account};

const LOGIN: &str = "/api/auth/login";

/// Equality of addresses does not depend on the locale of the database.
#[tokio::test]
async fn addresses_are_the_same_however_they_are_typed() {
    let site = Site::new().await;
    account(&site.env, " A\u{308}NN.ΟΔΟΣ@MÜNCHEN.example\n").await;
    let stored = site.env.row("SELECT email FROM users ORDER BY id DESC LIMIT 1").await;
    assert_eq!(stored["email"], "änn.οδοσ@xn--mnchen-3ya.example");
    let log_in = async |email: &str| site.anon.post(LOGIN, &json!({ "email": email, "password": PASSWORD })).await;
    for email in ["änn.οδος@münchen.example", "\u{feff}Änn.Οδοσ@xn--mnchen-3ya.example ", "ÄNN.ΟΔΟΣ@München.Example"]
    {
        log_in(email).await.expect(200);
        let taken = site.admin.post("/api/admin/users", &json!({ "email": email })).await;
        assert_eq!(taken.brief(), "409 email_taken email: taken", "{email:?}");
    }
    // As older programs stored it.
    site.env.execute("UPDATE users SET email = 'ÄNN.ΟΔΟΣ@MÜNCHEN.example' WHERE email LIKE '%xn--%'").await;
    log_in("änn.οδος@münchen.example").await.expect(200);
    let taken = site.admin.post("/api/admin/users", &json!({ "email": "änn.οδοσ@münchen.example" })).await;
    assert_eq!(taken.brief(), "409 email_taken email: taken");
    // Different mailboxes: a character that looks or case-folds like another one does not match.
    account(&site.env, "ink@test.example").await;
    for email in ["in\u{212a}@test.example", "\u{130}nk@test.example", "ınk@test.example"] {
        assert_eq!(log_in(email).await.brief(), "401 invalid_credentials", "{email:?}");
    }
    let refused = site.admin.post("/api/admin/users", &json!({ "email": "in\u{212a}@test.example" })).await;
    assert_eq!(refused.brief(), "422 validation_failed email: invalid_character");
    site.env.finish().await;
}
