//! The log of a build, for owners of jobs that wait for it.

use clawdeploy_tests::{Client, WorkerOptions};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{NO_UUID, Site, bare, with};
use crate::{
    builds::support::{Images, Repo, file_url, from_repository},
    support::SOON,
};

/// Reads a stream to its end and returns the data of its parts and of its end.
async fn told(request: reqwest::RequestBuilder) -> (Vec<Value>, Value) {
    let response = request.header("accept", "text/event-stream").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    let text = timeout(2 * SOON, response.text()).await.expect("the stream to end").unwrap();
    let data = |event: &str| serde_json::from_str(event.lines().find_map(|line| line.strip_prefix("data:"))?).ok();
    let mut all: Vec<Value> = text.split("\n\n").filter_map(data).collect();
    assert!(text.contains("event: end"), "{text}");
    let end = all.pop().unwrap();
    (all, end)
}

/// An update that waits for a build, of an instance that never ran. Nothing else matters here.
async fn update(site: &Site, client: &Client, name: &str) -> String {
    let made = client.create(name).await;
    client.post_empty(&format!("/api/jobs/{}/cancel", made.job)).await.expect(202);
    let set = async |columns: &str| {
        site.env.execute(&format!("UPDATE instances SET {columns} WHERE id = '{}'", made.instance)).await;
    };
    set("container_id = 'one'").await;
    let path = format!("/api/instances/{}/update", made.instance);
    let update = client.send(with(client, "POST", &path, &json!({}))).await.expect(202).accepted();
    set("container_id = NULL").await;
    update.job
}

#[tokio::test]
async fn everybody_who_waits_for_a_build_sees_it() {
    let images = Images::new("told");
    let dir = tempfile::tempdir().unwrap();
    let base = clawdeploy_tests::settings::base_image();
    let dockerfile = format!("FROM {base}\nRUN echo begun && sleep 1 && echo ended\n");
    Repo::new(dir.path()).commit_files(&[("Dockerfile", &dockerfile)]);
    let site = Site::with(from_repository(&images, &file_url(dir.path())).workers(0)).await;
    let (hers, his) = (update(&site, &site.ann, "hers").await, update(&site, &site.bob, "his").await);
    let path = |job: &str| format!("/api/jobs/{job}/build-log");
    let of = |client: &Client, job: &str| bare(client, "GET", &path(job));

    let waiting = site.ann.get(&path(&hers)).await.expect(200).json;
    assert_eq!(waiting, json!({ "from": 0, "to": 0, "text": "", "progress": 0, "status": "building" }));
    let build = site.ann.get(&format!("/api/jobs/{hers}")).await.expect(200).json["dependsOn"].clone();
    let without = site.ann.create("without").await;
    let cases = vec![
        ("no token", of(&site.anon, &hers)),
        ("somebody else's", of(&site.bob, &hers)),
        ("an administrator, who asks the build itself", of(&site.admin, &hers)),
        ("one that waits for no build", of(&site.ann, &without.job)),
        ("the build, which is nobody's", of(&site.ann, build.as_str().unwrap())),
        ("one that is not there", of(&site.ann, NO_UUID)),
        ("no id", of(&site.ann, "x")),
        ("an event that is none", of(&site.ann, &hers).header("Last-Event-ID", "x")),
        ("somebody else's, as a stream", of(&site.bob, &hers).header("accept", "text/event-stream")),
    ];
    insta::assert_snapshot!(site.refusals(cases).await, @r"
    no token: 401 unauthenticated
    somebody else's: 404 not_found
    an administrator, who asks the build itself: 404 not_found
    one that waits for no build: 404 not_found
    the build, which is nobody's: 404 not_found
    one that is not there: 404 not_found
    no id: 400 invalid_path id: invalid
    an event that is none: 400 invalid_header Last-Event-ID: invalid
    somebody else's, as a stream: 404 not_found
    ");
    // The waiting jobs themselves are not tested.
    for (client, job) in [(&site.ann, &hers), (&site.ann, &without.job), (&site.bob, &his)] {
        client.post_empty(&format!("/api/jobs/{job}/cancel")).await.expect(202);
    }

    // A client listens before there is output.
    let listening = told(of(&site.ann, &hers));
    let ((parts, end), ()) = tokio::join!(listening, async {
        site.env.add_worker(&WorkerOptions::default()).await;
    });
    assert!(parts.len() >= 2, "the log came only at its end: {parts:?}");
    let text = parts.iter().map(|part| part["text"].as_str().unwrap()).collect::<String>();
    assert!(text.contains("\nbegun\n") && text.contains("\nended\n"), "{text}");
    assert!(parts.windows(2).all(|pair| pair[0]["to"] == pair[1]["from"]), "{parts:?}");
    assert_eq!((&end["status"], &end["text"], &end["to"]), (&json!("ready"), &json!(""), &parts.last().unwrap()["to"]));
    let words: Vec<_> = end.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(words, ["from", "progress", "status", "text", "to"], "it must not show who requested the build");
    // The log can be read later, and by those who joined.
    let whole = site.bob.get(&path(&his)).await.expect(200).json;
    assert_eq!((&whole["text"], &whole["status"]), (&json!(text), &json!("ready")));
    let (rest, _) = told(of(&site.ann, &hers).header("Last-Event-ID", parts[0]["to"].to_string())).await;
    assert_eq!(rest[0]["from"], parts[0]["to"]);
    site.env.finish().await;
}
