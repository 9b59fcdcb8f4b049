//! BuildKit's progress as the engine passes it on: protobuf in base64.
//!
//! Of `moby.buildkit.v1.StatusResponse` only four fields of a vertex and two of a log are read, whose numbers have not
//! changed since the first version. A library for the whole message would be larger than the rest of the worker.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Changes since the last message.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) vertices: Vec<Vertex>,
    pub(super) logs: Vec<Log>,
}

/// A unit of work, `[stage 2/5] RUN …`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Vertex {
    pub(super) digest: String,
    pub(super) name: String,
    pub(super) started: bool,
    pub(super) completed: bool,
    pub(super) cached: bool,
    pub(super) error: String,
}

impl Vertex {
    /// Whether it is not a step of the Dockerfile.
    pub(super) fn is_internal(&self) -> bool {
        self.name.starts_with("[internal]")
    }
}

/// Output of a unit of work.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    pub(super) vertex: String,
    pub(super) bytes: Vec<u8>,
}

impl Trace {
    /// `None`: not such a message.
    pub(super) fn decode(base64: &str) -> Option<Self> {
        let bytes = STANDARD.decode(base64).ok()?;
        let mut trace = Self::default();
        for field in Fields(&bytes) {
            match field? {
                (1, Value::Bytes(bytes)) => trace.vertices.push(vertex(bytes)?),
                (3, Value::Bytes(bytes)) => trace.logs.push(log(bytes)?),
                _ => {}
            }
        }
        Some(trace)
    }
}

fn vertex(bytes: &[u8]) -> Option<Vertex> {
    let mut vertex = Vertex::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(text)) => vertex.digest = String::from_utf8_lossy(text).into_owned(),
            (3, Value::Bytes(text)) => vertex.name = String::from_utf8_lossy(text).into_owned(),
            (4, Value::Number(cached)) => vertex.cached = cached != 0,
            (5, Value::Bytes(_)) => vertex.started = true,
            (6, Value::Bytes(_)) => vertex.completed = true,
            (7, Value::Bytes(text)) => vertex.error = String::from_utf8_lossy(text).into_owned(),
            _ => {}
        }
    }
    Some(vertex)
}

fn log(bytes: &[u8]) -> Option<Log> {
    let mut log = Log::default();
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(text)) => log.vertex = String::from_utf8_lossy(text).into_owned(),
            (4, Value::Bytes(text)) => log.bytes = text.to_vec(),
            _ => {}
        }
    }
    Some(log)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a protobuf message with their numbers. Yields `None` once for invalid bytes.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Bytes(self.take(8)?),
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(usize::try_from(length).ok()?)?)
            }
            5 => Value::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Recorded from an engine 20.10.
    #[test]
    fn messages_of_an_engine() {
        let begun = "CqsBCkdzaGEyNTY6YjgyMGYwMGFlN2M0YzA4YmMwY2JiOTA2OTA4ZWU3OWYxYmE1MDI4OWZiMmM0NzY5YWM3YzZhMjM0ZDM5M2JlYRpGW2ludGVybmFsXSBsb2FkIG1ldGFkYXRhIGZvciBkb2NrZXIuaW8vY2xhd2RlcGxveS9iYXNlOmJvb2t3b3JtLW5vZGUyNCoLCLDim9gGEILzm28yCwiw4pvYBhCFv6dv";
        let trace = Trace::decode(begun).unwrap();
        let vertex = &trace.vertices[0];
        assert_eq!(vertex.name, "[internal] load metadata for docker.io/clawdeploy/base:bookworm-node24");
        assert!(vertex.digest.starts_with("sha256:b820f00a") && vertex.started && vertex.completed && !vertex.cached);
        let said = "GmYKR3NoYTI1NjowNzY4MjJmMWViZTY2OTczODBhYmE0NmZjNWRmNTIyNTk4YzU2NDZkNzQ1YzkwYWE3NGIxZWM1Yjc1YmNjY2RjEgwIsOKb2AYQztSBzQIYASILaGVsbG8gbGluZQo=";
        let trace = Trace::decode(said).unwrap();
        assert_eq!(trace.logs[0].bytes, b"hello line\n");
        assert!(trace.logs[0].vertex.starts_with("sha256:076822f1"));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for bad in ["", "CgU=", "/////////////w==", "not base64!", "Cg=="] {
            let decoded = Trace::decode(bad);
            assert!(decoded.is_none() || decoded == Some(Trace::default()), "{bad:?}");
        }
    }
}
