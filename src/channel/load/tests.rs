use jiff::tz::TimeZone;

use super::*;
use crate::channel::{lint::tests::GOOD, provider::tests::normalise};

fn file(name: &str, text: &str) -> TomlFile {
    let source = Source { path: format!("{name}.toml").into(), text: text.to_owned() };
    TomlFile { source: Arc::new(source), digest: Digest::of([text.as_bytes()]), fault: None }
}

fn files(manifests: &[(&str, &str)], channels: &[(&str, &str)]) -> Files {
    let toml = |list: &[(&str, &str)]| list.iter().map(|(name, text)| ((*name).to_owned(), file(name, text))).collect();
    Files { manifests: toml(manifests), channels: toml(channels), ..Files::default() }
}

fn defaults() -> Defaults {
    Defaults {
        public_url: "https://loket.example".to_owned(),
        country: "ID".to_owned(),
        timezone: TimeZone::UTC,
        language: "id".to_owned(),
        config_dir: std::env::temp_dir(),
        normalise,
    }
}

fn environment(name: &str) -> Option<String> {
    match name {
        "ONE" | "ALSO_ONE" => Some("one".to_owned()),
        "TWO" => Some("two".to_owned()),
        "EMPTY" => Some("  ".to_owned()),
        _ => None,
    }
}

fn set(manifests: &[(&str, &str)], channels: &[(&str, &str)], previous: Option<&ChannelSet>) -> ChannelSet {
    load(&files(manifests, channels), &environment, &defaults(), previous)
}

fn channel_with(key: &str) -> String {
    format!("manifest = \"test\"\n[settings]\nkey = {key}\n")
}

const ONE: &str = "manifest = \"test\"\n[settings]\nkey = { env = \"ONE\" }\n";
const TWO: &str = "manifest = \"test\"\n[settings]\nkey = { env = \"TWO\" }\n";

fn reasons(set: &ChannelSet, id: &str) -> Vec<String> {
    match set.slot(id) {
        Some(Slot::Closed { reasons }) => reasons.iter().map(|reason| reason.message.clone()).collect(),
        other => panic!("{id} is not closed: {other:?}"),
    }
}

fn remarks(set: &ChannelSet) -> Vec<&str> {
    set.remarks.iter().map(|remark| remark.message.as_str()).collect()
}

#[test]
fn a_good_channel_opens_with_the_defaults_of_the_gateway() {
    let set = set(&[("test", GOOD)], &[("sms", ONE)], None);
    let channel = set.open("sms").expect("open");
    assert_eq!((channel.facts.title.as_str(), channel.facts.country.as_str()), ("Test", "ID"));
    assert_eq!(channel.receipts_url, "https://loket.example/in/sms/status");
    assert!(channel.takes("POST", Some("application/json; charset=utf-8")) && !channel.takes("GET", None));
    assert_eq!(remarks(&set), Vec::<&str>::new());
}

#[test]
fn an_empty_or_missing_secret_closes_its_channel_and_no_other() {
    for key in ["{ env = \"EMPTY\" }", "{ env = \"NOT_SET\" }", "{ file = \"not/there\" }", "\"hunter2\"", "[]"] {
        let set = set(&[("test", GOOD)], &[("bad", &channel_with(key)), ("good", TWO)], None);
        assert!(set.open("good").is_some(), "{key}");
        let reasons = reasons(&set, "bad");
        assert!(reasons.iter().any(|reason| reason.contains("`key`")), "{reasons:?}");
    }
}

#[test]
fn a_secret_in_clear_is_never_shown() {
    for channel in [
        channel_with("\"hunter2\""),
        "manifest = \"test\"\nkey = \"hunter2\"\n".to_owned(),
        "manifest = \"test\"\n[settings]\nkey = \"hunter2\n".to_owned(),
        "manifest = \"nothing\"\n[settings]\nkey = \"hunter2\"\n".to_owned(),
        "manifest = \"test\"\ntitle = 5\n[settings]\nkey = [[\"hunter2\"]]\n".to_owned(),
    ] {
        let set = set(&[("test", GOOD)], &[("sms", &channel)], None);
        let Some(Slot::Closed { reasons }) = set.slot("sms") else { panic!("closed") };
        for reason in reasons.iter() {
            let shown = format!("{} {:?} {}", reason.message, reason.hint, reason.source.text);
            assert!(!shown.contains("hunter2"), "{channel}: {shown}");
        }
    }
}

