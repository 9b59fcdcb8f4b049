//! Hostile repositories are refused with the reason, and the current image stays.

use clawdeploy_tests::TestEnv;
use git2::Oid;
use serde_json::json;

use super::support::{Entry, Images, Repo, file_url, from_repository, image_id, refused};

fn dockerfile(repo: &Repo) -> Entry<'static> {
    ("100644", "Dockerfile", repo.blob(b"FROM scratch\nCOPY . /\n"))
}

/// A part of the message, and a function that commits the hostile tree.
type Case<'a> = (&'a str, Box<dyn Fn() -> Oid + 'a>);

#[tokio::test]
async fn a_hostile_repository_is_refused() {
    let images = Images::new("hostile");
    let dir = tempfile::tempdir().unwrap();
    let repo = Repo::new(dir.path());
    repo.release("2026.9.6", "good");
    let env = from_repository(&images, &file_url(dir.path())).build().await;
    let admin = env.admin().await;
    super::support::built(&env, &admin, &json!({})).await;
    let good = image_id(&images.target()).await;

    let blob = repo.blob(b"x");
    let with = |entry: Entry<'_>| repo.commit(repo.tree(&[dockerfile(&repo), entry]));
    let many: Vec<String> = (0..200_000).map(|n| format!("f{n:06}")).collect();
    let huge = vec![0; 200 << 20];
    let cases: Vec<Case<'_>> = vec![
        ("out of the repository", Box::new(|| with(("120000", "etc", repo.blob(b"/etc"))))),
        ("out of the repository", Box::new(|| with(("120000", "up", repo.blob(b"../../etc/passwd"))))),
        ("is not a valid file name", Box::new(|| with(("100644", "..", blob)))),
        ("is not a valid file name", Box::new(|| with(("100644", "../../evil", blob)))),
        ("is not a valid file name", Box::new(|| with(("100644", "/etc/evil", blob)))),
        ("is not a valid file name", Box::new(|| with(("40000", ".git", repo.tree(&[("100644", "config", blob)]))))),
        ("submodule", Box::new(|| with(("160000", "sub", blob)))),
        ("200 MiB, more than 128 MiB", Box::new(|| with(("100644", "huge", repo.blob(&huge))))),
        (
            "more than 100000 files",
            Box::new(|| {
                let mut entries = vec![dockerfile(&repo)];
                entries.extend(many.iter().map(|name| ("100644", name.as_str(), blob)));
                repo.commit(repo.tree(&entries))
            }),
        ),
        ("front end", Box::new(|| repo.commit_files(&[("Dockerfile", "# syntax=evil/frontend\nFROM scratch\n")]))),
        ("no Dockerfile", Box::new(|| repo.commit_files(&[("x", "x")]))),
    ];
    for (why, commit) in cases {
        commit();
        let message = refused(&env, &admin, &json!({}), "source_refused").await;
        assert!(message.contains(why), "{why}: {message}");
    }
    let message = refused(&env, &admin, &json!({ "source": "git", "reference": "no-such" }), "source_missing").await;
    assert!(message.contains("no-such"), "{message}");
    assert_eq!(image_id(&images.target()).await, good);
    env.finish().await;
}

#[tokio::test]
async fn only_where_a_setting_leads() {
    let images = Images::new("guard");
    let dir = tempfile::tempdir().unwrap();
    Repo::new(dir.path()).release("2026.9.6", "x");
    for (url, why) in [
        (file_url(dir.path()), "CLAWDEPLOY_SOURCE_ALLOW_PRIVATE"),
        ("https://127.0.0.1/x.git".to_owned(), "not a public address"),
        ("https://[::ffff:169.254.169.254]/x.git".to_owned(), "not a public address"),
        ("http://example.org/x.git".to_owned(), "over https"),
    ] {
        let builder = from_repository(&images, &url).set("CLAWDEPLOY_SOURCE_ALLOW_PRIVATE", "false");
        let env: TestEnv = builder.build().await;
        let message = refused(&env, &env.admin().await, &json!({}), "source_refused").await;
        assert!(message.contains(why), "{url}: {message}");
        env.finish().await;
    }
}
