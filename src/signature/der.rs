//! As much of DER (X.690) as it takes to find a public key in a certificate (RFC 5280) or beside its algorithm, and to
//! write one. Bounded by its input: every step takes at least two bytes, nothing recurses.

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;
/// `[0] EXPLICIT`, the version of a certificate.
const VERSION: u8 = 0xa0;

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// What a `SubjectPublicKeyInfo` says that its key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rsa,
    P256,
    Ed25519,
}

/// Takes one value off the front: tag, content, what follows. Only definite lengths, in at most four bytes.
pub(super) fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = bytes else { return None };
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0_usize, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The content of a value with the tag wanted, and what follows.
pub(super) fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = value(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// The key bytes inside a `SubjectPublicKeyInfo`: what ring wants (RFC 8017 for RSA, a point for P-256).
pub(super) fn subject_public_key(spki: &[u8]) -> Option<(Algorithm, &[u8])> {
    let (info, _) = expect(spki, SEQUENCE)?;
    let (algorithm, info) = expect(info, SEQUENCE)?;
    let (object, parameters) = expect(algorithm, OBJECT)?;
    let algorithm = match object {
        RSA => Algorithm::Rsa,
        ED25519 => Algorithm::Ed25519,
        EC if expect(parameters, OBJECT)?.0 == P256 => Algorithm::P256,
        _ => return None,
    };
    let (bits, _) = expect(info, BIT_STRING)?;
    // The first byte counts unused bits, of which a key has none.
    bits.strip_prefix(&[0]).map(|key| (algorithm, key))
}

/// The `SubjectPublicKeyInfo` inside a certificate, whole.
pub(super) fn certificate_key(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, behind)) = expect(rest, VERSION) {
        rest = behind;
    }
    // Serial number, algorithm, issuer, validity, subject.
    for tag in [INTEGER, SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE] {
        rest = expect(rest, tag)?.1;
    }
    let (_, behind) = expect(rest, SEQUENCE)?;
    rest.get(..rest.len() - behind.len())
}

/// Writes one value.
pub(super) fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        out.push(short);
    } else {
        let digits = length.to_be_bytes();
        let skip = digits.iter().take_while(|digit| **digit == 0).count();
        out.push(0x80 | (digits.len() - skip) as u8);
        out.extend_from_slice(&digits[skip..]);
    }
    out.extend_from_slice(content);
    out
}

/// Writes an unsigned number.
pub(super) fn write_integer(digits: &[u8]) -> Vec<u8> {
    let skip = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[skip..];
    let sign = if digits.first().is_none_or(|first| *first >= 0x80) { &[0][..] } else { &[] };
    write(INTEGER, &[sign, digits].concat())
}

/// Writes a `SubjectPublicKeyInfo`.
pub(super) fn write_subject_public_key(algorithm: Algorithm, key: &[u8]) -> Vec<u8> {
    let object = |object: &[u8]| write(OBJECT, object);
    let algorithm = match algorithm {
        Algorithm::Rsa => [object(RSA), vec![0x05, 0]].concat(),
        Algorithm::P256 => [object(EC), object(P256)].concat(),
        Algorithm::Ed25519 => object(ED25519),
    };
    write(SEQUENCE, &[write(SEQUENCE, &algorithm), write(BIT_STRING, &[&[0], key].concat())].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for (algorithm, length) in [(Algorithm::Rsa, 270), (Algorithm::P256, 65), (Algorithm::Ed25519, 32)] {
            let key = vec![7; length];
            let spki = write_subject_public_key(algorithm, &key);
            assert_eq!(subject_public_key(&spki), Some((algorithm, key.as_slice())));
        }
        assert_eq!(write_integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(value(&write(4, &[1; 300])).map(|(_, content, rest)| (content.len(), rest.len())), Some((300, 0)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_bytes_can_be_walked(bytes: Vec<u8>, at in 0_usize..91, with: u8) {
            let _ = subject_public_key(&bytes);
            let _ = certificate_key(&bytes);
            let mut spki = write_subject_public_key(Algorithm::P256, &[4; 65]);
            if let Some(byte) = spki.get_mut(at) {
                *byte = with;
            }
            let _ = subject_public_key(&spki);
            let _ = certificate_key(&[write(SEQUENCE, &write(SEQUENCE, &spki)), bytes].concat());
        }
    }
}
