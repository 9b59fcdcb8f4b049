//! Parsers of data from git servers, engines and foreign Dockerfiles, for the fuzz targets `git_packets` and
//! `docker_streams`.

use bytes::BytesMut;

use super::{buildkit::Trace, dockerfile, protocol};

/// Parses git packet lines from an answer in these pieces: the content of each line, with `0000` and `0001` for the
/// marks in between. `None`: it is not git's protocol. Also returns the rest of an incomplete line.
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

/// The number of steps and of output bytes in a BuildKit message.
pub fn trace(base64: &str) -> Option<(usize, usize)> {
    let trace = Trace::decode(base64)?;
    Some((trace.vertices.len(), trace.logs.iter().map(|log| log.bytes.len()).sum()))
}

/// A Dockerfile as it would be built. `None`: it is refused.
pub fn dockerfile(text: &str, label: &str) -> Option<String> {
    dockerfile::look(text).ok().map(|_| dockerfile::marked(text, label))
}