#[test]
fn a_channel_without_a_good_manifest_is_closed_with_the_reason() {
    let broken = GOOD.replace("title", "titel");
    let set = set(&[("test", &broken), ("tset", GOOD)], &[("a", ONE), ("b", &ONE.replace("test", "tets"))], None);
    assert!(reasons(&set, "a").iter().any(|reason| reason.contains("`titel`")));
    assert!(reasons(&set, "b")[0].contains("there is no manifest tets"));
}

#[test]
fn a_broken_manifest_that_nobody_uses_does_no_harm() {
    let set = set(&[("test", GOOD), ("broken", "= nonsense")], &[("sms", ONE)], None);
    assert!(set.open("sms").is_some() && set.remarks.is_empty());
}

#[test]
fn a_file_that_fails_later_changes_nothing() {
    let first = set(&[("test", GOOD)], &[("sms", ONE)], None);
    let running = first.open("sms").expect("open");
    let broken = GOOD.replace("title", "titel");
    for (manifest, channel, words) in [
        (broken.as_str(), ONE, "`titel`"),
        (GOOD, "manifest = ", "this is not TOML"),
        (GOOD, "manifest = \"test\"\n", "`key` is missing"),
        (GOOD, "manifest = \"other\"\n", "no manifest other"),
        (&GOOD.replace("messages = [{ id = \"1\" }]", "messages = []"), ONE, "fails"),
    ] {
        let second = set(&[("test", manifest)], &[("sms", channel)], Some(&first));
        assert!(Arc::ptr_eq(second.open("sms").expect("open"), running), "{words}");
        assert!(remarks(&second).iter().any(|remark| remark.contains(words)), "{words}: {:?}", remarks(&second));
        // And the mistake is told for as long as it is there.
        let third = set(&[("test", manifest)], &[("sms", channel)], Some(&second));
        assert_eq!(remarks(&third), remarks(&second));
    }
}

#[test]
fn what_did_not_change_is_not_made_again() {
    let first = set(&[("test", GOOD)], &[("a", ONE), ("b", TWO)], None);
    let second = set(&[("test", GOOD)], &[("a", ONE), ("b", &format!("{TWO}# note\n"))], Some(&first));
    assert!(Arc::ptr_eq(first.open("a").expect("open"), second.open("a").expect("open")));
    let (before, after) = (first.open("b").expect("open"), second.open("b").expect("open"));
    assert!(!Arc::ptr_eq(before, after) && Arc::ptr_eq(&before.manifest, &after.manifest));
}

#[test]
fn a_changed_manifest_and_a_new_channel_are_taken_up_and_a_removed_one_goes() {
    let first = set(&[("test", GOOD)], &[("a", ONE)], None);
    let changed = GOOD.replace("title = \"Test\"", "title = \"Changed\"");
    let second = set(&[("test", &changed)], &[("a", ONE), ("b", TWO)], Some(&first));
    assert_eq!(second.open("a").map(|channel| channel.facts.title.as_str()), Some("Changed"));
    assert!(second.open("b").is_some());
    let third = set(&[("test", &changed)], &[("b", TWO)], Some(&second));
    assert!(third.slot("a").is_none() && third.open("b").is_some());
}

#[test]
fn a_channel_whose_manifest_disappears_runs_on_marked() {
    let first = set(&[("test", GOOD)], &[("a", ONE)], None);
    let second = set(&[], &[("a", ONE)], Some(&first));
    assert!(Arc::ptr_eq(first.open("a").expect("open"), second.open("a").expect("open")));
    assert!(remarks(&second)[0].contains("is gone"), "{:?}", remarks(&second));
    let third = set(&[("test", GOOD)], &[("a", ONE)], Some(&second));
    assert!(third.open("a").is_some() && third.remarks.is_empty());
}

#[test]
fn a_folder_that_is_gone_closes_nothing() {
    let first = set(&[("test", GOOD)], &[("a", ONE)], None);
    let gone = Files { channels_are_gone: true, ..files(&[("test", GOOD)], &[]) };
    assert!(load(&gone, &environment, &defaults(), Some(&first)).open("a").is_some());
    assert!(load(&gone, &environment, &defaults(), None).slots.is_empty());
}

#[test]
fn two_channels_never_share_a_secret_unless_the_url_is_bound() {
    let also = channel_with("{ env = \"ALSO_ONE\" }");
    let first = set(&[("test", GOOD)], &[("b", ONE)], None);
    assert!(first.open("b").is_some());
    let both = set(&[("test", GOOD)], &[("a", &also), ("b", ONE)], Some(&first));
    assert!(both.open("b").is_some(), "what runs goes on");
    assert!(reasons(&both, "a")[0].contains("same secret as that of channel b"));
    let disabled = set(&[("test", GOOD)], &[("a", &format!("enabled = false\n{also}")), ("b", ONE)], None);
    assert!(disabled.open("a").is_some() && disabled.open("b").is_some());
}

