//! HTTP/2 by hand: frames as no decent client sends them. Header fields go out as plain literals, never compressed.

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::socket::PATIENCE;

/// Frame types of RFC 9113, section 6.
pub mod kind {
    /// DATA.
    pub const DATA: u8 = 0;
    /// HEADERS.
    pub const HEADERS: u8 = 1;
    /// RST_STREAM.
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS.
    pub const SETTINGS: u8 = 4;
    /// PING.
    pub const PING: u8 = 6;
    /// GOAWAY.
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE.
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION.
    pub const CONTINUATION: u8 = 9;
}

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What fits one frame of a header block (RFC 9113, 4.2).
const BLOCK_BYTES_MAX: usize = 16 * 1024;

/// A frame.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What a stream or a connection came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The status, if there was an answer.
    pub status: Option<u16>,
    /// The body, as text.
    pub body: String,
    /// The code of a RST_STREAM.
    pub reset: Option<u32>,
    /// The code of a GOAWAY.
    pub gone: Option<u32>,
    /// Whether the server closed the connection.
    pub closed: bool,
}

impl Outcome {
    /// Tells whether the request was refused: by a 4xx, a reset, or the end of the connection.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self.status {
            Some(status) => (400..500).contains(&status),
            None => self.reset.is_some() || self.gone.is_some() || self.closed,
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Frames<S> {
    stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    /// Says the preface and these settings.
    pub async fn begin(stream: S, settings: &[(u16, u32)]) -> Self {
        let mut frames = Self { stream, read: Vec::new() };
        frames.write(PREFACE).await;
        let setting = |(id, value): &(u16, u32)| [id.to_be_bytes().to_vec(), value.to_be_bytes().to_vec()].concat();
        frames.send(kind::SETTINGS, 0, 0, &settings.iter().flat_map(setting).collect::<Vec<u8>>()).await;
        frames
    }

    /// Gives the stream back, for who answers nothing more.
    pub fn into_stream(self) -> S {
        self.stream
    }

    /// Writes bytes as they are; a server that has closed already is no error.
    pub async fn write(&mut self, bytes: &[u8]) {
        let writing = async {
            let _ = self.stream.write_all(bytes).await;
            let _ = self.stream.flush().await;
        };
        tokio::time::timeout(PATIENCE, writing).await.unwrap();
    }

    /// Sends a frame.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.write(&[&head, payload].concat()).await;
    }

    /// Sends a request's header fields, pseudo-headers first, over as many frames as they need.
    pub async fn fields(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) {
        let block: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value)).collect();
        let pieces: Vec<&[u8]> = block.chunks(BLOCK_BYTES_MAX).collect();
        for (number, piece) in pieces.iter().enumerate() {
            let first = if number == 0 { kind::HEADERS } else { kind::CONTINUATION };
            let last = if number + 1 == pieces.len() { END_HEADERS } else { 0 };
            let end = if end && number == 0 { END_STREAM } else { 0 };
            self.send(first, last | end, stream, piece).await;
        }
    }

    /// Sends a part of a body.
    pub async fn data(&mut self, stream: u32, bytes: &[u8], end: bool) {
        self.send(kind::DATA, u8::from(end), stream, bytes).await;
    }

    /// Reads the next frame; none once the server has closed.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.parse() {
                return Some(frame);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(count) if count > 0 => self.read.extend_from_slice(buffer.get(..count).unwrap()),
                _ => return None,
            }
        }
    }

    fn parse(&mut self) -> Option<Frame> {
        let (head, rest) = self.read.split_at_checked(9)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
        let length = number(head.get(..3)?) as usize;
        let payload = rest.get(..length)?.to_vec();
        let frame = Frame { kind: *head.get(3)?, flags: *head.get(4)?, stream: number(head.get(5..)?), payload };
        self.read.drain(..9 + length);
        Some(frame)
    }

    /// Reads until a stream has come to its end; settings and pings are answered meanwhile.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        self.read_until(Some(stream)).await
    }

    /// Reads until the server closes; settings and pings are answered meanwhile.
    pub async fn end(&mut self) -> Outcome {
        self.read_until(None).await
    }

    async fn read_until(&mut self, stream: Option<u32>) -> Outcome {
        let mut outcome = Outcome::default();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let read = tokio::time::timeout_at(deadline, self.next()).await;
            let Some(frame) = read.unwrap_or_else(|_| panic!("the server keeps the connection open: {outcome:?}"))
            else {
                outcome.closed = true;
                return outcome;
            };
            if self.housekeeping(&frame).await {
                continue;
            }
            let code = |from: usize| frame.payload.get(from..from + 4).and_then(|bytes| bytes.try_into().ok());
            match frame.kind {
                kind::GOAWAY => outcome.gone = code(4).map(u32::from_be_bytes),
                kind::RST_STREAM => outcome.reset = code(0).map(u32::from_be_bytes),
                kind::HEADERS => outcome.status = outcome.status.or(status(&frame.payload)),
                kind::DATA => outcome.body.push_str(&String::from_utf8_lossy(&frame.payload)),
                _ => {}
            }
            let done = frame.kind == kind::RST_STREAM
                || (matches!(frame.kind, kind::HEADERS | kind::DATA) && frame.flags & END_STREAM != 0);
            if done && stream == Some(frame.stream) {
                return outcome;
            }
        }
    }

    async fn housekeeping(&mut self, frame: &Frame) -> bool {
        match frame.kind {
            kind::SETTINGS | kind::PING if frame.flags & ACK == 0 => {
                let echo = if frame.kind == kind::PING { frame.payload.clone() } else { Vec::new() };
                self.send(frame.kind, ACK, 0, &echo).await;
                true
            }
            kind::SETTINGS | kind::PING => true,
            _ => false,
        }
    }
}

/// Writes a field as a literal that goes into no table (RFC 7541, 6.2.2).
#[must_use]
pub fn literal(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        let mut length = text.len();
        if length < 127 {
            out.push(u8::try_from(length).unwrap());
        } else {
            out.push(127);
            length -= 127;
            while length >= 128 {
                out.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            out.push(u8::try_from(length).unwrap());
        }
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Reads `:status`, which comes first: one of seven table entries, or a literal of three digits.
fn status(block: &[u8]) -> Option<u16> {
    let known = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [index @ 0x88..=0x8e, ..] => known.get(usize::from(index - 0x88)).copied(),
        [0x48 | 0x08 | 0x18, length, rest @ ..] => {
            let text = rest.get(..usize::from(length & 0x7f))?;
            let digits = if length & 0x80 == 0 { text.to_vec() } else { unpacked(text) };
            std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok()
        }
        _ => None,
    }
}

/// Reads digits in the code of RFC 7541, appendix B: 0 to 2 have five bits, the others six.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum << 1 | bit);
    let (mut at, mut digits) = (0, Vec::new());
    while let Some(five) = bits.get(at..at + 5) {
        if number(five) <= 2 {
            digits.push(b'0' + number(five));
            at += 5;
            continue;
        }
        let Some(six) = bits.get(at..at + 6).map(number).filter(|six| (0x19..=0x1f).contains(six)) else { break };
        digits.push(b'3' + six - 0x19);
        at += 6;
    }
    digits
}
