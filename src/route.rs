//! Route: ordered rules over the complaint give queue, priority and service-level clock. First match wins.
//!
//! In: a complaint, and the queue that its channel names. Out: the queue. The rules are data (`routing.toml`), checked
//! when they are loaded; nothing about a complaint makes routing fail. An agency that the text names is used here and
//! nowhere else: the citizen's own hint in the complaint stays as it is.

use std::path::Path;

use serde::Serialize;

use crate::{
    agencies::{Agencies, phrases::Phrases},
    complaint::Complaint,
    diagnostic::{Diagnostic, Source},
    units::Span,
};

mod condition;
mod explain;
mod read;
mod rule;

pub use explain::{Explanation, RuleVerdict, Verdict};

use condition::Facts;
use rule::Rule;

/// The queue of whatever no rule, no channel and no `[default]` sends elsewhere.
pub const TRIAGE: &str = "triage";
/// Priority where nothing else is said.
pub const PRIORITY: u8 = 5;

/// The rules and the agencies table, compiled.
#[derive(Clone, Debug)]
pub struct Routing {
    rules: Vec<Rule>,
    default: Fallback,
    agencies: Agencies,
    /// The `words` of all rules.
    words: Phrases,
}

/// `[default]`: for complaints that no rule wants. Priority and clock are also for rules that do not say theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fallback {
    queue: String,
    priority: u8,
    service_level: Option<Span>,
}

/// Where a complaint goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Route {
    pub queue: String,
    /// 0 to 9; 5 where no rule says otherwise, more is more urgent.
    pub priority: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_level: Option<Span>,
    /// Name of the rule; None: the channel's queue or the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

impl Default for Routing {
    /// No rules: everything goes where its channel says, or to `triage`.
    fn default() -> Self {
        let default = Fallback { queue: TRIAGE.to_owned(), priority: PRIORITY, service_level: None };
        Self { rules: Vec::new(), default, agencies: Agencies::default(), words: Phrases::default() }
    }
}

impl Routing {
    /// Reads `routing.toml` of the folder; a file that is not there is an empty one. All mistakes at once.
    pub fn load(folder: &Path, agencies: &Agencies) -> Result<Self, Vec<Diagnostic>> {
        let path = folder.join("routing.toml");
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::read(&path, &text, agencies),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self { agencies: agencies.clone(), ..Self::default() })
            }
            Err(error) => Err(vec![Diagnostic::of_file(path, error.to_string())]),
        }
    }

    /// The rules of a text; `path` is its name in messages.
    pub fn read(path: &Path, text: &str, agencies: &Agencies) -> Result<Self, Vec<Diagnostic>> {
        read::read(&Source::new(path, text), agencies)
    }

    /// The route of a complaint. `channel_queue` is the queue that its channel names, ahead of the default one.
    pub fn route(&self, complaint: &Complaint, channel_queue: Option<&str>) -> Route {
        let facts = Facts::new(complaint, &self.agencies, &self.words);
        let matching = self.rules.iter().find_map(|rule| Some(rule.route(rule.matches(&facts).ok()?)));
        matching.unwrap_or_else(|| self.without_rule(channel_queue))
    }

    /// The route, and of each rule whether it matched, and why not.
    pub fn explain(&self, complaint: &Complaint, channel_queue: Option<&str>) -> Explanation {
        let facts = Facts::new(complaint, &self.agencies, &self.words);
        let route = self.route(complaint, channel_queue);
        Explanation::new(&self.rules, &facts, route, channel_queue)
    }

    fn without_rule(&self, channel_queue: Option<&str>) -> Route {
        Route {
            queue: channel_queue.unwrap_or(&self.default.queue).to_owned(),
            priority: self.default.priority,
            service_level: self.default.service_level,
            rule: None,
        }
    }
}

