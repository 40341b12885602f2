//! The settings of a mail channel, read into a [`Post`]; every mistake names its setting.

use std::path::Path;

use super::{After, Answering, Credential, Mail, Mailbox, OAuth, Post, Security, Server, Submission};
use crate::{
    mail::addresses::OurAddresses,
    settings::{Setting, SettingError, Settings},
    units::Span,
};

/// Settings that both adapters know.
const SHARED: [&str; 19] = [
    "addresses",
    "from",
    "from_name",
    "plus_addressing",
    "answers_a_day",
    "answer",
    "trusted_servers",
    "send_host",
    "send_port",
    "send_security",
    "send_ca_file",
    "send_username",
    "send_password",
    "send_refresh_token",
    "token_url",
    "client_id",
    "client_secret",
    "scope",
    "send_login",
];
/// Those of a mailbox.
const OF_IMAP: [&str; 11] = [
    "host",
    "port",
    "security",
    "ca_file",
    "username",
    "password",
    "refresh_token",
    "folders",
    "after",
    "move_to",
    "poll_every",
];
/// Answers to one sender in a day, at most: as many are remembered.
const MOST_ANSWERS: usize = 16;

/// Is there such a setting? A manifest of ours declares no other.
pub fn known_settings(mail: Mail) -> Vec<&'static str> {
    let own = if mail == Mail::Imap { &OF_IMAP[..] } else { &[] };
    SHARED.iter().chain(own).copied().collect()
}

/// Reads the settings of one channel. Relative paths begin in `config_dir`.
pub(super) fn read(mail: Mail, settings: &Settings, config_dir: &Path) -> Result<Post, Vec<SettingError>> {
    let mut reading = Reading { settings, config_dir, mistakes: Vec::new() };
    let ours = reading.addresses();
    let mailbox = (mail == Mail::Imap).then(|| reading.mailbox());
    let submission = reading.submission();
    let from = reading.from(&ours);
    let post = Post {
        trusted_servers: reading.list("trusted_servers"),
        mailbox: mailbox.flatten(),
        submission,
        from,
        from_name: reading.text("from_name"),
        plus_addressing: reading.text("plus_addressing").is_none_or(|value| value == "true"),
        answers_a_day: reading.number("answers_a_day", 5, 1..=MOST_ANSWERS),
        answer: reading.answering(),
        ours,
    };
    if reading.mistakes.is_empty() { Ok(post) } else { Err(reading.mistakes) }
}

struct Reading<'a> {
    settings: &'a Settings,
    config_dir: &'a Path,
    mistakes: Vec<SettingError>,
}

