//! Rollouts that exclude instances.

use serde_json::{Value, json};

use super::{NO_INSTANCE, Site, with};

const PATH: &str = "/api/admin/update-all";

fn but(exclude: &Value) -> Value {
    json!({ "rebuild": false, "exclude": exclude })
}

#[tokio::test]
async fn exclusions_are_refused() {
    let site = Site::new().await;
    let made = site.ann.create("first").await;
    let id = made.instance.as_str();
    let of = |client, exclude: Value| with(client, "POST", PATH, &but(&exclude));
    let many = json!(vec![id; 1001]);
    let more: Vec<String> = (0..1001).map(|n| format!("a{n:011}")).collect();
    let cases = vec![
        ("no token", of(&site.anon, json!([id]))),
        ("not an administrator", of(&site.ann, json!([id]))),
        ("one that is not there", of(&site.admin, json!([id, NO_INSTANCE]))),
        ("no id", of(&site.admin, json!(["x"]))),
        ("no list", of(&site.admin, json!(id))),
        ("too many", of(&site.admin, json!(more))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    not an administrator: 403 admin_only
    one that is not there: 422 validation_failed exclude: unknown
    no id: 400 invalid_body exclude[0]: invalid
    no list: 400 invalid_body exclude: invalid
    too many: 422 validation_failed exclude: too_many
    ");
    // Repeated ids count once.
    let first = site.admin.post(PATH, &but(&many)).await.expect(202);
    let job = first.json["job"]["id"].as_str().unwrap().to_owned();
    let row = site.env.row(&format!("SELECT payload FROM jobs WHERE id = '{job}'")).await;
    assert_eq!(row["payload"], json!({ "exclude": [id] }));
    let told = site.env.row("SELECT detail FROM audit WHERE action = 'instances.update_all'").await;
    assert_eq!(told["detail"]["exclude"], json!([id]));
    // The same request joins the job; one with other exclusions is refused.
    let again = site.admin.post(PATH, &but(&json!([id]))).await.expect(202);
    assert_eq!((&again.json["job"]["id"], &again.json["joined"]), (&json!(job), &json!(true)));
    let cases = vec![
        ("everything meanwhile", of(&site.admin, json!([]))),
        ("without a word meanwhile", with(&site.admin, "POST", PATH, &json!({ "rebuild": false }))),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    everything meanwhile: 409 job_in_progress
    without a word meanwhile: 409 job_in_progress
    ");
    for job in [&job, &made.job] {
        site.admin.post_empty(&format!("/api/admin/jobs/{job}/cancel")).await.expect(202);
    }
    site.env.finish().await;
}
