//! A receipt and its verdict as the payload of a record, and back. Compact, and read with checks at every step: the bytes
//! may be from another version or from a hand that is not ours.

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::frame::Frame;
use crate::receipt::{ChannelId, Receipt, ReceiptId, Request, Verdict};

/// Version of the payload.
const VERSION: u8 = 1;

/// What the head of the record carries of a receipt.
pub(super) fn frame_of(receipt: &Receipt, body: u64) -> Frame {
    Frame { micros: receipt.received_at.as_microsecond(), id: *receipt.id.0.as_bytes(), body, ..Frame::default() }
}

/// About how many bytes [`encode`] writes.
pub(super) fn size_hint(receipt: &Receipt) -> usize {
    let request = &receipt.request;
    let headers: usize = request.headers.iter().map(|(name, value)| name.len() + value.len() + 8).sum();
    512 + request.target.len() + headers
}

/// Where the body of a receipt goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyPlace {
    /// Into the payload.
    Inside,
    /// Into a file of its own; the payload has its length.
    Outside,
}

/// Writes the payload.
pub(super) fn encode(receipt: &Receipt, verdict: &[u8], place: BodyPlace, out: &mut Vec<u8>) {
    let request = &receipt.request;
    out.push(VERSION);
    let micros = receipt.received_at.as_microsecond();
    let rest = receipt.received_at.as_nanosecond() - i128::from(micros) * 1000;
    out.extend_from_slice(&(rest as i16).to_le_bytes());
    out.extend_from_slice(&receipt.draw);
    put(out, receipt.channel.as_str().as_bytes());
    put(out, receipt.endpoint.as_bytes());
    match receipt.remote {
        None => put(out, b""),
        Some(std::net::IpAddr::V4(address)) => put(out, &address.octets()),
        Some(std::net::IpAddr::V6(address)) => put(out, &address.octets()),
    }
    put(out, verdict);
    put(out, request.method.as_bytes());
    put(out, request.target.as_bytes());
    out.extend_from_slice(&(request.headers.len() as u32).to_le_bytes());
    for (name, value) in &request.headers {
        put(out, name.as_bytes());
        put(out, value);
    }
    out.extend_from_slice(&(request.body.len() as u64).to_le_bytes());
    if place == BodyPlace::Inside {
        out.extend_from_slice(&request.body);
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// A payload that was read; the body of the receipt is empty when it lies in a file of its own.
#[derive(Debug, PartialEq)]
pub(super) struct Decoded {
    pub receipt: Receipt,
    pub verdict: Verdict,
    pub body_length: u64,
}

/// None when the bytes are no payload that this version knows.
pub(super) fn decode(frame: &Frame, payload: &[u8]) -> Option<Decoded> {
    let mut fields = Fields(payload);
    if fields.array::<1>()? != [VERSION] {
        return None;
    }
    let rest = i64::from(i16::from_le_bytes(fields.array()?));
    let received_at = Timestamp::from_microsecond(frame.micros).ok()?;
    let received_at = received_at.checked_add(SignedDuration::from_nanos(rest)).ok()?;
    let draw = fields.array()?;
    let channel = ChannelId::new(fields.text()?).ok()?;
    let endpoint = fields.text()?;
    let remote = match fields.bytes()? {
        [] => None,
        octets => Some(
            <[u8; 4]>::try_from(octets)
                .map(Into::into)
                .or_else(|_| <[u8; 16]>::try_from(octets).map(Into::into))
                .ok()?,
        ),
    };
    let verdict = serde_json::from_slice(fields.bytes()?).ok()?;
    let method = fields.text()?;
    let target = fields.text()?;
    let count = u32::from_le_bytes(fields.array()?) as usize;
    // A header takes eight bytes at least: a count that lies allocates nothing.
    let mut headers = Vec::with_capacity(count.min(fields.0.len() / 8));
    for _ in 0..count {
        headers.push((fields.text()?, fields.bytes()?.to_vec()));
    }
    let body_length = u64::from_le_bytes(fields.array()?);
    let body = if frame.body == 0 && fields.0.len() as u64 == body_length {
        Bytes::copy_from_slice(fields.0)
    } else if frame.body != 0 && fields.0.is_empty() {
        Bytes::new()
    } else {
        return None;
    };
    let request = Request { method, target, headers, body };
    let id = ReceiptId(Uuid::from_bytes(frame.id));
    Some(Decoded {
        receipt: Receipt { id, channel, endpoint, received_at, remote, draw, request },
        verdict,
        body_length,
    })
}

/// The rest of a payload.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*array)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::journal::samples::{receipt, verdict};

    fn encoded(receipt: &Receipt) -> Vec<u8> {
        let mut out = Vec::new();
        encode(receipt, &serde_json::to_vec(&verdict()).expect("JSON"), BodyPlace::Inside, &mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn a_receipt_reads_back_as_it_was(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            value in proptest::collection::vec(any::<u8>(), 0..40),
            nanos in -1_000_000_000_000_000_000i128..4_000_000_000_000_000_000,
            remote in any::<Option<std::net::IpAddr>>(),
        ) {
            let mut receipt = receipt(1, &body);
            receipt.received_at = Timestamp::from_nanosecond(nanos).expect("in range");
            receipt.remote = remote;
            receipt.request.headers.push(("x-odd".to_owned(), value));
            let decoded = decode(&frame_of(&receipt, 0), &encoded(&receipt)).expect("it decodes");
            prop_assert_eq!(decoded, Decoded { receipt, verdict: verdict(), body_length: body.len() as u64 });
        }

        #[test]
        fn foreign_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() { *first = VERSION; }
            let _ = decode(&Frame::default(), &bytes);
        }

        #[test]
        fn a_payload_that_is_cut_is_no_payload(cut in any::<prop::sample::Index>()) {
            let whole = encoded(&receipt(1, b"body"));
            let cut = cut.index(whole.len());
            prop_assert_eq!(decode(&Frame::default(), &whole[..cut]), None);
        }
    }
}
