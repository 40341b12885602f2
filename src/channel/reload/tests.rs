use jiff::tz::TimeZone;

use super::*;
use crate::channel::{lint::tests::GOOD, provider::tests::normalise};

const CHANNEL: &str = "manifest = \"test\"\n[settings]\nkey = { env = \"KEY\" }\n";

fn loader(root: &std::path::Path) -> Loader {
    let folders = Folders { manifests: root.join("channels"), channels: root.join("config") };
    std::fs::create_dir_all(&folders.manifests).expect("a folder");
    std::fs::create_dir_all(&folders.channels).expect("a folder");
    std::fs::write(folders.manifests.join("test.toml"), GOOD).expect("written");
    let defaults = Defaults {
        public_url: "https://loket.example".to_owned(),
        country: "ID".to_owned(),
        timezone: TimeZone::UTC,
        language: "id".to_owned(),
        config_dir: root.to_owned(),
        normalise,
    };
    let environment = Arc::new(|name: &str| (name == "KEY").then(|| "k".to_owned()));
    Loader { folders, environment, defaults: Arc::new(defaults) }
}

#[test]
fn a_change_is_taken_up_when_two_readings_agree() {
    let root = tempfile::tempdir().expect("a folder");
    let loader = loader(root.path());
    let (files, set) = loader.start();
    assert!(set.slots.is_empty());
    let mut known = Known { loaded: files, seen: None };
    assert!(loader.reading(&mut known, &set).is_none(), "nothing changed");

    let path = loader.folders.channels.join("sms.toml");
    std::fs::write(&path, "manifest = \"te").expect("written");
    assert!(loader.reading(&mut known, &set).is_none(), "it may still be written");
    std::fs::write(&path, CHANNEL).expect("written");
    assert!(loader.reading(&mut known, &set).is_none(), "it was");
    let set = loader.reading(&mut known, &set).expect("a new set");
    assert!(set.open("sms").is_some());
    assert!(loader.reading(&mut known, &set).is_none(), "once");
}

#[tokio::test]
async fn subscribers_are_told_of_a_swap() {
    let root = tempfile::tempdir().expect("a folder");
    let loader = loader(root.path());
    let (files, first) = loader.start();
    let (sender, task) = watch_every(Duration::from_millis(5), loader.clone(), files, first);
    let mut sets = sender.subscribe();
    std::fs::write(loader.folders.channels.join("sms.toml"), CHANNEL).expect("written");
    let told = tokio::time::timeout(Duration::from_secs(30), sets.changed()).await;
    assert!(matches!(told, Ok(Ok(()))));
    assert!(sets.borrow().open("sms").is_some());
    task.abort();
}