impl Reading<'_> {
    fn wrong(&mut self, setting: &'static str, message: impl Into<String>, hint: impl Into<String>) {
        self.mistakes.push(SettingError { setting, message: message.into(), hint: hint.into() });
    }

    /// A plain value that is not empty.
    fn text(&self, name: &str) -> Option<String> {
        match self.settings.get(name)? {
            Setting::Plain(value) => Some(value.trim().to_owned()).filter(|value| !value.is_empty()),
            Setting::Secret(_) => None,
        }
    }

    fn secret(&self, name: &str) -> Option<secrecy::SecretString> {
        match self.settings.get(name)? {
            Setting::Secret(values) => values.first().cloned(),
            Setting::Plain(_) => None,
        }
    }

    fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
    }

    fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy>(
        &mut self,
        name: &'static str,
        default: T,
        allowed: std::ops::RangeInclusive<T>,
    ) -> T {
        let Some(text) = self.text(name) else { return default };
        let number = text.parse::<T>().ok().filter(|number| allowed.contains(number));
        number.unwrap_or_else(|| {
            let hint = format!("write a whole number from {} to {}", allowed.start(), allowed.end());
            self.wrong(name, format!("setting `{name}` is {text:?}"), hint);
            default
        })
    }

    fn addresses(&mut self) -> OurAddresses {
        let list = self.text("addresses").unwrap_or_default();
        match OurAddresses::parse(&list) {
            Ok(ours) if !ours.is_empty() => ours,
            Ok(ours) => {
                let hint = "list the addresses that citizens write to, like \"lapor@kota.example\"";
                self.wrong("addresses", "setting `addresses` names no address", hint);
                ours
            }
            Err(error) => {
                let hint = "write addresses with commas between them: \"lapor@kota.example, *@aduan.kota.example\"";
                self.wrong("addresses", format!("setting `addresses`: {error}"), hint);
                OurAddresses::default()
            }
        }
    }

    /// Where answers come from: the first address of ours, unless the channel says otherwise.
    fn from(&mut self, ours: &OurAddresses) -> String {
        let from = self.text("from").or_else(|| ours.first()).unwrap_or_default();
        if from.is_empty() && self.mistakes.is_empty() {
            let hint = "write the address that answers come from, like \"lapor@kota.example\"";
            self.wrong("from", "setting `from` is missing, and `addresses` names no single mailbox", hint);
        } else if !from.is_empty() && OurAddresses::parse(&from).is_err() {
            self.wrong("from", "setting `from` is no mail address", "write one address, like \"lapor@kota.example\"");
        }
        from
    }

    fn answering(&mut self) -> Answering {
        match self.text("answer").as_deref() {
            None | Some("unless-forged") => Answering::UnlessForged,
            Some("only-aligned") => Answering::OnlyAligned,
            Some(other) => {
                let message = format!("setting `answer` is {other:?}");
                self.wrong("answer", message, "write \"unless-forged\" or \"only-aligned\"");
                Answering::UnlessForged
            }
        }
    }

    fn security(&mut self, name: &'static str) -> Security {
        match self.text(name).as_deref() {
            None | Some("tls") => Security::Tls,
            Some("starttls") => Security::StartTls,
            Some("none") => Security::None,
            Some(other) => {
                let message = format!("setting `{name}` is {other:?}");
                self.wrong(name, message, "write \"tls\", \"starttls\" or \"none\"");
                Security::Tls
            }
        }
    }

    fn server(&mut self, host: String, names: [&'static str; 3], ports: [u16; 3]) -> Server {
        let [port, security, ca_file] = names;
        let security = self.security(security);
        let default = match security {
            Security::Tls => ports[0],
            Security::StartTls => ports[1],
            Security::None => ports[2],
        };
        let ca_file = self.text(ca_file).map(|path| self.config_dir.join(path));
        Server { host, port: self.number(port, default, 1..=u16::MAX), security, ca_file }
    }

    fn mailbox(&mut self) -> Option<Mailbox> {
        let Some(host) = self.text("host") else {
            self.wrong("host", "setting `host` is empty", "write the name of the IMAP server");
            return None;
        };
        let server = self.server(host, ["port", "security", "ca_file"], [993, 143, 143]);
        let username = self.text("username").unwrap_or_default();
        let credential = self.credential("password", "refresh_token");
        let Some(credential) = credential else {
            let hint = "give `password`, or `refresh_token` with `token_url` and `client_id`, by reference";
            self.wrong("password", "the mailbox has neither a password nor a refresh token", hint);
            return None;
        };
        let mut folders = self.list("folders");
        if folders.is_empty() {
            folders.push("INBOX".to_owned());
        }
        let after = self.after(&folders);
        let poll_every = self.number("poll_every", 180_u64, 5..=3600);
        Some(Mailbox { server, username, credential, folders, after, poll_every: Span::from_secs(poll_every) })
    }

    fn after(&mut self, folders: &[String]) -> After {
        match (self.text("after").as_deref(), self.text("move_to")) {
            (None | Some("seen"), _) => After::Seen,
            (Some("delete"), _) => After::Delete,
            (Some("move"), Some(folder)) if !folders.contains(&folder) => After::Move(folder),
            (Some("move"), _) => {
                let hint = "name a folder that is not among `folders`; it must exist";
                self.wrong("move_to", "setting `after` is \"move\" and `move_to` names no other folder", hint);
                After::Seen
            }
            (Some(other), _) => {
                let message = format!("setting `after` is {other:?}");
                self.wrong("after", message, "write \"seen\", \"move\" or \"delete\"");
                After::Seen
            }
        }
    }

    fn credential(&mut self, password: &str, refresh_token: &str) -> Option<Credential> {
        if let Some(refresh_token) = self.secret(refresh_token) {
            let (Some(token_url), Some(client_id)) = (self.text("token_url"), self.text("client_id")) else {
                let hint = "a refresh token is used with `token_url` and `client_id`";
                self.wrong("token_url", "setting `token_url` or `client_id` is missing", hint);
                return None;
            };
            let (client_secret, scope) = (self.secret("client_secret"), self.text("scope"));
            return Some(Credential::OAuth(OAuth { token_url, client_id, client_secret, refresh_token, scope }));
        }
        self.secret(password).map(Credential::Password)
    }

    /// Answers leave by the server that `send_host` names; without one the channel cannot answer.
    fn submission(&mut self) -> Option<Submission> {
        let host = self.text("send_host")?;
        let server = self.server(host, ["send_port", "send_security", "send_ca_file"], [465, 587, 25]);
        let login = self.text("send_username").and_then(|username| {
            let credential = self.credential("send_password", "send_refresh_token");
            if credential.is_none() {
                let hint = "give `send_password` by reference, or leave `send_username` out";
                self.wrong("send_password", "setting `send_username` is there without a password", hint);
            }
            credential.map(|credential| (username, credential))
        });
        Some(Submission { server, login })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn settings(plain: &[(&str, &str)], secrets: &[&str]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in plain {
            settings.insert(*name, Setting::Plain((*value).to_owned()));
        }
        for name in secrets {
            settings.insert(*name, Setting::Secret(vec![SecretString::from("s3cret")]));
        }
        settings
    }

    fn wrong(mail: Mail, plain: &[(&str, &str)], secrets: &[&str]) -> Vec<&'static str> {
        let read = mail.post(&settings(plain, secrets), Path::new("/etc/loket"));
        read.err().unwrap_or_default().into_iter().map(|error| error.setting).collect()
    }

    #[test]
    fn a_mailbox_needs_little_and_has_defaults() {
        let plain = [("addresses", "lapor@kota.example"), ("host", "imap.kota.example"), ("username", "lapor")];
        let post = Mail::Imap.post(&settings(&plain, &["password"]), Path::new("/etc/loket")).expect("a post");
        let mailbox = post.mailbox.expect("a mailbox");
        assert_eq!((mailbox.server.port, mailbox.server.security), (993, Security::Tls));
        assert_eq!((mailbox.folders, mailbox.after), (vec!["INBOX".to_owned()], After::Seen));
        assert_eq!((post.from.as_str(), post.plus_addressing, post.answers_a_day), ("lapor@kota.example", true, 5));
        assert!(post.submission.is_none());
    }

    #[test]
    fn every_mistake_is_told_with_its_setting() {
        assert_eq!(wrong(Mail::Smtp, &[], &[]), ["addresses"]);
        assert_eq!(wrong(Mail::Smtp, &[("addresses", "*@kota.example")], &[]), ["from"]);
        let box_at = [("addresses", "a@b.example"), ("host", "h"), ("username", "u")];
        assert_eq!(wrong(Mail::Imap, &box_at, &[]), ["password"]);
        let plain =
            [box_at.as_slice(), &[("after", "move"), ("poll_every", "1"), ("answer", "x"), ("security", "ssl")]];
        let found = wrong(Mail::Imap, &plain.concat(), &["password"]);
        assert_eq!(found, ["security", "move_to", "poll_every", "answer"]);
        let plain = [("addresses", "a@b.example"), ("send_host", "h"), ("send_username", "u")];
        assert_eq!(wrong(Mail::Smtp, &plain, &[]), ["send_password"]);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let plain = [
            ("addresses", "a@b.example"),
            ("send_host", "h"),
            ("send_username", "u"),
            ("token_url", "https://t"),
            ("client_id", "c"),
        ];
        let post = Mail::Smtp
            .post(&settings(&plain, &["send_refresh_token", "client_secret"]), Path::new("/"))
            .expect("a post");
        assert!(!format!("{post:?}").contains("s3cret"));
    }
}
