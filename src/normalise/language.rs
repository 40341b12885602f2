//! The language of a text: Indonesian, Javanese, Sundanese, Malay or English.
//!
//! Short messages have too few letters for statistics, which take "jln rusak pak tolong" for Javanese. So words decide:
//! each language has words that the others do not use, and Indonesian has its vocabulary of complaints besides. Only a
//! longer text without any of them goes to the statistics, and is believed when they are sure.

use std::sync::LazyLock;

use whatlang::{Detector, Lang};

use super::text::words;

/// Words that are looked at.
const WORDS: usize = 60;
/// Statistics need this many words …
const WORDS_FOR_STATISTICS: usize = 6;
/// … and are believed from this confidence on.
const FLOOR: f64 = 0.6;
/// Bytes of the text that the statistics see.
const SAMPLE: usize = 300;

/// Sorted, as they are searched by halves.
const INDONESIAN: &[&str] = &[
    "ada",
    "adalah",
    "akan",
    "aku",
    "anda",
    "antrean",
    "apa",
    "atau",
    "bapak",
    "banjir",
    "bantu",
    "belum",
    "berlubang",
    "bisa",
    "blm",
    "bocor",
    "bpk",
    "dalam",
    "dan",
    "dari",
    "daerah",
    "dekat",
    "dengan",
    "depan",
    "desa",
    "dgn",
    "di",
    "dinas",
    "ini",
    "itu",
    "jadi",
    "jalan",
    "jangan",
    "jln",
    "juga",
    "kalau",
    "kami",
    "kantor",
    "karena",
    "ke",
    "kecamatan",
    "kelurahan",
    "kemarin",
    "kepada",
    "kita",
    "kok",
    "korupsi",
    "lampu",
    "laporan",
    "lebih",
    "listrik",
    "lurah",
    "macet",
    "masih",
    "mati",
    "melaporkan",
    "mereka",
    "minggu",
    "minta",
    "mohon",
    "mulai",
    "oleh",
    "padam",
    "pada",
    "pagi",
    "pak",
    "parah",
    "pasar",
    "petugas",
    "pungli",
    "pungutan",
    "rusak",
    "saat",
    "saja",
    "sampah",
    "sampai",
    "sangat",
    "saya",
    "sdh",
    "sejak",
    "selalu",
    "semua",
    "seperti",
    "setiap",
    "siang",
    "sore",
    "sudah",
    "tadi",
    "tapi",
    "tdk",
    "telah",
    "tempat",
    "tentang",
    "terima",
    "tidak",
    "tolong",
    "uang",
    "udah",
    "untuk",
    "utk",
    "warga",
    "yang",
    "yg",
];
const JAVANESE: &[&str] = &[
    "arep",
    "banyu",
    "dalan",
    "dereng",
    "enten",
    "gak",
    "iki",
    "ing",
    "isih",
    "iso",
    "jenengan",
    "kali",
    "karo",
    "kawit",
    "kowe",
    "kudu",
    "kulo",
    "kuwi",
    "lagek",
    "lan",
    "matur",
    "mbanget",
    "mboten",
    "mergo",
    "monggo",
    "nang",
    "ndak",
    "neng",
    "nggih",
    "niki",
    "nuwun",
    "ono",
    "opo",
    "ora",
    "panjenengan",
    "piye",
    "pripun",
    "saiki",
    "saking",
    "sampun",
    "sing",
    "sopo",
    "suwe",
    "tulung",
    "wis",
    "wong",
    "wonten",
];
const SUNDANESE: &[&str] = &[
    "abdi", "aranjeun", "atos", "aya", "bade", "caina", "dugi", "enggal", "eta", "geus", "hatur", "henteu", "ieu",
    "imah", "jeung", "kana", "keur", "kumaha", "kuring", "moal", "naha", "nuhun", "nuju", "parantos", "payun",
    "payuneun", "punten", "ruksak", "sareng", "sareung", "saur", "sok", "tos", "teu", "teuing", "ti", "tulungan",
    "urang",
];
const MALAY: &[&str] = &[
    "awak",
    "bekalan",
    "encik",
    "ialah",
    "jabatan",
    "kerana",
    "kereta",
    "kerosakan",
    "lebuhraya",
    "longkang",
    "mahu",
    "majlis",
    "pejabat",
    "perbandaran",
    "perkhidmatan",
    "rosak",
    "sahaja",
    "sila",
    "tuan",
    "wang",
];
const ENGLISH: &[&str] = &[
    "a", "and", "are", "at", "because", "been", "broken", "damaged", "for", "from", "has", "have", "help", "i", "in",
    "is", "it", "my", "near", "no", "not", "of", "on", "our", "please", "road", "since", "street", "that", "the",
    "there", "this", "to", "very", "was", "water", "we", "were", "when", "where", "with", "you",
];

