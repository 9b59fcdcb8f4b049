//! Builds from servers: a repository over HTTP, and a registry.

use std::{path::Path, process::Stdio};

use clawdeploy_tests::{FakeMode, docker, wait};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use super::support::{Images, Repo, builds, built, from_repository, image_id, refused};
use crate::support::SOON;

/// Serves a repository over HTTP like git's `http-backend` and returns its URL.
async fn serve(repository: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/openclaw.git", listener.local_addr().unwrap());
    let repository = repository.to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let repository = repository.clone();
            tokio::spawn(async move { answer(client, &repository).await });
        }
    });
    url
}

async fn answer(mut client: TcpStream, repository: &Path) {
    let mut request = Vec::new();
    let head = loop {
        if client.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8_lossy(&request[..end]).to_lowercase();
        }
    };
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let length: usize = field("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = request.split_off(head.len() + 4);
    while body.len() < length {
        assert_ne!(client.read_buf(&mut body).await.unwrap(), 0, "half a request");
    }
    let advertise = head.starts_with("get /openclaw.git/info/refs?service=git-upload-pack");
    let mut git = Command::new("git");
    git.args(["upload-pack", "--stateless-rpc"]).env("GIT_PROTOCOL", field("git-protocol").unwrap_or_default());
    if advertise {
        git.arg("--advertise-refs");
    }
    let mut git = git.arg(repository).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    git.stdin.take().unwrap().write_all(&body).await.unwrap();
    let said = git.wait_with_output().await.unwrap().stdout;
    let (kind, preface) =
        if advertise { ("advertisement", &b"001e# service=git-upload-pack\n0000"[..]) } else { ("result", &b""[..]) };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-{kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        preface.len() + said.len()
    );
    for part in [head.as_bytes(), preface, &said] {
        // The client may close the connection early.
        if client.write_all(part).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_repository_over_http() {
    let (images, dir) = (Images::new("http"), tempfile::tempdir().unwrap());
    let repo = Repo::new(dir.path());
    repo.release("2026.9.6", "first");
    let url = serve(dir.path()).await;
    let env = from_repository(&images, &url).build().await;
    let admin = env.admin().await;
    built(&env, &admin, &json!({})).await;
    let second = repo.release("2026.9.7", "second");
    built(&env, &admin, &json!({})).await;
    let rows = builds(&admin).await;
    assert_eq!((rows.len(), &rows[0]["version"]), (2, &json!("2026.9.7")));
    assert_eq!(rows[0]["revision"], format!("{url}@{second}"));
    refused(&env, &admin, &json!({ "source": "git", "reference": "no-such-branch" }), "source_missing").await;
    env.finish().await;
}

/// A registry that ends with the test.
struct Registry {
    address: String,
    _process: Child,
}

impl Registry {
    async fn start(dir: &Path) -> Self {
        let free = std::net::SocketAddr::from(([127, 0, 0, 1], clawdeploy_tests::port::take()));
        let config = dir.join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {free}\n",
            dir.join("data").display()
        );
        tokio::fs::write(&config, text).await.unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let process = command.spawn().expect("Debian's package docker-registry");
        let up = async || TcpStream::connect(free).await.ok();
        wait::poll(SOON, up).await.expect("a registry that answers");
        Self { address: free.to_string(), _process: process }
    }

    /// Pushes an image and returns its reference.
    async fn push(&self, image: &str, tag: &str) -> String {
        let reference = format!("{}/openclaw:{tag}", self.address);
        docker::docker(&["tag", image, &reference]).await;
        docker::docker(&["push", "--quiet", &reference]).await;
        docker::docker(&["rmi", &reference]).await;
        reference
    }
}

#[tokio::test]
async fn an_image_of_a_registry() {
    let (images, dir) = (Images::new("registry"), tempfile::tempdir().unwrap());
    let registry = Registry::start(dir.path()).await;
    let (first, second) = (FakeMode::Ok.image(), FakeMode::Next.image());
    let tagged = registry.push(&first, "stable").await;
    let env = from_repository(&images, "file:///nowhere")
        .set("CLAWDEPLOY_IMAGE_SOURCE", "registry")
        .set("CLAWDEPLOY_OPENCLAW_REGISTRY_IMAGE", &tagged)
        .build()
        .await;
    let admin = env.admin().await;
    built(&env, &admin, &json!({})).await;
    let rows = builds(&admin).await;
    assert_eq!((&rows[0]["source"], &rows[0]["version"]), (&json!("registry"), &json!(FakeMode::Ok.version())));
    let old = image_id(&images.target()).await;
    // The same digest is found; another digest under the same tag is pulled.
    built(&env, &admin, &json!({})).await;
    assert_eq!(builds(&admin).await.len(), 1);
    registry.push(&second, "stable").await;
    built(&env, &admin, &json!({})).await;
    assert_eq!(builds(&admin).await.len(), 2);
    assert_ne!(image_id(&images.target()).await, old);
    // The first image is found by its digest.
    let digest = rows[0]["revision"].as_str().unwrap().rsplit('@').next().unwrap().to_owned();
    let by_digest = format!("{}/openclaw@{digest}", registry.address);
    built(&env, &admin, &json!({ "source": "registry", "reference": by_digest })).await;
    assert_eq!(image_id(&images.target()).await, old);
    let gone = format!("{}/openclaw:gone", registry.address);
    refused(&env, &admin, &json!({ "source": "registry", "reference": gone }), "source_missing").await;
    env.finish().await;
}
