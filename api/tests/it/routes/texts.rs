//! Normalization of names and addresses: what looks the same is the same, and errors name the invalid character.

use serde_json::json;

use super::Site;

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
    // An older name that is invalid today can be read, and stays if only other fields change.
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

/// Bodies that are not valid text or too large are refused, and nothing is stored.
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
