//! What is read of git servers, engines and foreign Dockerfiles, for the fuzz targets `git_packets` and `docker_streams`.

use bytes::BytesMut;

use super::{buildkit::Trace, dockerfile, protocol};

/// Lines of git's protocol in an answer that comes in these pieces: each as its content, `0000` and `0001` for the marks between.
/// `None`: it is not git's protocol. With it what is left of a line that has not all come.
pub fn packets<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<Vec<u8>>, Vec<u8>)> {
    let (mut buffer, mut found) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while let Some(packet) = protocol::cut(&mut buffer).ok()? {
            found.push(match packet {
                protocol::Packet::Data(line) => line.to_vec(),
                protocol::Packet::Delimiter => b"0001".to_vec(),
                protocol::Packet::Flush => b"0000".to_vec(),
            });
        }
    }
    Some((found, buffer.to_vec()))
}

/// How many steps and how many bytes of output a message of `BuildKit`'s tells of.
pub fn trace(base64: &str) -> Option<(usize, usize)> {
    let trace = Trace::decode(base64)?;
    Some((trace.vertices.len(), trace.logs.iter().map(|log| log.bytes.len()).sum()))
}

/// A Dockerfile as it is built; `None`: it is refused.
pub fn dockerfile(text: &str, label: &str) -> Option<String> {
    dockerfile::look(text).ok().map(|_| dockerfile::marked(text, label))
}
