//! Compressed RTF (MS-OXRTFCP): a dictionary of 4 KiB that begins with common words of RTF.

const COMPRESSED: u32 = 0x7546_5a4c;
const PLAIN: u32 = 0x414c_454d;
/// Bytes that come out at most.
const LIMIT: usize = 4 << 20;
const DICTIONARY: usize = 4096;
const START: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";

/// The RTF, as far as it goes. None if the bytes are no compressed RTF.
pub(super) fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let length = (number(4)? as usize).min(LIMIT);
    let body = bytes.get(16..)?;
    match number(8)? {
        PLAIN => Some(body.get(..length).unwrap_or(body).to_vec()),
        COMPRESSED => Some(expand(body, length)),
        _ => None,
    }
}

fn expand(body: &[u8], length: usize) -> Vec<u8> {
    let mut dictionary = [0_u8; DICTIONARY];
    dictionary.iter_mut().zip(START).for_each(|(place, byte)| *place = *byte);
    let mut write = START.len();
    let mut out = Vec::new();
    let mut input = body.iter().copied();
    while let Some(control) = input.next() {
        for bit in 0..8 {
            let is_reference = control >> bit & 1 == 1;
            let (from, count) = if is_reference {
                let (Some(high), Some(low)) = (input.next(), input.next()) else { return out };
                let token = usize::from(high) << 8 | usize::from(low);
                (Some(token >> 4), (token & 15) + 2)
            } else {
                (None, 1)
            };
            // A reference to the place that is written next ends the text.
            if from == Some(write % DICTIONARY) || out.len() >= length {
                return out;
            }
            for step in 0..count {
                let byte = match from {
                    Some(from) => dictionary.get((from + step) % DICTIONARY).copied(),
                    None => input.next(),
                };
                let Some(byte) = byte else { return out };
                if let Some(place) = dictionary.get_mut(write % DICTIONARY) {
                    *place = byte;
                }
                write += 1;
                out.push(byte);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example of MS-OXRTFCP, section 4.1.1.
    const EXAMPLE: [u8; 49] = [
        0x2d, 0, 0, 0, 0x2b, 0, 0, 0, 0x4c, 0x5a, 0x46, 0x75, 0xf1, 0xc5, 0xc7, 0xa7, 0x03, 0, 0x0a, 0, 0x72, 0x63,
        0x70, 0x67, 0x31, 0x32, 0x35, 0x42, 0x32, 0x0a, 0xf3, 0x20, 0x68, 0x65, 0x6c, 0x09, 0, 0x20, 0x62, 0x77, 0x05,
        0xb0, 0x6c, 0x64, 0x7d, 0x0a, 0x80, 0x0f, 0xa0,
    ];

    #[test]
    fn the_example_of_the_specification_is_read() {
        let text = decompress(&EXAMPLE).expect("compressed RTF");
        assert_eq!(String::from_utf8_lossy(&text), "{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
    }

    proptest! {
        #[test]
        fn any_bytes_expand_within_the_limit(body in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(expand(&body, 1_000).len() <= 1_000 + 17);
            decompress(&body);
        }
    }
}
