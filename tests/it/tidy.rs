//! Our own rules: arrows between modules, configuration in step with its file, licences and bans of the tree.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::harness::repository;

/// Modules from the bottom up. A module may use what stands in an earlier row, and in its own.
const LAYERS: &[&[&str]] = &[
    &["units", "clock", "network", "gsm", "percent", "phone"],
    &["diagnostic", "receipt", "message", "secret"],
    &["settings", "complaint", "telemetry", "gateway"],
    &["signature"],
    &["journal", "store"],
    &["mail"],
    &["mapping"],
    &["adapter"],
    &["authenticity", "vault", "http", "tls", "channel"],
    &["sender", "locale", "agencies", "normalise", "assemble", "converse", "route", "acknowledge"],
    &["outbox", "media", "config"],
    &["pipeline", "letterbox", "poller"],
    &["mailbox", "smtp", "telegram"],
    &["server"],
    &["runtime"],
    &["demo"],
    &["cli"],
];

/// `(channel, normalise)`: an arrow that goes up, with its reason.
const EXCEPTIONS: &[(&str, &str, &str)] =
    &[("channel", "normalise", "`loket channel try` and samples show messages as normalise leaves them")];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The first name behind each `crate::` of a file, outside comments and its test module.
fn arrows(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let name = |text: &str| {
        text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        let Some(list) = after.strip_prefix('{') else {
            names.insert(name(after));
            continue;
        };
        let (mut depth, mut item) = (1, String::new());
        for letter in list.chars() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && letter == ',') {
                names.insert(name(item.trim()));
                item.clear();
                if depth == 0 {
                    break;
                }
            } else {
                item.push(letter);
            }
        }
    }
    names.remove("");
    names
}

#[test]
fn arrows_between_modules_go_one_way() {
    let layer: BTreeMap<&str, usize> =
        LAYERS.iter().enumerate().flat_map(|(layer, names)| names.iter().map(move |name| (*name, layer))).collect();
    let mut wrong = Vec::new();
    for path in sources(&repository("src")) {
        let relative = path.strip_prefix(repository("src")).expect("below src");
        let module = relative.components().next().expect("a name").as_os_str().to_string_lossy().replace(".rs", "");
        if matches!(module.as_str(), "lib" | "main") {
            continue;
        }
        let ours = *layer.get(module.as_str()).unwrap_or_else(|| panic!("module {module} has no place in LAYERS"));
        for used in arrows(&std::fs::read_to_string(&path).expect("a file")) {
            let Some(theirs) = layer.get(used.as_str()) else { continue };
            let is_exception = EXCEPTIONS.iter().any(|(from, to, _)| *from == module && *to == used);
            if *theirs > ours && !is_exception {
                wrong.push(format!("{}: {module} uses {used}", relative.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that go back:\n{}", wrong.join("\n"));
}

#[test]
fn an_arrow_is_read_from_a_use_line_and_from_a_path() {
    let text = "use crate::{\n a::{B, c::D},\n e,\n};\nuse crate::f::G;\nlet x = crate::h::i();\n// crate::no\n#[cfg(test)]\nuse crate::tests;";
    let expected: BTreeSet<String> = ["a", "e", "f", "h"].map(str::to_owned).into();
    assert_eq!(arrows(text), expected);
}

#[test]
fn the_commented_configuration_lists_every_setting_with_its_default() {
    let folder = tempfile::tempdir().expect("a folder");
    let nothing = |_: &str| None;
    let empty = loket::config::load(folder.path(), &nothing).expect("an empty folder is a configuration").config;
    std::fs::write(folder.path().join("loket.toml"), loket::config::COMMENTED).expect("a file");
    let commented = loket::config::load(folder.path(), &nothing).expect("the commented file is valid").config;
    let (empty, commented) =
        (serde_json::to_value(empty).expect("JSON"), serde_json::to_value(commented).expect("JSON"));
    assert_eq!(empty, commented);
    let mut missing = Vec::new();
    keys(&empty, &mut missing);
    missing.retain(|key| !loket::config::COMMENTED.contains(key.as_str()));
    assert!(missing.is_empty(), "not in config/loket.toml: {missing:?}");
}

fn keys(value: &Value, found: &mut Vec<String>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        found.push(key.clone());
        keys(value, found);
    }
}

#[test]
fn every_route_is_in_the_api_description_and_the_other_way_round() {
    let code = std::fs::read_to_string(repository("src/server.rs")).expect("a file");
    let routes: BTreeSet<_> = code.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let document: Value = serde_json::from_str(loket::server::OPENAPI).expect("JSON");
    let paths: BTreeSet<_> = document["paths"].as_object().expect("paths").keys().map(String::as_str).collect();
    assert_eq!(routes, paths);
}

#[test]
fn every_manifest_has_a_sample_that_passes() {
    for entry in std::fs::read_dir(repository("channels")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        assert!(
            text.contains("[[sample]]")
                && (text.contains("verify   = \"pass\"")
                    || text.contains("verify = \"pass\"")
                    || text.contains("adapter      = \"smtp\"")),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_tree_has_one_tls_back_end_one_http_client_and_known_licences() {
    let allowed = std::fs::read_to_string(repository("deny.toml")).expect("a file");
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--offline",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(repository(""))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let in_use: BTreeSet<_> =
        metadata["resolve"]["nodes"].as_array().expect("nodes").iter().map(|node| node["id"].to_string()).collect();
    let mut clients = 0;
    for package in metadata["packages"].as_array().expect("packages") {
        if !in_use.contains(&package["id"].to_string()) {
            continue;
        }
        let name = package["name"].as_str().expect("a name");
        assert!(!matches!(name, "openssl-sys" | "native-tls" | "aws-lc-rs" | "aws-lc-sys"), "{name} is banned");
        clients += usize::from(name == "reqwest");
        let licence = package["license"].as_str().unwrap_or_default().replace(['(', ')'], " ").replace('/', " OR ");
        // One of the alternatives has to be allowed, with all of its parts.
        let is_allowed = |part: &str| allowed.contains(&format!("\"{}\"", part.trim()));
        let is_good = licence.split(" OR ").any(|choice| choice.split(" AND ").all(is_allowed));
        assert!(is_good || licence.split(" AND ").all(|all| all.split(" OR ").any(is_allowed)), "{name}: {licence}");
    }
    assert_eq!(clients, 1, "one reqwest in the tree");
}
