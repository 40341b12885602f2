//! What became of letters of ours: delivery status notifications (RFC 3464), receipts of readers (RFC 8098), and the bounces of
//! servers that know neither.
//!
//! Each is tied to the letter that it is about by that one's Message-ID. Errors hold no address.

use super::{
    charset::Loss,
    headers::Headers,
    identifiers,
    limits::REPORTS,
    tree::{Part, Shape, Tree},
    words,
};
use crate::message::{DeliveryReport, DeliveryStatus};

/// Bytes of a report that are read.
const REPORT: usize = 256 << 10;
/// Letters of an error.
const ERROR: usize = 120;

/// What a letter reports. `bounce` is its text if it was recognised as a bounce.
pub(super) fn read(tree: &Tree<'_>, headers: &Headers<'_>, bounce: Option<&str>) -> Vec<DeliveryReport> {
    let mut outer = Vec::new();
    gather_outer(tree, 0, &mut outer);
    let leaves = || outer.iter().copied().filter(|part| part.shape == Shape::Leaf);
    let of_kind = |kinds: &'static [&'static str]| leaves().find(move |part| kinds.contains(&part.kind.value.as_str()));
    let mut reports = Vec::new();
    if let Some(part) = of_kind(&["message/delivery-status", "message/global-delivery-status"]) {
        let id = original(tree).or_else(|| bounce.and_then(quoted)).or_else(|| answered(headers));
        reports = id.map(|id| statuses(tree, part, &id)).unwrap_or_default();
    } else if let Some(part) = of_kind(&["message/disposition-notification", "message/global-disposition-notification"])
    {
        reports.extend(reading(tree, part, headers));
    } else if let Some(text) = bounce {
        let id = original(tree).or_else(|| quoted(text)).or_else(|| answered(headers));
        reports.extend(id.map(|id| failed(id, error(code(text).as_deref(), None, None))));
    }
    reports.truncate(REPORTS);
    reports
}

/// The parts that are the letter's own. A report that somebody forwards is none of this letter.
fn gather_outer<'x>(tree: &'x Tree<'_>, number: usize, out: &mut Vec<&'x Part>) {
    let Some(part) = tree.part(number) else { return };
    out.push(part);
    if part.shape == Shape::Multipart {
        part.children.iter().for_each(|child| gather_outer(tree, *child, out));
    }
}

fn failed(id: String, error: Option<String>) -> DeliveryReport {
    DeliveryReport { id, status: DeliveryStatus::Failed, error }
}

/// The Message-ID of the letter that came back with the report.
fn original(tree: &Tree<'_>) -> Option<String> {
    let is_list = |part: &Part| matches!(part.kind.value.as_str(), "text/rfc822-headers" | "message/global-headers");
    let returned = tree.parts.iter().filter_map(|part| match part.shape {
        Shape::Letter => part.children.first().and_then(|child| tree.part(*child)),
        _ => Some(part).filter(|part| is_list(part)),
    });
    returned.take(10).find_map(|part| {
        if is_list(part) {
            let body = part.encoding.decode(tree.body(part), REPORT);
            return identifiers::own(&Headers::of(&body));
        }
        identifiers::own(&tree.headers(part))
    })
}

/// What the report says it answers.
fn answered(headers: &Headers<'_>) -> Option<String> {
    let first = identifiers::of(headers, "in-reply-to").into_iter().next();
    first.or_else(|| identifiers::of(headers, "references").pop())
}

/// The first `Message-ID:` in the quoted letter of a bounce without a standard form.
fn quoted(text: &str) -> Option<String> {
    let lines = text.lines().map(|line| line.trim_start_matches(['>', ' ', '\t']));
    let mut lines =
        lines.skip_while(|line| !line.get(..11).is_some_and(|name| name.eq_ignore_ascii_case("message-id:")));
    let line = lines.next()?;
    // The identifier may stand on the next line.
    let field = format!("{}\n {}", line.trim(), lines.next().unwrap_or_default());
    identifiers::own(&Headers::of(field.as_bytes()))
}

/// A report for each recipient; equal ones once.
fn statuses(tree: &Tree<'_>, part: &Part, id: &str) -> Vec<DeliveryReport> {
    let body = part.encoding.decode(tree.body(part), REPORT);
    let text = String::from_utf8_lossy(&body).replace("\r\n", "\n");
    let mut reports: Vec<DeliveryReport> = Vec::new();
    for group in text.split("\n\n").take(REPORTS) {
        let fields = Headers::of(group.trim_start().as_bytes());
        let report = status(&fields, id).filter(|report| !reports.contains(report));
        reports.extend(report);
    }
    reports
}

fn status(fields: &Headers<'_>, id: &str) -> Option<DeliveryReport> {
    let text = |name: &str| fields.text(name, &mut Loss::default());
    let action = text("action")?.to_ascii_lowercase();
    match action.split_whitespace().next()? {
        "failed" => {
            let code = text("status").and_then(|status| code(&status));
            let recipient = text("final-recipient").or_else(|| text("original-recipient"));
            let error = error(code.as_deref(), text("diagnostic-code").as_deref(), recipient.as_deref());
            Some(failed(id.to_owned(), error))
        }
        "delivered" | "relayed" | "expanded" => {
            Some(DeliveryReport { id: id.to_owned(), status: DeliveryStatus::Delivered, error: None })
        }
        _ => None,
    }
}

