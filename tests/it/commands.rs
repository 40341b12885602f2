//! The command line, as an operator types it.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::repository;

fn loket(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loket"));
    command.args(arguments).current_dir(repository("")).envs(environment.iter().copied());
    command.output().expect("the program runs")
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_demo_shows_each_sample_message_all_the_way() {
    let output = loket(&["demo", "--once"], &[]);
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    assert_eq!(text.matches("provider is told  200").count(), 4, "{text}");
    assert!(text.contains("Laporan diterima, no "), "{text}");
    assert!(text.contains("Report received, no "), "{text}");
    assert!(
        text.contains("Laporan diterima. Nomor lacak: "),
        "the conversation on Telegram ends with a number: {text}"
    );
    assert!(text.contains("Report received. Tracking number: "), "and so does that on WhatsApp: {text}");
    assert_eq!(text.matches("its file is stored, image/jpeg").count(), 2, "{text}");
}

#[test]
fn every_manifest_passes_the_check() {
    let output = loket(&["channel", "check", "channels"], &[]);
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn a_misused_command_ends_with_status_2_and_a_failed_one_with_1() {
    assert_eq!(loket(&["nonsense"], &[]).status.code(), Some(2));
    let nobody = [("LOKET_LISTEN", "127.0.0.1:9")];
    let output = loket(&["queue", "list"], &nobody);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("is `loket serve` running"), "{}", text(&output));
}

#[test]
fn the_schemas_are_json() {
    for what in ["complaint", "followup", "channel", "manifest", "config"] {
        let output = loket(&["schema", what], &[]);
        let schema: Value = serde_json::from_slice(&output.stdout).expect(what);
        assert!(schema.is_object(), "{what}");
    }
}

#[test]
fn mistakes_in_the_configuration_name_file_line_cause_and_fix() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("loket.toml"), "public_url = \"loket.example\"\nstore = \"sqlite\"\n")
        .expect("a file");
    let output = loket(&["config", "check"], &[("LOKET_CONFIG_DIR", &folder.path().display().to_string())]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in ["loket.toml:1", "loket.toml:2", "public_url", "https://loket.example", "sqlite", "embedded"] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn try_prints_one_json_document_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("one.http");
    let request =
        "GET /in/generic-get?key=k1&id=5&from=081100000001&to=1708&text=lampu+jalan+mati HTTP/1.1\r\nhost: x\r\n\r\n";
    std::fs::write(&file, request).expect("a file");
    let file = file.display().to_string();
    let output = loket(&["channel", "try", "generic-get", &file, "--json", "--no-verify"], &[]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    assert_eq!(result["messages"][0]["from"], "+6281100000001");
    assert_eq!(result["messages"][0]["text"], "lampu jalan mati");
    assert_eq!(result["reply"]["status"], 200);
    for key in ["file", "verified", "messages", "receipts", "reply", "error"] {
        assert!(result.get(key).is_some(), "{key} is missing in {result}");
    }
}