/// Is it a queue's name: 1 to 63 of a-z, 0-9 and `-`, not beginning with `-`?
pub fn is_queue(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::agencies::table;

    /// A complaint of an SMS, with `changes` on top.
    pub(super) fn complaint(changes: &Value) -> Complaint {
        let mut whole = json!({
            "schema_version": "1.0",
            "complaint_id": "01a20b8b-e418-726b-b2a7-4de452e6b438",
            "tracking_id": "S34-6Q3-D23",
            "report_type": "complaint",
            "description": "Jalan rusak di depan pasar, sudah dua minggu.",
            "description_language": "id",
            "requested_datetime": "2026-11-24T10:13:55+07:00",
            "received_datetime": "2026-11-24T10:14:07.380+07:00",
            "keywords": ["JALAN"],
            "location": { "region": { "scheme": "id-kemendagri", "code": "99.71.06" }, "source": "text" },
            "reporter": { "ref": "rp_aaaaaaaaaaaaaaaaaaaa" },
            "privacy": { "reporter_disclosure": "agency", "content_disclosure": "public", "chosen_by": "default" },
            "consent": { "legal_basis": "public_task", "notice_version": "2026-10", "method": "implied_by_message" },
            "channel": { "id": "sms-1708", "name": "sms", "recipient": "1708", "message_ids": ["1"] },
            "provenance": { "checks": [], "proves": { "sender": false, "content": true, "freshness": true },
                "assurance": "transport_verified", "gateway": "gw-1", "gateway_version": "0.1.0" },
            "screening": { "flags": [], "disposition": "accept" },
            "completeness": { "missing": [], "incomplete_parts": false, "single_shot": true },
            "raw_refs": [], "reply": { "capabilities": ["text"] }
        });
        for (key, value) in changes.as_object().expect("an object") {
            whole[key] = value.clone();
        }
        serde_json::from_value(whole).expect("a complaint")
    }

    pub(super) fn agencies() -> Agencies {
        table(include_str!("../config/agencies.csv"))
    }

    pub(super) fn routing(rules: &str) -> Routing {
        Routing::read(Path::new("routing.toml"), rules, &agencies()).unwrap_or_else(|mistakes| {
            panic!("{}", crate::diagnostic::render_all(&mistakes, crate::diagnostic::Style::Plain))
        })
    }

    fn queue(condition: &str, changes: &Value) -> String {
        let rules = format!("[[rule]]\nname = \"it\"\n{condition}\nqueue = \"yes\"\n");
        routing(&rules).route(&complaint(changes), None).queue
    }

    #[test]
    fn the_example_file_loads_and_routes() {
        let routing = routing(include_str!("../config/routing.toml"));
        assert_eq!(routing.route(&complaint(&json!({})), None).queue, TRIAGE, "its rules are examples in comments");
        let uncommented: String = include_str!("../config/routing.toml")
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line).to_owned() + "\n")
            .collect();
        let routing = self::routing(&uncommented);
        let route = routing.route(&complaint(&json!({ "description": "Mohon Dinas Kesehatan bertindak" })), None);
        assert_eq!(route.queue, "agency-dinkes-melati");
        let route = routing.route(&complaint(&json!({ "description": "Ada kebakaran di pasar" })), None);
        assert_eq!(
            (route.queue.as_str(), route.priority, route.service_level),
            ("urgent", 9, Some(Span::from_secs(3600)))
        );
    }

    #[test]
    fn each_condition_is_met_and_missed() {
        let none = json!({});
        for (condition, met) in [
            ("channel = \"sms-1708\"", true),
            ("channel = [\"wa-main\", \"sms-1708\"]", true),
            ("channel = \"sms\"", false),
            ("recipient = \"1708\"", true),
            ("recipient = [\"+62 811-0000-0001\"]", false),
            ("keyword = \"jalan\"", true),
            ("keyword = \"air\"", false),
            ("region = \"99.71\"", true),
            ("region = [\"99.7\", \"99.71.0\"]", false),
            ("language = \"id\"", true),
            ("language = [\"jv\", \"su\"]", false),
            ("report_type = \"complaint\"", true),
            ("report_type = [\"whistleblowing\"]", false),
            ("sensitivity = \"normal\"", true),
            ("sensitivity = \"confidential\"", false),
            ("words = \"jalan RUSAK\"", true),
            ("words = [\"banjir\", \"pasar\"]", true),
            ("words = \"jalan berlubang\"", false),
            ("words = \"ru\"", false),
            ("service_code = \"ROAD_DAMAGE\"", false),
            ("agency = \"BINAMARGA-MELATI\"", false),
            ("channel = \"sms-1708\"\nlanguage = \"id\"\nwords = \"pasar\"", true),
            ("channel = \"sms-1708\"\nlanguage = \"en\"\nwords = \"pasar\"", false),
        ] {
            assert_eq!(queue(condition, &none), if met { "yes" } else { TRIAGE }, "{condition}");
        }
    }

    #[test]
    fn what_the_complaint_does_not_say_matches_no_condition() {
        let bare = json!({ "description": "", "description_language": "und", "keywords": [], "location": { "source": "pin" } });
        for condition in
            ["keyword = \"jalan\"", "region = \"99\"", "language = \"id\"", "words = \"jalan\"", "service_code = \"X\""]
        {
            assert_eq!(queue(condition, &bare), TRIAGE, "{condition}");
        }
        assert_eq!(queue("service_code = \"road_damage\"", &json!({ "service_code": "ROAD_DAMAGE" })), "yes");
        assert_eq!(queue("language = \"zh-Hant\"", &json!({ "description_language": "zh-hant-TW" })), "yes");
        assert_eq!(queue("words = \"lampu mati\"", &json!({ "title": "Lampu mati!" })), "yes");
        assert_eq!(queue("sensitivity = \"confidential\"", &json!({ "report_type": "whistleblowing" })), "yes");
    }

    #[test]
    fn an_agency_is_known_by_the_hint_or_by_its_name_in_the_text() {
        let rule = "[[rule]]\nname = \"agency\"\nqueue = \"agency-{agency}\"\n";
        let queue = |changes: Value| routing(rule).route(&complaint(&changes), None).queue;
        assert_eq!(queue(json!({})), TRIAGE);
        assert_eq!(
            queue(json!({ "agency_hint": { "code": "LISTRIK", "name": "x", "source": "keyword" } })),
            "agency-listrik"
        );
        assert_eq!(queue(json!({ "agency_hint": { "name": "pdam", "source": "citizen" } })), "agency-air-melati");
        assert_eq!(queue(json!({ "description": "Pak Dinkes, RSUD penuh" })), "agency-dinkes-melati", "by the region");
        let both =
            json!({ "description": "PDAM", "agency_hint": { "code": "LISTRIK", "name": "x", "source": "keyword" } });
        assert_eq!(queue(both), "agency-listrik", "the hint is the citizen's choice");
        let foreign = json!({ "agency_hint": { "code": "../x", "name": "nobody", "source": "citizen" } });
        assert_eq!(queue(foreign), TRIAGE, "a code that is not in the table makes no queue");
    }

    #[test]
    fn a_condition_on_the_agency_picks_that_agency_for_the_queue() {
        let rule = "[[rule]]\nname = \"air\"\nagency = [\"AIR-MELATI\", \"LISTRIK\"]\nqueue = \"utility-{agency}\"\n";
        let routing = routing(rule);
        let route = |text: &str| routing.route(&complaint(&json!({ "description": text })), None).queue;
        assert_eq!(route("Dukcapil dan PDAM sama saja"), "utility-air-melati");
        assert_eq!(route("Dukcapil saja"), TRIAGE);
    }

    #[test]
    fn the_first_rule_wins_and_its_gaps_are_filled_from_the_default() {
        let routing = routing(
            "[default]\nqueue = \"all\"\npriority = 3\nservice_level = \"72h\"\n\
             [[rule]]\nname = \"one\"\nwords = \"pasar\"\nqueue = \"one\"\npriority = 0\n\
             [[rule]]\nname = \"two\"\nqueue = \"two\"\nservice_level = \"1h\"\nkeyword = \"jalan\"\n",
        );
        let hours = |hours: u64| Some(Span::from_secs(hours * 3600));
        let route = routing.route(&complaint(&json!({})), Some("of-the-channel"));
        assert_eq!(
            route,
            Route { queue: "one".into(), priority: 0, service_level: hours(72), rule: Some("one".into()) }
        );
        let route = routing.route(&complaint(&json!({ "description": "lain" })), None);
        assert_eq!(
            route,
            Route { queue: "two".into(), priority: 3, service_level: hours(1), rule: Some("two".into()) }
        );
        let other = complaint(&json!({ "description": "lain", "keywords": [] }));
        assert_eq!(routing.route(&other, Some("of-the-channel")).queue, "of-the-channel");
        assert_eq!(
            routing.route(&other, None),
            Route { queue: "all".into(), priority: 3, service_level: hours(72), rule: None }
        );
    }

    #[test]
    fn a_file_that_is_not_there_sends_everything_to_triage() {
        let routing = Routing::load(Path::new("/nowhere"), &Agencies::default()).expect("an empty one");
        assert_eq!(
            routing.route(&complaint(&json!({})), None),
            Route { queue: TRIAGE.into(), priority: PRIORITY, service_level: None, rule: None }
        );
    }

    #[test]
    fn queue_names_are_slugs() {
        for good in ["a", "triage", "agency-1", "0", &"a".repeat(63)] {
            assert!(is_queue(good), "{good}");
        }
        for bad in ["", "-a", "A", "a_b", "a:b", "a}b", "ä", &"a".repeat(64)] {
            assert!(!is_queue(bad), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn every_complaint_has_a_route_with_a_good_queue_and_an_explanation(
            text in "(\\PC|PDAM|dukcapil| ){0,60}", name in "\\PC{0,20}", code in "\\PC{0,9}", region in "\\PC{0,9}",
        ) {
            let routing = routing("[[rule]]\nname = \"a\"\nqueue = \"agency-{agency}\"\n[[rule]]\nname = \"b\"\nregion = \"99\"\nwords = [\"x y\", \"z\"]\nqueue = \"b\"\n");
            let complaint = complaint(&json!({
                "description": text,
                "agency_hint": { "code": code, "name": name, "source": "citizen" },
                "location": { "region": { "scheme": "s", "code": region }, "source": "text" },
            }));
            let route = routing.route(&complaint, None);
            prop_assert!(is_queue(&route.queue));
            let explanation = routing.explain(&complaint, None);
            prop_assert_eq!(&explanation.route, &route);
            prop_assert!(explanation.to_string().contains(&route.queue));
        }
    }
}
