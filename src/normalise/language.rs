//! The language of a text: Indonesian, Javanese, Sundanese, Malay or English.
//!
//! Short messages have too few letters for statistics, which take "jln rusak pak tolong" for Javanese. So words decide:
//! each language has words that the others do not use, and Indonesian has its vocabulary of complaints besides. Only a
//! longer text without any of them goes to the statistics, and is believed when they are sure.

use std::{collections::HashMap, sync::LazyLock};

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

/// Languages, with the weight of a word: the regional languages borrow from Indonesian all the time, and it borrows few
/// words of theirs.
const LANGUAGES: [(&str, u32, &str); 5] =
    [("id", 1, INDONESIAN), ("jv", 2, JAVANESE), ("su", 2, SUNDANESE), ("ms", 2, MALAY), ("en", 1, ENGLISH)];

const INDONESIAN: &str = "\
    ada adalah akan aku anda antrean apa atau banjir bantu bapak belum berlubang bisa blm bocor bpk daerah dalam dan \
    dari dekat dengan depan desa dgn di dinas ini itu jadi jalan jangan jln juga kalau kami kantor karena ke \
    kecamatan kelurahan kemarin kepada kita kok korupsi lampu laporan lebih listrik lurah macet masih mati \
    melaporkan mereka minggu minta mohon mulai oleh pada padam pagi pak parah pasar petugas pungli pungutan rusak \
    saat saja sampah sampai sangat saya sdh sejak selalu semua seperti setiap siang sore sudah tadi tapi tdk telah \
    tempat tentang terima tidak tolong uang udah untuk utk warga yang yg";
const JAVANESE: &str = "\
    arep banyu dalan dereng enten gak iki ing isih iso jenengan kali karo kawit kowe kudu kulo kuwi lagek lan matur \
    mbanget mboten mergo monggo nang ndak neng nggih niki nuwun ono opo ora panjenengan piye pripun saiki saking \
    sampun sing sopo suwe tulung wis wong wonten";
const SUNDANESE: &str = "\
    abdi aranjeun atos aya bade caina dugi enggal eta geus hatur henteu ieu imah jeung kana keur kumaha kuring moal \
    naha nuhun nuju parantos payun payuneun punten ruksak sareng sareung saur sok teu teuing ti tos tulungan urang";
const MALAY: &str = "\
    awak bekalan encik ialah jabatan kerana kereta kerosakan lebuhraya longkang mahu majlis pejabat perbandaran \
    perkhidmatan rosak sahaja sila tuan wang";
const ENGLISH: &str = "\
    a and are at because been broken damaged for from has have help i in is it my near no not of on our please road \
    since street that the there this to very was water we were when where with you";

/// Places in [`LANGUAGES`], by word.
static VOCABULARY: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| {
    let words =
        |(place, (_, _, words)): (usize, &(_, _, &'static str))| words.split(' ').map(move |word| (word, place));
    LANGUAGES.iter().enumerate().flat_map(words).collect()
});

static STATISTICS: LazyLock<Detector> =
    LazyLock::new(|| Detector::with_allowlist(vec![Lang::Ind, Lang::Jav, Lang::Eng]));

/// BCP 47 and how sure the detector is, 0 to 1. None: too little to say.
pub fn detect(text: &str) -> Option<(String, f64)> {
    let mut scores = [0_u32; LANGUAGES.len()];
    let mut count = 0;
    for word in words(text).take(WORDS) {
        count += 1;
        if let Some(place) = VOCABULARY.get(word.as_str()) {
            scores[*place] += LANGUAGES[*place].1;
        }
    }
    let total: u32 = scores.iter().sum();
    let mut order: [usize; LANGUAGES.len()] = std::array::from_fn(|place| place);
    order.sort_by_key(|place| std::cmp::Reverse(scores[*place]));
    let (best, second) = (scores[order[0]], scores[order[1]]);
    if best > second && (best >= 2 || count <= 4) {
        let share = f64::from(best) / f64::from(total);
        let evidence = 1.0 - 0.5 / f64::from(best);
        return Some((LANGUAGES[order[0]].0.to_owned(), (share * evidence * 100.0).round() / 100.0));
    }
    if count < WORDS_FOR_STATISTICS { None } else { by_statistics(text) }
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
    fn a_word_belongs_to_one_language() {
        let listed: usize = LANGUAGES.iter().map(|(_, _, words)| words.split(' ').count()).sum();
        assert_eq!(VOCABULARY.len(), listed);
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
