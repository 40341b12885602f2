//! The names and values of a query or a form, decoded to the very bytes that were meant, in the order they came.
//!
//! In: `a=b&c=d` as it stood in the target or the body. Out: fields, repeated names kept. Bytes that are no UTF-8 and
//! broken escapes stay what they are: a signature was made over them.

/// More fields than this are no form (`channel-manifest.md` §11).
pub(super) const MAX_FIELDS: usize = 1000;

/// The request has more than [`MAX_FIELDS`] fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyFields;

/// Where one field lies in the decoded bytes: the value follows its name without a gap, which is how `sorted-concat`
/// wants to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    start: usize,
    middle: usize,
    end: usize,
}

/// All fields: two allocations, however many there are.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

impl Pairs {
    /// Reads `application/x-www-form-urlencoded`: `+` is a space, `%41` is `A`, empty segments are nothing.
    pub(super) fn url_encoded(raw: &[u8]) -> Result<Self, TooManyFields> {
        let mut pairs = Self { bytes: Vec::with_capacity(raw.len()), fields: Vec::with_capacity(24) };
        for segment in raw.split(|byte| *byte == b'&').filter(|segment| !segment.is_empty()) {
            let equals = segment.iter().position(|byte| *byte == b'=');
            let (name, value) = equals.map_or((segment, &b""[..]), |at| (&segment[..at], &segment[at + 1..]));
            let start = pairs.bytes.len();
            decode(name, &mut pairs.bytes);
            let middle = pairs.bytes.len();
            decode(value, &mut pairs.bytes);
            pairs.add(Field { start, middle, end: pairs.bytes.len() })?;
        }
        Ok(pairs)
    }

    /// Adds a field that needs no decoding.
    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), TooManyFields> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.add(Field { start, middle, end: self.bytes.len() })
    }

    fn add(&mut self, field: Field) -> Result<(), TooManyFields> {
        if self.fields.len() == MAX_FIELDS {
            return Err(TooManyFields);
        }
        self.fields.push(field);
        Ok(())
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(super) fn name(&self, field: Field) -> &[u8] {
        &self.bytes[field.start..field.middle]
    }

    pub(super) fn value(&self, field: Field) -> &[u8] {
        &self.bytes[field.middle..field.end]
    }

    /// Name and value without a separator.
    pub(super) fn both(&self, field: Field) -> &[u8] {
        &self.bytes[field.start..field.end]
    }

    /// Every value of a name, in order.
    pub(super) fn values<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.fields.iter().filter(move |field| self.name(**field) == name).map(|field| self.value(*field))
    }
}

/// Appends the decoded text.
pub(super) fn decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'%' | b'+')) {
        out.extend_from_slice(&rest[..at]);
        if rest[at] == b'+' {
            out.push(b' ');
            rest = &rest[at + 1..];
        } else if let Some(byte) = escaped(&rest[at + 1..]) {
            out.push(byte);
            rest = &rest[at + 3..];
        } else {
            out.push(b'%');
            rest = &rest[at + 1..];
        }
    }
    out.extend_from_slice(rest);
}

fn escaped(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
}

/// Writes a name or a value so that [`decode`] gives it back.
pub(super) fn encode(text: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(raw: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pairs = Pairs::url_encoded(raw).expect("few fields");
        pairs.fields().iter().map(|field| (pairs.name(*field).to_vec(), pairs.value(*field).to_vec())).collect()
    }

    #[test]
    fn fields_are_decoded_to_the_bytes_that_were_meant() {
        let fields = read(b"a=%2B+%41&&b&c==%zz%4&%FF=%ff&a=2");
        let wanted: [(&[u8], &[u8]); 5] =
            [(b"a", b"+ A"), (b"b", b""), (b"c", b"=%zz%4"), (b"\xff", b"\xff"), (b"a", b"2")];
        let wanted: Vec<_> = wanted.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        assert_eq!(fields, wanted);
    }

    #[test]
    fn a_thousand_fields_are_a_form_and_one_more_is_none() {
        assert!(Pairs::url_encoded("a&".repeat(MAX_FIELDS).as_bytes()).is_ok());
        assert_eq!(Pairs::url_encoded("a&".repeat(MAX_FIELDS + 1).as_bytes()).err(), Some(TooManyFields));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_bytes_can_be_read_and_what_is_written_reads_back(raw: Vec<u8>, name: Vec<u8>, value: Vec<u8>) {
            let _ = Pairs::url_encoded(&raw);
            let written = format!("{}={}", encode(&name), encode(&value));
            prop_assert_eq!(read(written.as_bytes()), vec![(name, value)]);
        }
    }
}
