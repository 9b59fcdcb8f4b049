//! What people type and paste: names and addresses are the same where they look the same, and a mistake is named.

use serde_json::json;

use super::{
    Site,
    auth::{PASSWORD, account},
};

const LOGIN: &str = "/api/auth/login";

#[tokio::test]
async fn names_are_stored_in_one_form() {
    let site = Site::new().await;
    let made = site.ann.create(" cafe\u{301}\u{a0} \u{3000}one\n").await;
    assert_eq!(made.answer.json["instance"]["name"], "café one");
    let again = site.ann.post("/api/instances", &json!({ "name": "café  one" })).await;
    assert_eq!(again.brief(), "409 name_taken name: taken");
    for (name, said) in [
        ("\u{200b}", "U+200B (zero width space) at position 1"),
        ("a\u{202e}b", "U+202E (text direction) at position 2"),
        ("a\0b", "U+0000 (NUL) at position 2"),
    ] {
        let path = format!("/api/instances/{}", made.instance);
        let edit = site.ann.patch(&path, &json!({ "name": name })).await;
        let create = site.ann.post("/api/instances", &json!({ "name": name })).await;
        let token = site.ann.post("/api/tokens", &json!({ "name": name })).await;
        let person = site.admin.post("/api/admin/users", &json!({ "email": "x@test.example", "name": name })).await;
        for answer in [edit, create, token, person] {
            assert_eq!(answer.brief(), "422 validation_failed name: invalid_character", "{name:?}");
            assert_eq!(answer.json["errors"][0]["message"], format!("must not contain {said}"));
        }
    }
    let emoji = "👩🏽\u{200d}🚀 ❤\u{fe0f}";
    let renamed = site.ann.patch(&format!("/api/instances/{}", made.instance), &json!({ "name": emoji })).await;
    assert_eq!(renamed.expect(200).json["name"], emoji);
    // A name that is older than these rules can be read, and stays where something else is changed.
    site.env.execute("UPDATE instances SET name = U&'\\200B'").await;
    let edit = json!({ "name": "\u{200b}", "memoryMb": 3072 });
    let kept = site.ann.patch(&format!("/api/instances/{}", made.instance), &edit).await.expect(200);
    assert_eq!(kept.json["name"], "\u{200b}");

    site.ann.patch(&format!("/api/instances/{}", made.instance), &json!({ "name": "Zoë" })).await.expect(200);
    let found = site.admin.get("/api/admin/instances?q=zoe%CC%88%E2%80%8B").await.expect(200);
    assert_eq!(found.json["items"].as_array().unwrap().len(), 1);
    site.ann.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    site.env.finish().await;
}

/// One function decides which addresses are the same, and not the locale of the database.
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
    // As older programs have stored it.
    site.env.execute("UPDATE users SET email = 'ÄNN.ΟΔΟΣ@MÜNCHEN.example' WHERE email LIKE '%xn--%'").await;
    log_in("änn.οδος@münchen.example").await.expect(200);
    let taken = site.admin.post("/api/admin/users", &json!({ "email": "änn.οδοσ@münchen.example" })).await;
    assert_eq!(taken.brief(), "409 email_taken email: taken");
    // Two mailboxes: a letter that merely looks or folds like another opens no account.
    account(&site.env, "ink@test.example").await;
    for email in ["in\u{212a}@test.example", "\u{130}nk@test.example", "ınk@test.example"] {
        assert_eq!(log_in(email).await.brief(), "401 invalid_credentials", "{email:?}");
    }
    let refused = site.admin.post("/api/admin/users", &json!({ "email": "in\u{212a}@test.example" })).await;
    assert_eq!(refused.brief(), "422 validation_failed email: invalid_character");
    site.env.finish().await;
}

/// Bodies that are no text, or too much of it: an error that says so, and nothing is stored.
#[tokio::test]
async fn bodies_that_are_no_text() {
    let site = Site::new().await;
    let send = async |body: Vec<u8>| {
        let request = site.ann.request("POST".parse().unwrap(), "/api/instances");
        site.ann.send(request.header("content-type", "application/json").body(body)).await
    };
    assert_eq!(send(br#"{"name":"\ud800"}"#.to_vec()).await.brief(), "400 invalid_body");
    assert_eq!(send(b"{\"name\":\"\xff\"}".to_vec()).await.brief(), "400 invalid_body");
    let large = json!({ "name": "x".repeat(5 << 20) }).to_string();
    assert_eq!(send(large.into_bytes()).await.brief(), "413 body_too_large");
    for path in ["/api/admin/instances?q=a%00b", "/api/admin/jobs?q=%00"] {
        assert_eq!(site.admin.get(path).await.brief(), "400 invalid_query q: invalid", "{path}");
    }
    site.admin.get("/api/admin/jobs?owner=%00").await.expect(200);
    for field in ["actor", "action", "targetKind", "targetId"] {
        let answer = site.admin.get(&format!("/api/admin/audit?{field}=%00")).await;
        assert_eq!(answer.brief(), format!("400 invalid_query {field}: invalid"));
    }
    assert_eq!(site.env.row("SELECT count(*) AS n FROM instances").await["n"], 0);
    site.env.finish().await;
}
