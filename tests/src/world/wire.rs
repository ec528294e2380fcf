//! HTTP/1.1 by hand: a request as its bytes, to be spoiled one at a time.

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::answer::problem_type;
use super::socket::PATIENCE;
use super::{Ask, World};

/// A request line with its header lines and its body.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The request line.
    pub line: String,
    /// The header lines.
    pub fields: Vec<Vec<u8>>,
    /// The body as it goes out.
    pub body: Vec<u8>,
}

impl Wire {
    /// Writes a request as a decent client would.
    #[must_use]
    pub fn of(world: &World, ask: &Ask) -> Self {
        let line = format!("{} {} HTTP/1.1", ask.method, ask.target);
        let mut wire = Self { line, fields: Vec::new(), body: ask.body.to_vec() };
        if !ask.has("host") {
            wire = wire.field(&format!("host: {}", authority(world, ask)));
        }
        for (name, value) in &ask.headers {
            wire.fields.push([name.as_str().as_bytes(), b": ", value.as_bytes()].concat());
        }
        if !wire.body.is_empty() {
            wire = wire.field(&format!("content-length: {}", ask.body.len()));
        }
        wire
    }

    /// Adds a header line.
    #[must_use]
    pub fn field(mut self, line: &str) -> Self {
        self.fields.push(line.as_bytes().to_vec());
        self
    }

    /// Removes the header lines of a name.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        let named = |line: &[u8]| line.get(..=name.len()).is_some_and(|start| start == format!("{name}:").as_bytes());
        self.fields.retain(|line| !named(line));
        self
    }

    /// Replaces the request line.
    #[must_use]
    pub fn asking(mut self, line: &str) -> Self {
        line.clone_into(&mut self.line);
        self
    }

    /// Replaces the body as it goes out; says nothing of its length.
    #[must_use]
    pub fn carrying(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.without("content-length")
    }

    /// Sends the body in chunks of this many bytes.
    #[must_use]
    pub fn chunked(self, size: usize) -> Self {
        let mut out = Vec::new();
        for piece in self.body.chunks(size) {
            out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"0\r\n\r\n");
        self.carrying(out).field("transfer-encoding: chunked")
    }

    /// Returns the head: everything before the body.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = self.line.as_bytes().to_vec();
        for field in &self.fields {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend_from_slice(field);
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    }

    /// Returns everything.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}

/// Returns what a request's `Host` should be.
#[must_use]
pub fn authority<'w>(world: &'w World, ask: &Ask) -> &'w str {
    world.external(ask.door).split_once("://").unwrap().1
}

/// An answer as it stood on the wire; status 0 if the server closed without one.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The status of the last answer; interim ones (100) are passed over.
    pub status: u16,
    /// Everything, interim answers too.
    pub text: String,
    /// Whether the server has closed the connection.
    pub closed: bool,
}

impl Heard {
    /// Tells whether it is the problem of this name.
    #[must_use]
    pub fn is_problem(&self, name: &str) -> bool {
        self.text.contains(&format!("{}\"", problem_type(name)))
    }

    /// Tells whether the request was refused: by a 4xx, or by closing.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        (400..500).contains(&self.status) || (self.status == 0 && self.closed)
    }
}

/// Reads one answer to its end, or until the server closes.
pub async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Heard {
    let mut bytes = Vec::new();
    let reading = async {
        let mut buffer = [0; 4096];
        loop {
            if let Some(status) = complete(&bytes) {
                return (status, false);
            }
            match stream.read(&mut buffer).await {
                Ok(count) if count > 0 => bytes.extend_from_slice(buffer.get(..count).unwrap()),
                _ => return (first_status(&bytes), true),
            }
        }
    };
    let read = tokio::time::timeout(PATIENCE, reading).await;
    let (status, closed) = read.unwrap_or_else(|_| panic!("neither an answer nor a close"));
    Heard { status, text: String::from_utf8_lossy(&bytes).into_owned(), closed }
}

fn first_status(bytes: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(bytes);
    let code = text.strip_prefix("HTTP/1.1 ").or_else(|| text.strip_prefix("HTTP/1.0 "));
    code.and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// Returns the status of the first final answer, once it is there in full.
fn complete(bytes: &[u8]) -> Option<u16> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let (head, body) = bytes.split_at(end);
    let status = first_status(head);
    if (100..200).contains(&status) {
        return complete(body);
    }
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let chunked = head.contains("transfer-encoding: chunked");
    let whole = match length.and_then(|length| length.trim().parse::<usize>().ok()) {
        Some(length) => body.len() >= length,
        None => !chunked || body.ends_with(b"0\r\n\r\n"),
    };
    whole.then_some(status)
}