#[test]
fn a_receiver_lends_its_url_and_its_keys() {
    let manifest = GOOD
        .replace("[message]", "[receive]\npick = { from = \".body.to\", setting = \"number\" }\n\n[message]")
        .replace("[[verify]]", "[settings.number]\nlabel = \"Number\"\n\n[[verify]]")
        .replace("settings = { key = \"k\" }", "settings = { key = \"k\", number = \"1708\" }");
    let main = format!("{ONE}number = \"1708\"\n");
    let shares =
        |receiver: &str| format!("manifest = \"test\"\nreceiver = \"{receiver}\"\n[settings]\nnumber = \"1709\"\n");
    let manifests = [("test", manifest.as_str())];
    let good = set(&manifests, &[("main", &main), ("a-second", &shares("main"))], None);
    let second = good.open("a-second").unwrap_or_else(|| panic!("{:?}", reasons(&good, "a-second")));
    assert_eq!((second.settings.values("key"), second.settings.values("number")), (vec!["one"], vec!["1709"]));
    assert_eq!(second.receipts_url, "https://loket.example/in/main/status");
    for (receiver, words) in
        [("a-second", "names itself"), ("nobody", "there is no channel"), ("third", "has a receiver itself")]
    {
        let channels = [("main", main.as_str()), ("a-second", &shares(receiver)), ("third", &shares("main"))];
        let set = set(&manifests, &channels, None);
        assert!(reasons(&set, "a-second")[0].contains(words), "{receiver}");
    }
    let without_pick =
        set(&[("test", GOOD)], &[("main", ONE), ("b", "manifest = \"test\"\nreceiver = \"main\"\n")], None);
    assert!(reasons(&without_pick, "b")[0].contains("[receive] pick"));
}

#[test]
fn a_secret_file_that_changes_makes_a_new_channel() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("key");
    std::fs::write(&path, "k1\n").expect("written");
    let channel = channel_with(&format!("{{ file = {path:?} }}"));
    let first = set(&[("test", GOOD)], &[("sms", &channel)], None);
    assert!(!first.memory.has_new_secrets());
    std::fs::write(&path, "k2\n").expect("written");
    assert!(first.memory.has_new_secrets());
    let second = set(&[("test", GOOD)], &[("sms", &channel)], Some(&first));
    assert_eq!(second.open("sms").map(|channel| channel.settings.values("key")), Some(vec!["k2"]));
    std::fs::write(&path, "\n").expect("written");
    let third = set(&[("test", GOOD)], &[("sms", &channel)], Some(&second));
    assert_eq!(
        third.open("sms").map(|channel| channel.settings.values("key")),
        Some(vec!["k2"]),
        "an empty one changes nothing"
    );
}

#[test]
fn a_file_that_is_no_channel_is_named() {
    let set = set(&[("test", GOOD)], &[("SMS_1", ONE)], None);
    assert!(set.slots.is_empty() && remarks(&set)[0].contains("no channel id"));
}

#[test]
fn terms_may_only_lower_what_the_manifest_allows() {
    for (terms, words) in [
        ("country = \"id\"", "`country`"),
        ("timezone = \"Mars/Base\"", "`timezone`"),
        ("language = \"???\"", "`language`"),
        ("queue = \"no queue\"", "`queue`"),
        ("limits = { max_body = \"2 MiB\" }", "`limits.max_body`"),
        ("limits = { send_per_second = 11 }", "`limits.send_per_second`"),
        ("limits = { send_per_second = 0 }", "`limits.send_per_second`"),
    ] {
        let set = set(&[("test", GOOD)], &[("sms", &format!("{terms}\n{ONE}"))], None);
        let reasons = reasons(&set, "sms");
        assert!(reasons.len() == 1 && reasons[0].contains(words), "{terms}: {reasons:?}");
    }
    let lower = format!("limits = {{ max_body = \"1 KiB\", send_per_second = 0.5, acks_per_day = 5 }}\n{ONE}");
    let set = set(&[("test", GOOD)], &[("sms", &lower)], None);
    let channel = set.open("sms").expect("open");
    assert_eq!((channel.max_body.as_u64(), channel.send_per_second, channel.acks_per_day), (1024, 0.5, Some(5)));
}
