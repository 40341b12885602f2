use super::*;

/// The parts as `type(children)` with the bodies of leaves.
fn shown(tree: &Tree<'_>, number: usize) -> String {
    let part = tree.part(number).expect("a part");
    let children: Vec<String> = part.children.iter().map(|child| shown(tree, *child)).collect();
    match part.shape {
        Shape::Leaf => format!("{}={:?}", part.kind.value, String::from_utf8_lossy(tree.body(part))),
        _ => format!("{}({})", part.kind.value, children.join(" ")),
    }
}

#[test]
fn parts_are_found_in_whole_and_in_broken_letters() {
    let multi = "Content-Type: multipart/mixed; boundary=a\n\n";
    for (letter, expected) in [
        ("", "text/plain=\"\""),
        ("halo", "text/plain=\"halo\""),
        ("Subject: x\r\n\r\nhalo\r\n", "text/plain=\"halo\\r\\n\""),
        ("From a@b Mon\nSubject: x\n\nhalo", "text/plain=\"halo\""),
        ("\r\n\r\nSubject: x\n\nhalo", "text/plain=\"halo\""),
        ("Subject: x\nputus di sini\nTo: b\n\nhalo", "text/plain=\"halo\""),
        ("Subject: x\nisi tanpa baris kosong\n\nhalo", "text/plain=\"isi tanpa baris kosong\\n\\nhalo\""),
        (
            &format!("{multi}pre\n--a\n\nsatu\n--a \nContent-Type: text/html\n\ndua\n--a--\nepi"),
            "multipart/mixed(text/plain=\"satu\" text/html=\"dua\")",
        ),
        (&format!("{multi}--a\n\nsatu"), "multipart/mixed(text/plain=\"satu\")"),
        (&format!("{multi}--a\n--a\nX: y\n--ab\n--a--"), "multipart/mixed(text/plain=\"\" text/plain=\"--ab\")"),
        (&format!("{multi}hanya teks"), "text/plain=\"hanya teks\""),
        (
            &format!("{multi}--a\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nsatu\n--a\n\ndua\n--a--"),
            "multipart/mixed(multipart/alternative(text/plain=\"satu\") text/plain=\"dua\")",
        ),
        ("Content-Type: multipart/mixed\n\n--zz\n\nsatu\n--zz--", "multipart/mixed(text/plain=\"satu\")"),
        ("Content-Type: message/rfc822\n\nSubject: x\n\nhalo", "message/rfc822(text/plain=\"halo\")"),
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeAoKaGFsbw==",
            "message/rfc822(text/plain=\"halo\")",
        ),
        (
            "Content-Type: multipart/digest; boundary=a\n\n--a\n\nSubject: x\n\nhalo\n--a--",
            "multipart/digest(message/rfc822(text/plain=\"halo\"))",
        ),
    ] {
        let tree = Tree::of(letter.as_bytes());
        assert_eq!(shown(&tree, 0), expected, "{letter}");
        assert!(!tree.loss.happened());
    }
}

#[test]
fn bombs_of_parts_and_levels_stay_small() {
    let deep: String = (0..10_000)
        .map(|level| format!("Content-Type: multipart/mixed; boundary=b{level}\n\n--b{level}\n"))
        .collect::<Vec<_>>()
        .concat();
    let letters = "Content-Type: message/rfc822\n\n".repeat(10_000);
    let many = format!("Content-Type: multipart/mixed; boundary=a\n\n{}", "--a\n\nx\n".repeat(100_000));
    let dashes = format!("Content-Type: multipart/mixed; boundary=a\n\n{}", "--\n".repeat(300_000));
    for (bomb, is_cut) in [(deep, true), (letters, true), (many, true), (dashes, false)] {
        let tree = Tree::of(bomb.as_bytes());
        assert!(tree.parts.len() <= PARTS + 1, "{} parts", tree.parts.len());
        assert_eq!(tree.loss.happened(), is_cut);
    }
}
