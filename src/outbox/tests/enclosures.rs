//! Files of answers: with their bytes in the request, or by a link, and never twice where the answer came that far.

use super::*;
use crate::{media::link, message::Enclosure};

const MEDIA: &str = r#"
[media.image]
body        = '{"image": {{ link }}, "says": {{ caption }}}'
types       = ["image/png"]
max_size    = "1 KiB"
caption_max = 10

[media.document]
form     = { chat = "{{ to }}", caption = "{{ caption }}" }
file     = "document"
max_size = "1 MiB"
"#;

async fn on_shelf(bench: &Bench, bytes: &[u8]) -> uuid::Uuid {
    let shelf = files(bench.folder.path()).shelf;
    let (mut draft, scrap) = shelf.draft(crate::units::Size::mib(1)).expect("a draft");
    draft.write(bytes).await.expect("room");
    let id = clock::uuid7(clock::now());
    shelf.put(id, draft.finish(scrap).await.expect("a file")).await.expect("a place");
    id
}

fn enclosure(attachment_id: uuid::Uuid, media_type: &str, size_bytes: u64) -> Enclosure {
    let filename = "surat \"tugas\".pdf".to_owned();
    Enclosure { attachment_id, media_type: media_type.to_owned(), size_bytes, filename, caption: None }
}

fn with(id: &str, enclosures: Vec<Enclosure>) -> OutboxEntry {
    OutboxEntry { enclosures, ..entry(id, OutboxKind::Reply, "Terlampir suratnya") }
}

#[tokio::test]
async fn the_bytes_of_a_file_are_in_the_form_as_they_lie_on_the_shelf() {
    let bench = Bench::new(&format!("{PLAIN}{MEDIA}")).await;
    let bytes = b"%PDF-1.7\r\n--loket-\r\nends";
    let id = on_shelf(&bench, bytes).await;
    bench.store.add(with("ob_1", vec![enclosure(id, "application/pdf", bytes.len() as u64)]));
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Sent { .. }));
    assert_eq!(bench.provider.keys(), ["ob_1", "ob_1-2"]);
    let body = bench.provider.bodies().remove(1);
    let boundary = body.split("\r\n").next().expect("a line").to_owned();
    let parts: Vec<_> = body.split(&boundary).collect();
    assert_eq!((parts.len(), parts[3]), (4, "--\r\n"), "{body}");
    assert!(parts[1].ends_with("name=\"chat\"\r\n\r\n+6281100000001\r\n"), "{body}");
    assert!(
        parts[2].contains("name=\"document\"; filename=\"surat %22tugas%22.pdf\"\r\ncontent-type: application/pdf")
    );
    assert!(parts[2].ends_with("\r\n\r\n%PDF-1.7\r\n--loket-\r\nends\r\n"), "{body}");
}

#[tokio::test]
async fn a_link_leads_to_its_file_for_a_while() {
    let bench = Bench::new(&format!("{PLAIN}{MEDIA}")).await;
    let id = on_shelf(&bench, b"\x89PNG").await;
    bench.store.add(with("ob_1", vec![enclosure(id, "image/png", 4)]));
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Sent { .. }));
    let body: serde_json::Value = serde_json::from_str(&bench.provider.bodies()[1]).expect("JSON");
    assert_eq!(body["says"], serde_json::Value::Null);
    let token = body["image"].as_str().and_then(|link| link.strip_prefix("https://loket.example/files/"));
    let token = token.unwrap_or_else(|| panic!("{body}"));
    let gateway = Gateway::example();
    let of = |seconds| {
        let now = clock::now() + SignedDuration::from_secs(seconds);
        link::attachment_of(gateway.reporter_key(), token, now)
    };
    assert_eq!((of(0), of(61)), (Some(id), None));
}

#[tokio::test]
async fn what_the_provider_took_is_not_sent_again_when_a_later_part_fails() {
    let rules = format!("{PLAIN}split = {{ max_chars = 20 }}{MEDIA}");
    let bench = Bench::new(&rules).await;
    let id = on_shelf(&bench, b"\x89PNG").await;
    let files = vec![enclosure(id, "image/png", 4), enclosure(id, "image/png", 4)];
    let mut answer = with("ob_1", files);
    answer.text = "Laporan Anda kami teruskan".to_owned();
    bench.store.add(answer);
    // Two pieces and the first file are taken; the second file fails, time and again.
    bench.provider.answers([(200, None), (200, None), (200, None), (503, None), (503, None), (503, None)]);
    for attempts in 1..3 {
        let outcome = bench.deliver("ob_1").await;
        assert!(
            matches!(&outcome, SendOutcome::Retry { progress, .. } if (progress.texts, progress.files) == (2, 1)),
            "{outcome:?}"
        );
        assert_eq!(bench.store.entry("ob_1").attempts, attempts, "the try that brought it on is the first");
    }
    assert!(matches!(bench.deliver("ob_1").await, SendOutcome::Dead { .. }));
    assert_eq!(bench.provider.keys(), ["ob_1", "ob_1-2", "ob_1-3", "ob_1-4", "ob_1-4", "ob_1-4"]);
}

#[tokio::test]
async fn words_that_are_cut_otherwise_are_said_again_from_the_beginning() {
    // Two pieces at 20 characters and at 26, and not the same two.
    let words = "surat dikembalikanlah surat dikembalikanlah";
    let cut_at = async |max: usize| Bench::new(&format!("{PLAIN}split = {{ max_chars = {max} }}")).await;
    let (narrow, wide) = (cut_at(21).await, cut_at(27).await);
    let mut answer = with("ob_1", Vec::new());
    answer.text = words.to_owned();
    narrow.store.add(answer);
    narrow.provider.answers([(200, None), (503, None)]);
    assert!(matches!(narrow.deliver("ob_1").await, SendOutcome::Retry { .. }));
    let begun = narrow.store.entry("ob_1");
    assert_eq!(begun.progress.texts, 1);
    wide.store.add(begun);
    assert!(matches!(wide.deliver("ob_1").await, SendOutcome::Sent { .. }));
    assert_eq!(wide.provider.keys().first().map(String::as_str), Some("ob_1"), "not from the second piece on");
}

#[tokio::test]
async fn a_file_that_is_not_there_any_more_is_a_dead_letter_that_says_so() {
    let bench = Bench::new(&format!("{PLAIN}{MEDIA}")).await;
    bench.store.add(with("ob_1", vec![enclosure(clock::uuid7(clock::now()), "application/pdf", 4)]));
    let outcome = bench.deliver("ob_1").await;
    assert!(matches!(&outcome, SendOutcome::Dead { failure } if failure.contains("not on the shelf")), "{outcome:?}");
}

#[tokio::test]
async fn after_the_window_nothing_of_an_answer_with_files_leaves() {
    let window = "window = { hours = 24, outside = 'template', body = '2' }\n";
    let bench = Bench::new(&format!("{PLAIN}{window}{MEDIA}")).await;
    let id = on_shelf(&bench, b"\x89PNG").await;
    bench.store.add(with("ob_1", vec![enclosure(id, "image/png", 4)]));
    let outcome = bench.deliver("ob_1").await;
    assert!(matches!(&outcome, SendOutcome::Dead { failure } if failure.contains("template")), "{outcome:?}");
    assert_eq!(bench.provider.keys(), Vec::<String>::new());
}