static STATISTICS: LazyLock<Detector> =
    LazyLock::new(|| Detector::with_allowlist(vec![Lang::Ind, Lang::Jav, Lang::Eng]));

/// BCP 47 and how sure the detector is, 0 to 1. None: too little to say.
pub fn detect(text: &str) -> Option<(String, f64)> {
    let mut scores =
        [("id", 0_u32, INDONESIAN), ("jv", 0, JAVANESE), ("su", 0, SUNDANESE), ("ms", 0, MALAY), ("en", 0, ENGLISH)];
    let mut count = 0;
    for word in words(text).take(WORDS) {
        count += 1;
        for (language, score, list) in &mut scores {
            // The regional languages borrow Indonesian words all the time, and Indonesian borrows few of theirs.
            let weight = if matches!(*language, "id" | "en") { 1 } else { 2 };
            if is_in(list, &word) {
                *score += weight;
            }
        }
    }
    let total: u32 = scores.iter().map(|(_, score, _)| score).sum();
    scores.sort_by_key(|(_, score, _)| std::cmp::Reverse(*score));
    let [(language, best, _), (_, second, _), ..] = scores;
    if best > second && (best >= 2 || count <= 4) {
        let share = f64::from(best) / f64::from(total);
        let evidence = 1.0 - 0.5 / f64::from(best);
        return Some((language.to_owned(), (share * evidence * 100.0).round() / 100.0));
    }
    if count < WORDS_FOR_STATISTICS { None } else { by_statistics(text) }
}

fn is_in(list: &[&str], word: &str) -> bool {
    list.binary_search(&word).is_ok()
}

fn by_statistics(text: &str) -> Option<(String, f64)> {
    let end = (0..=SAMPLE.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let found = STATISTICS.detect(&text[..end])?;
    let language = match found.lang() {
        Lang::Ind => "id",
        Lang::Jav => "jv",
        Lang::Eng => "en",
        _ => return None,
    };
    let confidence = (found.confidence() * 100.0).round() / 100.0;
    (confidence >= FLOOR).then(|| (language.to_owned(), confidence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_sorted() {
        for list in [INDONESIAN, JAVANESE, SUNDANESE, MALAY, ENGLISH] {
            let unsorted = list.windows(2).find(|pair| pair[0] >= pair[1]);
            assert_eq!(unsorted, None);
        }
    }

    #[test]
    fn short_messages_are_in_the_language_that_people_would_say() {
        for (text, language) in [
            ("jln rusak pak tolong", Some("id")),
            ("Ada pungutan liar saat urus KTP di kelurahan, diminta 50 ribu.", Some("id")),
            ("listrik padam", Some("id")),
            ("Air PDAM mati", Some("id")),
            ("Jalan berlubang di depan pasar, sudah dua minggu. Kemarin sore ada motor jatuh.", Some("id")),
            ("dalan rusak pak tulung didandani, wis suwe ora diurusi", Some("jv")),
            ("Punten, jalan di payuneun imah abdi ruksak parah", Some("su")),
            ("Longkang tersumbat dan jalan rosak kerana hujan, sila baiki", Some("ms")),
            ("The street light in front of the market is broken", Some("en")),
            ("water is off since monday", Some("en")),
            ("???", None),
            ("", None),
            ("xyzzy plugh", None),
        ] {
            assert_eq!(detect(text).map(|(language, _)| language).as_deref(), language, "{text}");
        }
    }
}
