//! What the citizen is to be told: a message of the locales with its arguments.

use jiff::Timestamp;

use crate::{
    channel::ChannelFacts,
    complaint::{ContentDisclosure, Medium, Privacy, ReporterDisclosure, TrackingId},
    gateway::Gateway,
};

/// A message of the locales, named as in `messages.toml` (`sms.ack`), with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub message: &'static str,
    pub arguments: Vec<(&'static str, String)>,
    /// BCP 47; the locales fall back to Indonesian.
    pub language: String,
    /// Texts that stand before it in the same message, with the same arguments: a welcome, a remark on what came.
    pub before: Vec<&'static str>,
    /// Arguments whose value is a text itself, by its name: the label of a choice, a question that is asked again.
    pub named: Vec<(&'static str, &'static str)>,
    /// What the citizen may choose from.
    pub choices: Vec<Offer>,
    /// A channel that can do so asks for the position itself.
    pub asks_location: bool,
}

/// A choice whose label is not found yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    pub key: String,
    pub label: Label,
}

/// What stands on a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Label {
    /// A text of the locales (`chat.consent_ask.consent_yes`).
    Text(&'static str),
    /// A tracking id, the name of a place.
    Words(String),
}

impl Said {
    /// A text alone.
    pub fn new(message: &'static str, arguments: Vec<(&'static str, String)>, language: &str) -> Self {
        Self {
            message,
            arguments,
            language: language.to_owned(),
            before: Vec::new(),
            named: Vec::new(),
            choices: Vec::new(),
            asks_location: false,
        }
    }
}

/// Finds the words for an occasion, on one channel and in one language.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    pub channel: &'a ChannelFacts,
    pub gateway: &'a Gateway,
    pub language: &'a str,
}

