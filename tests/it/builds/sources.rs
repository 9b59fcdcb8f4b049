//! Builds with BuildKit.

use serde_json::json;

use super::support::{Images, Repo, builds, built, file_url, from_repository};

#[tokio::test]
async fn a_dockerfile_that_needs_buildkit_gets_it_from_the_engine() {
    let images = Images::new("buildkit");
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(dir.path());
    let base = clawdeploy_tests::settings::base_image();
    let dockerfile = format!(
        "FROM {base}\nRUN --mount=type=cache,target=/c echo said by buildkit to {}\nCOPY package.json /\n",
        images.0
    );
    repo.commit_files(&[("Dockerfile", &dockerfile), ("package.json", "{\"version\":\"2026.9.6\"}")]);
    let env = from_repository(&images, &file_url(dir.path())).build().await;
    let admin = env.admin().await;
    built(&env, &admin, &json!({})).await;
    let row = builds(&admin).await.remove(0);
    assert_eq!((&row["status"], &row["version"]), (&json!("ready"), &json!("2026.9.6")));
    let log = admin.get(&format!("/api/admin/images/{}/log", row["id"].as_str().unwrap())).await.expect(200).json;
    assert!(log["text"].as_str().unwrap().contains("\nsaid by buildkit to clawdeploy-test-"), "{log}");
    env.finish().await;
}
