//! What a letter may cost. Whatever passes a limit still gives a message: the rest is kept as one file, or cut and flagged.

/// The largest letter that is read at all, in bytes.
pub(super) const LETTER: usize = 64 << 20;
/// Levels of multiparts and forwarded letters; what lies deeper is one file.
pub(super) const DEPTH: usize = 32;
/// Parts of a letter; what comes behind them is one file.
pub(super) const PARTS: usize = 1_000;
/// Bytes of one block of headers that are looked at.
pub(super) const HEAD: usize = 1 << 20;
/// Fields of one block of headers.
pub(super) const FIELDS: usize = 1_000;
/// Bytes of one field that are looked at.
pub(super) const FIELD: usize = 64 << 10;
/// Bytes of one field with a grammar that is not linear (dates, content types).
pub(super) const SHORT_FIELD: usize = 8 << 10;
/// Bytes of a boundary; RFC 2046 allows 70.
pub(super) const BOUNDARY: usize = 200;
/// Parameters of a content type, continuations counted one by one.
pub(super) const PARAMETERS: usize = 64;
/// Bytes of one body that become text.
pub(super) const BODY: usize = 2 << 20;
/// Bytes of the text of the whole letter.
pub(super) const TEXT: usize = 4 << 20;
/// HTML that is laid out with care, in bytes and in tags; more is only stripped of its tags.
pub(super) const HTML: usize = 256 << 10;
pub(super) const TAGS: usize = 10_000;
/// Elements within each other that are laid out; the tags of deeper ones are dropped.
pub(super) const HTML_DEPTH: usize = 60;
/// Attachments that are listed.
pub(super) const ATTACHMENTS: usize = 100;
/// References that are kept, the last ones.
pub(super) const REFERENCES: usize = 50;
/// Bytes of an identifier of a letter (RFC 5322 allows 998 a line).
pub(super) const IDENTIFIER: usize = 998;
/// Inline images smaller than this are decoration (`complaint-format.md` §8).
pub(super) const DECORATION: u64 = 5 << 10;
/// Reports on single recipients in one letter.
pub(super) const REPORTS: usize = 100;
