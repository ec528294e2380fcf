//! Reads a bounded body, once.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use policies::code::Code;
use spine::body::{Body, BodyFailure};
use spine::error::Rejection;

/// Reads all of `body`, at most `bytes_max` bytes, until `deadline`.
pub(crate) async fn read(mut body: Body, bytes_max: usize, deadline: Instant) -> Result<Bytes, Rejection> {
    // What is announced as too long is not waited for.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let reading = async {
        let mut first: Option<Bytes> = None;
        let mut more = BytesMut::new();
        let mut length = 0_usize;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|failure| refuse(&failure, bytes_max))?.into_data() else { continue };
            length = length.saturating_add(data.len());
            if length > bytes_max {
                return Err(too_large(bytes_max));
            }
            // Most bodies come in one frame, which then is not copied.
            match first.take() {
                None if more.is_empty() => first = Some(data),
                None => more.extend_from_slice(&data),
                Some(before) => {
                    more.extend_from_slice(&before);
                    more.extend_from_slice(&data);
                }
            }
        }
        Ok(first.unwrap_or_else(|| more.freeze()))
    };
    tokio::time::timeout_at(deadline.into(), reading)
        .await
        .unwrap_or_else(|_| Err(Rejection::new(Code::BodyTooSlow, "The body did not come in time.")))
}

/// Refuses a body of more than `bytes_max` bytes.
pub(crate) fn too_large(bytes_max: usize) -> Rejection {
    Rejection::new(Code::PayloadTooLarge, format!("The body may have at most {bytes_max} bytes here."))
}

/// Puts a body's failure into an answer.
pub(crate) fn refuse(failure: &BodyFailure, bytes_max: usize) -> Rejection {
    match failure {
        BodyFailure::TooLarge => too_large(bytes_max),
        BodyFailure::TooSlow => Rejection::new(Code::BodyTooSlow, "The body came too slowly."),
        BodyFailure::Broken(why) => {
            Rejection::new(Code::BodyMalformed, "The body broke off or is badly framed.").because(why)
        }
    }
}