impl Speaker<'_> {
    pub fn say(&self, message: &'static str, arguments: Vec<(&'static str, String)>) -> Said {
        Said::new(message, arguments, self.language)
    }

    fn is_sms(&self) -> bool {
        self.channel.medium == Medium::Sms
    }

    /// The shorter words of an SMS, or those of a chat.
    fn either(&self, sms: &'static str, chat: &'static str, arguments: Vec<(&'static str, String)>) -> Said {
        self.say(if self.is_sms() { sms } else { chat }, arguments)
    }

    /// The tracking id of a new complaint. `place_is_clear`: nobody has to ask where it is.
    pub fn received(&self, id: &TrackingId, privacy: Privacy, place: PlaceKnown, at: Timestamp) -> Option<Said> {
        let (working_days, url) = (self.gateway.working_days.to_string(), self.gateway.privacy_url.clone());
        let id = ("id", id.to_string());
        // The words promise both: that the number is not passed on, and that the text is not published.
        let private = privacy.reporter_disclosure == ReporterDisclosure::Withheld
            && privacy.content_disclosure == ContentDisclosure::Agency;
        match self.channel.medium {
            Medium::Sms if private => Some(self.say("sms.ack_private", vec![id, ("url", url)])),
            Medium::Sms if place == PlaceKnown::No => Some(self.say("sms.ack_need_location", vec![id])),
            Medium::Sms => Some(self.say("sms.ack", vec![id, ("n", working_days), ("url", url)])),
            Medium::Email => {
                let organisation = self.gateway.organisation.clone();
                let arguments =
                    vec![id, ("date", self.date(at)), ("n", working_days), ("org", organisation), ("url", url)];
                Some(self.say("email.ack_body", arguments))
            }
            // The form shows the number itself, with a PIN.
            Medium::WebForm => None,
            _ => Some(self.say("chat.submitted", vec![id, ("n", working_days)])),
        }
    }

    pub fn too_short(&self) -> Said {
        self.either("sms.too_short", "chat.description_too_short", Vec::new())
    }

    pub fn unsupported(&self) -> Said {
        self.say("chat.unsupported", Vec::new())
    }

    pub fn duplicate(&self, first: &TrackingId) -> Said {
        self.say("chat.duplicate", vec![("id", first.to_string())])
    }

    pub fn added(&self, id: &TrackingId) -> Said {
        self.either("sms.followup_saved", "chat.followup_saved", vec![("id", id.to_string())])
    }

    pub fn withdrawn(&self, id: &TrackingId) -> Said {
        self.say("sms.withdrawn", vec![("id", id.to_string())])
    }

    pub fn erasure(&self, id: &TrackingId) -> Said {
        self.either("sms.erasure_received", "chat.erasure_received", vec![("id", id.to_string())])
    }

    pub fn privacy(&self, id: &TrackingId, privacy: Privacy) -> Said {
        let anonymous = privacy.reporter_disclosure == ReporterDisclosure::Withheld;
        let confidential = privacy.content_disclosure == ContentDisclosure::Agency;
        let label = match (anonymous, confidential, self.in_english()) {
            (true, true, false) => "Anonim + rahasia",
            (true, false, false) => "Anonim",
            (false, true, false) => "Rahasia",
            (false, false, false) => "Biasa",
            (true, true, true) => "Anonymous + confidential",
            (true, false, true) => "Anonymous",
            (false, true, true) => "Confidential",
            (false, false, true) => "Normal",
        };
        self.say("chat.privacy_changed", vec![("id", id.to_string()), ("privacy", label.to_owned())])
    }

    /// The same words for a number that nobody has and for one that somebody else has.
    pub fn not_found(&self, id: &str) -> Said {
        self.either("sms.status_not_found", "chat.status_not_found", vec![("id", id.to_owned())])
    }

    pub fn status(&self, id: &TrackingId, status: &str, at: Timestamp) -> Said {
        let arguments = vec![
            ("id", id.to_string()),
            ("status", self.status_label(status).to_owned()),
            ("date", self.date(at)),
            ("agency", self.gateway.organisation.clone()),
        ];
        self.either("sms.status", "chat.status", arguments)
    }

    pub fn which(&self) -> Said {
        self.either("sms.help", "chat.status_which", Vec::new())
    }

    /// The sender's reports, newest first, each to be pressed.
    pub fn which_of(&self, ids: &[TrackingId]) -> Said {
        let offer = |id: &TrackingId| Offer { key: format!("report:status:{id}"), label: Label::Words(id.to_string()) };
        Said { choices: ids.iter().map(offer).collect(), ..self.say("chat.status_which", Vec::new()) }
    }

    pub fn too_often(&self) -> Said {
        let minutes = ("minutes", "60".to_owned());
        self.either("sms.rate_limited", "chat.rate_limited", vec![minutes])
    }

    pub fn help(&self) -> Said {
        self.either("sms.help", "chat.help", Vec::new())
    }

    pub fn welcome(&self) -> Said {
        self.either("sms.help", "chat.welcome", vec![("org", self.gateway.organisation.clone())])
    }

    /// The notice is longer than an SMS; its page is named in every acknowledgement.
    pub fn notice(&self) -> Said {
        let (organisation, url) = (self.gateway.organisation.clone(), self.gateway.privacy_url.clone());
        self.either("sms.help", "chat.privacy_notice", vec![("org", organisation), ("url", url)])
    }

    pub fn nothing_to_move(&self) -> Said {
        self.either("sms.help", "chat.nothing_to_cancel", Vec::new())
    }

    pub fn language_set(&self) -> Said {
        self.say("chat.language_set", Vec::new())
    }

    pub fn stopped(&self) -> Said {
        self.say("chat.stopped", Vec::new())
    }

    fn in_english(&self) -> bool {
        self.language.starts_with("en")
    }

    /// Day, month and year, as people here write them.
    fn date(&self, at: Timestamp) -> String {
        at.to_zoned(self.channel.timezone.clone()).strftime("%d/%m/%Y").to_string()
    }

    /// `[status.labels]` of the messages; a word of the core that is not among them stands as it is.
    fn status_label<'a>(&self, status: &'a str) -> &'a str {
        let (indonesian, english) = match status {
            "received" => ("Diterima", "Received"),
            "verifying" => ("Diperiksa petugas", "Being checked"),
            "info_requested" => ("Menunggu keterangan Anda", "Waiting for your answer"),
            "forwarded" => ("Diteruskan ke instansi", "Forwarded to the agency"),
            "in_progress" => ("Sedang ditangani", "In progress"),
            "answered" => ("Sudah ditanggapi", "Answered"),
            "closed" => ("Selesai", "Done"),
            "rejected" => ("Tidak dapat ditindaklanjuti", "Cannot be handled"),
            "withdrawn" => ("Ditarik pelapor", "Withdrawn"),
            other => (other, other),
        };
        if self.in_english() { english } else { indonesian }
    }
}

/// Does the complaint say where it is?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKnown {
    Yes,
    No,
}