/// A reader's client says that the letter was shown.
fn reading(tree: &Tree<'_>, part: &Part, headers: &Headers<'_>) -> Option<DeliveryReport> {
    let body = part.encoding.decode(tree.body(part), REPORT);
    let fields = Headers::of(&body);
    let disposition = words::unfold(fields.first("disposition")?, &mut Loss::default()).to_ascii_lowercase();
    let kind = disposition.rsplit(';').next()?.split(['/', ',']).next()?.trim();
    let id = identifiers::of(&fields, "original-message-id").into_iter().next();
    let id = id.or_else(|| original(tree)).or_else(|| answered(headers))?;
    (kind == "displayed").then_some(DeliveryReport { id, status: DeliveryStatus::Read, error: None })
}

/// An enhanced status code of a failure (RFC 3463): `5.1.1`.
fn code(text: &str) -> Option<String> {
    let words = text.split(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let is_code = |word: &&str| {
        let mut parts = word.split('.');
        let class = parts.next().is_some_and(|class| matches!(class, "4" | "5"));
        let rest: Vec<&str> = parts.collect();
        class && rest.len() == 2 && rest.iter().all(|part| (1..=3).contains(&part.len()))
    };
    words.map(|word| word.trim_matches('.')).find(is_code).map(str::to_owned)
}

/// The code with a few words of the server, without addresses and without the domain of one.
fn error(code: Option<&str>, diagnostic: Option<&str>, recipient: Option<&str>) -> Option<String> {
    let recipient = recipient.and_then(|recipient| recipient.rsplit(';').next()).unwrap_or_default().to_lowercase();
    let parts: Vec<&str> = recipient.trim().trim_matches(['<', '>']).split('@').filter(|part| part.len() > 2).collect();
    let says_who = |word: &str| {
        let word = word.to_lowercase();
        word.contains('@') || parts.iter().any(|part| word.contains(part))
    };
    let diagnostic = diagnostic.unwrap_or_default();
    let diagnostic = diagnostic.split_once(';').map_or(diagnostic, |(_, text)| text);
    let words = diagnostic.split_whitespace().filter(|word| !says_who(word) && Some(word.trim_matches('#')) != code);
    let mut error = code.unwrap_or_default().to_owned();
    for word in words {
        if error.len() + word.len() + 1 > ERROR {
            break;
        }
        if !error.is_empty() {
            error.push(' ');
        }
        error.push_str(word);
    }
    Some(error).filter(|error| !error.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reports(letter: &str, bounce: Option<&str>) -> Vec<DeliveryReport> {
        let tree = Tree::of(letter.as_bytes());
        let root = tree.part(0).expect("a root");
        read(&tree, &tree.headers(root), bounce)
    }

    fn report(status: &str, returned: &str) -> String {
        format!(
            "In-Reply-To: <balas@kota.example>\nContent-Type: multipart/report; boundary=x; report-type=delivery-status\n\n--x\n\n\
             gagal\n--x\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example\n\n{status}\n--x\n{returned}\n--x--"
        )
    }

    #[test]
    fn a_failure_is_tied_to_the_letter_that_came_back() {
        let status = "Final-Recipient: rfc822; budi@example.org\nAction: failed\nStatus: 5.1.1\n\
            Diagnostic-Code: smtp; 550 5.1.1 <budi@example.org>: Recipient budi rejected by mx.example.org: User\n unknown\n\n\
            Final-Recipient: rfc822; ani@example.org\nAction: delayed\nStatus: 4.4.1\n\n\
            Final-Recipient: rfc822; eko@example.org\nAction: delivered\nStatus: 2.0.0";
        for returned in [
            "Content-Type: message/rfc822\n\nMessage-ID: <asli@kota.example>\nSubject: x\n\nisi",
            "Content-Type: text/rfc822-headers\n\nSubject: x\nMessage-Id:\n <asli@kota.example>\n",
        ] {
            let found = reports(&report(status, returned), None);
            let error = Some("5.1.1 550 Recipient rejected by User unknown".to_owned());
            let delivered =
                DeliveryReport { id: "<asli@kota.example>".to_owned(), status: DeliveryStatus::Delivered, error: None };
            assert_eq!(found, [failed("<asli@kota.example>".to_owned(), error), delivered]);
        }
        let forwarded = format!(
            "Content-Type: message/rfc822\n\n{}",
            report(status, "Content-Type: message/rfc822\n\nMessage-ID: <a@b>\n")
        );
        assert_eq!(reports(&forwarded, None), []);
        let without = reports(&report("Action: failed\nStatus: 5.0.0", "\n"), None);
        assert_eq!(without, [failed("<balas@kota.example>".to_owned(), Some("5.0.0".to_owned()))]);
    }

    #[test]
    fn a_bounce_without_a_form_is_tied_by_the_quoted_letter() {
        let text = "Hi. This is the qmail-send program.\n550 #5.1.1 no such user\n\n--- Below this line is a copy of the message.\n\n\
            > Subject: x\n> Message-ID:\n> <asli@kota.example>\n";
        assert_eq!(
            reports("Subject: failure notice\n\nx", Some(text)),
            [failed("<asli@kota.example>".to_owned(), Some("5.1.1".to_owned()))]
        );
        assert_eq!(reports("Subject: x\n\nx", None), []);
    }

    #[test]
    fn a_receipt_of_a_reader_is_reported() {
        let letter = |disposition: &str| {
            format!(
                "Content-Type: multipart/report; report-type=disposition-notification; boundary=x\n\n--x\n\ndibaca\n--x\n\
                 Content-Type: message/disposition-notification\n\nOriginal-Message-ID: <asli@kota.example>\nDisposition: manual-action/MDN-sent-manually; {disposition}\n--x--"
            )
        };
        let read = DeliveryReport { id: "<asli@kota.example>".to_owned(), status: DeliveryStatus::Read, error: None };
        assert_eq!(reports(&letter("displayed"), None), [read]);
        assert_eq!(reports(&letter("deleted"), None), []);
    }
}
