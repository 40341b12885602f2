//! Receipts for the tests of the journal.

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::receipt::{
    ChannelId, Check, CheckResult, Nonce, Proves, Receipt, ReceiptId, Request, Verdict, VerdictResult,
};

/// A second on 1 January 2026.
pub(super) const BEGIN: i64 = 1_767_225_600;

/// Receipt `number`, received `number` seconds after [`BEGIN`].
pub(super) fn receipt(number: u64, body: &[u8]) -> Receipt {
    let millis = (BEGIN as u64 + number) * 1000;
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    Receipt {
        id: ReceiptId(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()),
        channel: ChannelId::new("sms-1708").expect("a good id"),
        endpoint: "main".to_owned(),
        received_at: Timestamp::from_second(BEGIN + number as i64).expect("in range"),
        remote: Some([192, 0, 2, 1].into()),
        draw: *Uuid::from_u128(u128::from(number)).as_bytes(),
        request: Request {
            method: "POST".to_owned(),
            target: "/in/sms-1708?x=%41".to_owned(),
            headers: vec![("content-type".to_owned(), b"text/plain".to_vec()), ("x-odd".to_owned(), vec![0xFF, 0])],
            body: Bytes::copy_from_slice(body),
        },
    }
}

pub(super) fn verdict() -> Verdict {
    Verdict {
        result: VerdictResult::Pass,
        proves: Proves { sender: true, content: true, freshness: false },
        detail: String::new(),
        checks: vec![Check { method: "hmac_sha1".to_owned(), result: CheckResult::Pass, detail: None }],
        nonce: Some(Nonce { key: [7; 16], body: [8; 16], ttl_seconds: 300 }),
    }
}
