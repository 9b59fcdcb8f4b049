//! The part of git's protocol (version 2 over HTTP) that fetches one commit without history.

use std::path::Path;

use bytes::{Buf as _, Bytes, BytesMut};
use clawdeploy_shared::openclaw::git_ref::GitRef;
use git2::Oid;
use reqwest::Method;
use tokio::{fs::File, io::AsyncWriteExt as _};

use super::{
    error::BuildError,
    remote::{Answer, Remote},
};

/// Most bytes of capabilities and of the requested refs.
const TALK_CAP: u64 = 1 << 20;
/// Most bytes of a pack.
const PACK_CAP: u64 = 1 << 30;

const VERSION: (&str, &str) = ("git-protocol", "version=2");
const COMMAND: [(&str, &str); 3] = [
    VERSION,
    ("content-type", "application/x-git-upload-pack-request"),
    ("accept", "application/x-git-upload-pack-result"),
];

/// A line of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Data(Bytes),
    /// The end of a section.
    Delimiter,
    Flush,
}

/// The commit that a ref names. `None`: the ref does not exist.
pub(super) async fn find_ref(remote: &Remote, reference: &GitRef) -> Result<Option<Oid>, BuildError> {
    let hello =
        remote.send(Method::GET, "/info/refs?service=git-upload-pack", &[VERSION], Vec::new(), TALK_CAP).await?;
    let hello = String::from_utf8_lossy(&hello.whole().await?).into_owned();
    if !hello.contains("version 2\n") {
        return Err(remote.failed("it is not a git server with version 2 of the protocol", false));
    }
    let candidates = reference.candidates();
    let mut request = command("ls-refs", &["peel".to_owned()]);
    for name in &candidates {
        packet(&mut request, &format!("ref-prefix {name}\n"));
    }
    request.extend_from_slice(b"0000");
    let answer = remote.send(Method::POST, "/git-upload-pack", &COMMAND, request, TALK_CAP).await?;
    let mut packets = Packets::new(answer);
    let mut found = Vec::new();
    while let Some(Packet::Data(line)) = packets.next(remote).await? {
        if let Some(why) = line.strip_prefix(b"ERR ") {
            return Err(refusal(remote, why));
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let mut words = line.split(' ');
        let (Some(id), Some(name)) = (words.next(), words.next()) else { continue };
        // An annotated tag is an object of its own. Its commit is given beside it.
        let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
        if let Ok(id) = Oid::from_str(peeled.unwrap_or(id)) {
            found.push((name.to_owned(), id));
        }
    }
    Ok(candidates.iter().find_map(|wanted| found.iter().find(|(name, _)| name == wanted)).map(|(_, id)| *id))
}

/// Fetches a commit with its tree and no history into a pack file. Returns its size in bytes.
pub(super) async fn fetch(remote: &Remote, commit: Oid, into: &Path) -> Result<u64, BuildError> {
    let arguments = [
        "no-progress".to_owned(),
        "ofs-delta".to_owned(),
        "deepen 1".to_owned(),
        format!("want {commit}"),
        "done".to_owned(),
    ];
    let mut request = command("fetch", &arguments);
    request.extend_from_slice(b"0000");
    let answer = remote.send(Method::POST, "/git-upload-pack", &COMMAND, request, PACK_CAP).await?;
    let mut packets = Packets::new(answer);
    let mut file = File::create(into).await?;
    let (mut size, mut in_pack) = (0, false);
    while let Some(packet) = packets.next(remote).await? {
        let Packet::Data(line) = packet else { continue };
        if !in_pack {
            in_pack = line.trim_ascii_end() == b"packfile";
            if let Some(why) = line.strip_prefix(b"ERR ") {
                return Err(refusal(remote, why));
            }
            continue;
        }
        match line.split_first() {
            Some((1, data)) => {
                file.write_all(data).await?;
                size += data.len() as u64;
            }
            Some((3, why)) => return Err(refusal(remote, why)),
            // Progress messages.
            _ => {}
        }
    }
    file.flush().await?;
    if size == 0 {
        return Err(remote.failed("it sent no pack", true));
    }
    Ok(size)
}

/// The server's own reason for refusing a request.
fn refusal(remote: &Remote, why: &[u8]) -> BuildError {
    remote.failed(String::from_utf8_lossy(why).trim(), false)
}

fn command(name: &str, arguments: &[String]) -> Vec<u8> {
    let mut request = Vec::new();
    packet(&mut request, &format!("command={name}\n"));
    packet(&mut request, "agent=git/2.0-clawdeploy\n");
    request.extend_from_slice(b"0001");
    for argument in arguments {
        packet(&mut request, &format!("{argument}\n"));
    }
    request
}

fn packet(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(format!("{:04x}{text}", text.len() + 4).as_bytes());
}

/// Reads an answer line by line.
struct Packets {
    answer: Answer,
    buffer: BytesMut,
}

impl Packets {
    fn new(answer: Answer) -> Self {
        Self { answer, buffer: BytesMut::new() }
    }

    /// The next line. `None` at the end of the answer.
    async fn next(&mut self, remote: &Remote) -> Result<Option<Packet>, BuildError> {
        loop {
            match cut(&mut self.buffer) {
                Ok(Some(packet)) => return Ok(Some(packet)),
                Ok(None) => {}
                Err(()) => return Err(remote.failed("it does not speak git's protocol", false)),
            }
            match self.answer.piece().await? {
                Some(piece) => self.buffer.extend_from_slice(&piece),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(remote.failed("it closed the connection too early", true)),
            }
        }
    }
}

/// Takes a line off the front. `None`: it is still incomplete.
pub(super) fn cut(buffer: &mut BytesMut) -> Result<Option<Packet>, ()> {
    let Some(digits) = buffer.get(..4) else { return Ok(None) };
    // `from_str_radix` alone would accept a sign.
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(());
    }
    let length = std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text, 16).ok()).ok_or(())?;
    match length {
        0 => {
            buffer.advance(4);
            Ok(Some(Packet::Flush))
        }
        1 => {
            buffer.advance(4);
            Ok(Some(Packet::Delimiter))
        }
        // 2 ends a response of a stateless connection that this client does not use; 3 does not exist.
        2 | 3 => Err(()),
        _ if buffer.len() < length => Ok(None),
        _ => {
            buffer.advance(4);
            Ok(Some(Packet::Data(buffer.split_to(length - 4).freeze())))
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{io::AsyncReadExt as _, net::TcpListener};

    use super::*;

    #[test]
    fn lines_come_apart_wherever_they_are_cut() {
        let mut buffer = BytesMut::from(&b"0008abcd00010000000"[..]);
        assert_eq!(cut(&mut buffer), Ok(Some(Packet::Data(Bytes::from_static(b"abcd")))));
        assert_eq!(cut(&mut buffer), Ok(Some(Packet::Delimiter)));
        assert_eq!(cut(&mut buffer), Ok(Some(Packet::Flush)));
        assert_eq!(cut(&mut buffer), Ok(None));
        for bad in ["<htm", "+00a123456", "0002", "0003"] {
            assert_eq!(cut(&mut BytesMut::from(bad)), Err(()), "{bad}");
        }
        assert_eq!(cut(&mut BytesMut::from(&b"0009abcd"[..])), Ok(None));
    }

    /// Without this, a server's refusal read as "there is no such branch".
    #[tokio::test]
    async fn a_refusal_to_list_refs_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x.git", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            for answer in ["000eversion 2\n0000", "0016ERR access denied\n"] {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut request = BytesMut::new();
                while !request.windows(4).any(|four| four == b"\r\n\r\n") {
                    client.read_buf(&mut request).await.unwrap();
                }
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
                client.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
            }
        });
        let remote = Remote::resolve(&url, true).await.unwrap();
        let refused = find_ref(&remote, &GitRef::parse("main").unwrap()).await.unwrap_err();
        assert!(
            matches!(&refused, BuildError::Fetch { why, transient: false, .. } if why == "access denied"),
            "{refused:?}"
        );
    }

    #[test]
    fn a_command() {
        let request = command("ls-refs", &["peel".to_owned()]);
        assert_eq!(request, b"0014command=ls-refs\n001dagent=git/2.0-clawdeploy\n00010009peel\n");
    }
}
