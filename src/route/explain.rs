//! `loket route explain`: each rule, whether it matched, and the first condition that did not hold.

use std::fmt;

use serde::Serialize;

use super::{
    Route,
    condition::Facts,
    rule::{Miss, Rule},
};

/// A route with its reasons. Nothing in it quotes the citizen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    pub route: Route,
    /// Where the queue comes from when no rule matched: `channel` or `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<&'static str>,
    /// Codes of the agencies that the complaint is about: its hint, then those that its text names.
    pub agencies: Vec<String>,
    /// In the order of the file.
    pub rules: Vec<RuleVerdict>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleVerdict {
    pub name: String,
    pub verdict: Verdict,
    /// The key of the first condition that does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<&'static str>,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first that matches: the route is its.
    Chosen,
    /// It matches too, but an earlier one was first.
    TooLate,
    No,
}

impl Explanation {
    pub(super) fn new(rules: &[Rule], facts: &Facts<'_>, route: Route, channel_queue: Option<&str>) -> Self {
        let mut verdict_of_match = Verdict::Chosen;
        let rules = rules.iter().map(|rule| {
            let (verdict, condition, reason) = match rule.matches(facts) {
                Ok(_) => (std::mem::replace(&mut verdict_of_match, Verdict::TooLate), None, None),
                Err(Miss::Condition(condition)) => (Verdict::No, Some(condition.key()), Some(condition.reason(facts))),
                Err(Miss::NoAgency) => {
                    let reason = "queue: it is an agency's, and the complaint names no agency of the table";
                    (Verdict::No, Some("queue"), Some(reason.to_owned()))
                }
            };
            RuleVerdict { name: rule.name.clone(), verdict, condition, reason }
        });
        let rules = rules.collect();
        let source = if channel_queue.is_some() { "channel" } else { "default" };
        let fallback = route.rule.is_none().then_some(source);
        let agencies = facts.named().iter().map(|place| facts.agencies.all()[*place].code.clone()).collect();
        Self { route, fallback, agencies, rules }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rules.iter().map(|rule| rule.name.chars().count()).max().unwrap_or(0);
        for RuleVerdict { name, verdict, reason, .. } in &self.rules {
            match (verdict, reason) {
                (Verdict::Chosen, _) => writeln!(out, "yes  {name}")?,
                (Verdict::TooLate, _) => {
                    writeln!(out, "     {name:width$}  matches too, but an earlier rule was first")?;
                }
                (Verdict::No, reason) => {
                    writeln!(out, "no   {name:width$}  {}", reason.as_deref().unwrap_or_default())?;
                }
            }
        }
        if !self.agencies.is_empty() {
            writeln!(out, "agencies: {}", self.agencies.join(", "))?;
        }
        let Route { queue, priority, service_level, rule } = &self.route;
        write!(out, "queue {queue}, priority {priority}")?;
        if let Some(span) = service_level {
            write!(out, ", service level {span}")?;
        }
        match (rule, self.fallback) {
            (Some(rule), _) => write!(out, ": rule {rule}"),
            (None, Some("channel")) => write!(out, ": no rule matches, and the channel names this queue"),
            (None, _) => write!(out, ": no rule matches"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{complaint, routing};

    const RULES: &str = r#"
[[rule]]
name = "whistle"
report_type = "whistleblowing"
queue = "integrity"

[[rule]]
name = "flood"
region = "99"
words = ["banjir", "air naik", "genangan", "rob", "luapan", "tanggul"]
queue = "flood"

[[rule]]
name = "agency"
queue = "agency-{agency}"

[[rule]]
name = "roads"
keyword = "jalan"
queue = "roads"
priority = 6
service_level = "48h"

[[rule]]
name = "city"
region = "99.71"
queue = "city"

[[rule]]
name = "coded"
service_code = "A"
queue = "coded"
"#;

    #[test]
    fn every_rule_says_why_it_did_not_match() {
        let explanation = routing(RULES).explain(&complaint(&json!({})), None);
        assert_eq!(
            explanation.to_string(),
            "\
no   whistle  report_type: it is complaint, not whistleblowing
no   flood    words: the text has none of \"banjir\" or \"air naik\" or \"genangan\" or \"rob\" or \"luapan\" or 1 others
no   agency   queue: it is an agency's, and the complaint names no agency of the table
yes  roads
     city     matches too, but an earlier rule was first
no   coded    service_code: the complaint has none; wanted is A
queue roads, priority 6, service level 2d: rule roads"
        );
        let first = serde_json::to_value(&explanation.rules[0]).expect("plain data");
        assert_eq!(first["verdict"], "no");
        assert_eq!(first["condition"], "report_type");
    }

    #[test]
    fn without_a_matching_rule_the_queue_says_where_it_is_from() {
        let complaint = complaint(&json!({ "keywords": [], "location": { "source": "pin" }, "description": "x" }));
        let routing = routing(RULES);
        assert!(
            routing
                .explain(&complaint, Some("sms"))
                .to_string()
                .ends_with("queue sms, priority 5: no rule matches, and the channel names this queue")
        );
        assert!(routing.explain(&complaint, None).to_string().ends_with("queue triage, priority 5: no rule matches"));
    }

    #[test]
    fn the_words_of_the_citizen_are_not_in_an_explanation() {
        let explanation = routing(RULES).explain(&complaint(&json!({ "description": "rahasia sekali PDAM" })), None);
        let shown = format!("{explanation} {explanation:?} {}", serde_json::to_string(&explanation).expect("plain"));
        assert!(!shown.contains("rahasia") && !shown.contains("rp_"), "{shown}");
        assert_eq!(explanation.agencies, ["AIR-MELATI"]);
    }
}
