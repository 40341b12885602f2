//! Auth tables (`channel-manifest.md` §5): how a request of ours proves who we are. Their values are settings or literals;
//! a secret is read when the request is composed, and stands nowhere else.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    Compiler, Outgoing, Response,
    request::{check_header_name, check_header_value},
    url::{push_pair, push_parameter},
};
use crate::{
    adapter::webhook::rules::AuthTable,
    settings::{self, Settings},
};

/// A token is asked for anew this long before it expires.
const EARLY: Duration = Duration::from_secs(30);

/// How long a token is kept whose answer does not say so.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);

/// A value of the table.
#[derive(Debug)]
pub(super) enum Given {
    Literal(String),
    Setting(String),
}

impl Given {
    fn of(text: &str, compiler: &mut Compiler<'_>) -> Self {
        if let Some(name) = settings::reference(text) {
            return Self::Setting(name.to_owned());
        }
        if text.contains("${") {
            compiler.mistake_with_hint("auth", "a setting is mixed with text", "a setting stands alone: \"${name}\"");
        }
        Self::Literal(text.to_owned())
    }

    /// The current value: the first one, while a secret has two.
    fn value<'a>(&'a self, settings: &'a Settings) -> Result<&'a str, String> {
        let value = match self {
            Self::Literal(value) => Some(value.as_str()),
            Self::Setting(name) => settings.values(name).first().copied().filter(|value| !value.is_empty()),
        };
        value.ok_or_else(|| match self {
            Self::Setting(name) => format!("auth: the setting {name} has no value"),
            Self::Literal(_) => "auth: a value is empty".to_owned(),
        })
    }
}

/// A compiled auth table.
#[derive(Debug)]
pub(super) enum Auth {
    Basic { user: Given, password: Given },
    Bearer { token: Given },
    Header { name: String, value: Given, prefix: String },
    Query { name: String, value: Given },
    Oauth2 { token_url: Given, client_id: Given, client_secret: Given, scope: Option<String> },
}

impl Auth {
    pub fn compile(table: &AuthTable, compiler: &mut Compiler<'_>) -> Self {
        let mut given = |text: &String| Given::of(text, compiler);
        match table {
            AuthTable::Basic { user, password } => Self::Basic { user: given(user), password: given(password) },
            AuthTable::Bearer { token } => Self::Bearer { token: given(token) },
            AuthTable::Query { name, value } => Self::Query { name: name.clone(), value: given(value) },
            AuthTable::Header { name, value, prefix } => {
                let value = given(value);
                check_header_name("auth", name, compiler);
                Self::Header { name: name.clone(), value, prefix: prefix.clone() }
            }
            AuthTable::Oauth2 { token_url, client_id, client_secret, scope } => Self::Oauth2 {
                token_url: given(token_url),
                client_id: given(client_id),
                client_secret: given(client_secret),
                scope: scope.clone(),
            },
        }
    }

    /// Signs a request. `token` is the shell's, for `oauth2`.
    pub fn apply(&self, outgoing: &mut Outgoing, settings: &Settings, token: Option<&str>) -> Result<(), String> {
        let authorization = "authorization".to_owned();
        let (name, value) = match self {
            Self::Basic { user, password } => (authorization, basic(user.value(settings)?, password.value(settings)?)?),
            Self::Bearer { token } => (authorization, format!("Bearer {}", token.value(settings)?)),
            Self::Header { name, value, prefix } => (name.clone(), format!("{prefix}{}", value.value(settings)?)),
            Self::Oauth2 { .. } => (authorization, format!("Bearer {}", token.ok_or("auth: there is no token yet")?)),
            Self::Query { name, value } => {
                push_parameter(&mut outgoing.url, name, value.value(settings)?);
                return Ok(());
            }
        };
        check_header_value(&name, &value)?;
        outgoing.headers.push((name, value));
        Ok(())
    }

    /// RFC 6749 §4.4.2, with the client's credentials as §2.3.1 wants every server to read them.
    pub fn token_request(&self, settings: &Settings) -> Result<Option<Outgoing>, String> {
        let Self::Oauth2 { token_url, client_id, client_secret, scope } = self else { return Ok(None) };
        let url = token_url.value(settings)?;
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err("auth: token_url begins with neither https:// nor http://".to_owned());
        }
        let encoded = |given: &Given| -> Result<String, String> {
            let mut pair = String::new();
            push_pair(&mut pair, "", given.value(settings)?);
            Ok(pair.split_off(1))
        };
        let mut body = String::new();
        push_pair(&mut body, "grant_type", "client_credentials");
        if let Some(scope) = scope {
            body.push('&');
            push_pair(&mut body, "scope", scope);
        }
        Ok(Some(Outgoing {
            method: "POST".to_owned(),
            url: url.to_owned(),
            shown: "auth.token_url".to_owned(),
            headers: vec![
                ("authorization".to_owned(), basic(&encoded(client_id)?, &encoded(client_secret)?)?),
                ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
                ("accept".to_owned(), "application/json".to_owned()),
            ],
            body: body.into_bytes(),
        }))
    }
}

/// RFC 7617.
fn basic(user: &str, password: &str) -> Result<String, String> {
    if user.contains(':') {
        return Err("auth: the user name of basic authentication holds a colon".to_owned());
    }
    Ok(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// What a token endpoint gave.
#[derive(Debug)]
pub struct OauthToken {
    pub secret: SecretString,
    /// How long it may be used from now on.
    pub lifetime: Duration,
}

impl OauthToken {
    /// RFC 6749 §5.1. The error holds nothing of the answer.
    pub fn read(response: &Response) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            #[serde(default)]
            expires_in: Option<serde_json::Value>,
        }
        if response.status != 200 {
            return Err(format!("auth: the token endpoint answers {}", response.status));
        }
        let granted: Granted = serde_json::from_slice(&response.body)
            .map_err(|_| "auth: the token endpoint answers no access_token".to_owned())?;
        if granted.access_token.is_empty() {
            return Err("auth: the token endpoint answers an empty access_token".to_owned());
        }
        // Some servers write the number as a string.
        let seconds = granted.expires_in.and_then(|value| match value {
            serde_json::Value::String(text) => text.parse().ok(),
            other => other.as_u64(),
        });
        let lifetime = seconds.map_or(DEFAULT_LIFETIME, |seconds| Duration::from_secs(u64::min(seconds, 86_400)));
        Ok(Self { secret: granted.access_token.into(), lifetime: lifetime.saturating_sub(EARLY) })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::settings::Setting;

    fn settings() -> Settings {
        let mut settings = Settings::default();
        settings.insert("user", Setting::Plain("AC1".to_owned()));
        settings.insert("token", Setting::Secret(vec!["new".into(), "old".into()]));
        settings.insert("split", Setting::Secret(vec!["a\r\nX-Evil: 1".into()]));
        settings
    }

    fn applied(table: &str, token: Option<&str>) -> Result<Outgoing, String> {
        let mut errors = Vec::new();
        let table: AuthTable = toml::from_str(table).expect("a table");
        let auth = Auth::compile(&table, &mut Compiler { section: "send", errors: &mut errors });
        assert_eq!(errors, []);
        let mut outgoing = Outgoing {
            method: "POST".to_owned(),
            url: "https://api.example/send".to_owned(),
            shown: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        auth.apply(&mut outgoing, &settings(), token).map(|()| outgoing)
    }

    #[test]
    fn each_kind_signs_with_the_current_value() {
        let cases = [
            ("kind = 'basic'\nuser = '${user}'\npassword = '${token}'", "authorization", "Basic QUMxOm5ldw=="),
            ("kind = 'bearer'\ntoken = '${token}'", "authorization", "Bearer new"),
            ("kind = 'header'\nname = 'X-Key'\nvalue = '${token}'\nprefix = 'App '", "X-Key", "App new"),
            (
                "kind = 'oauth2'\ntoken_url = 'https://a.example/t'\nclient_id = 'c'\nclient_secret = '${token}'",
                "authorization",
                "Bearer granted",
            ),
        ];
        for (table, name, value) in cases {
            let outgoing = applied(table, Some("granted")).expect(table);
            assert_eq!(outgoing.headers, [(name.to_owned(), value.to_owned())], "{table}");
        }
        let outgoing = applied("kind = 'query'\nname = 'api key'\nvalue = '${token}'", None).expect("query");
        assert_eq!(outgoing.url, "https://api.example/send?api%20key=new");
    }

    #[test]
    fn a_missing_setting_and_a_second_header_line_are_refused_without_their_value() {
        let missing = applied("kind = 'bearer'\ntoken = '${nothing}'", None).expect_err("missing");
        assert!(missing.contains("nothing"), "{missing}");
        let split = applied("kind = 'bearer'\ntoken = '${split}'", None).expect_err("two lines");
        assert!(!split.contains("Evil"), "{split}");
        assert!(
            applied("kind = 'oauth2'\ntoken_url = 'https://a.example/t'\nclient_id = 'c'\nclient_secret = 's'", None)
                .is_err()
        );
    }

    #[test]
    fn a_setting_that_is_mixed_with_text_is_a_mistake() {
        let mut errors = Vec::new();
        let table = AuthTable::Bearer { token: "x${token}".to_owned() };
        let _ = Auth::compile(&table, &mut Compiler { section: "send", errors: &mut errors });
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].key, "auth");
    }

    #[test]
    fn a_token_is_asked_for_with_the_clients_credentials() {
        let table: AuthTable = toml::from_str(
            "kind = 'oauth2'\ntoken_url = 'https://a.example/t'\nclient_id = '${user}'\nclient_secret = '${token}'\nscope = 'sms send'",
        )
        .expect("a table");
        let mut errors = Vec::new();
        let auth = Auth::compile(&table, &mut Compiler { section: "send", errors: &mut errors });
        let outgoing = auth.token_request(&settings()).expect("composed").expect("a request");
        assert_eq!(outgoing.body, b"grant_type=client_credentials&scope=sms%20send");
        assert_eq!(outgoing.headers[0].1, "Basic QUMxOm5ldw==");
    }

    #[test]
    fn a_token_lives_a_little_shorter_than_granted() {
        let answer = |body: &str| Response { status: 200, headers: Vec::new(), body: body.as_bytes().to_vec() };
        let token = OauthToken::read(&answer(r#"{"access_token":"t","expires_in":3600}"#)).expect("a token");
        assert_eq!((token.secret.expose_secret(), token.lifetime), ("t", Duration::from_secs(3570)));
        let token = OauthToken::read(&answer(r#"{"access_token":"t","expires_in":"60"}"#)).expect("a token");
        assert_eq!(token.lifetime, Duration::from_secs(30));
        let secret = OauthToken::read(&answer(r#"{"error":"s3cret"}"#)).expect_err("no token");
        assert!(!secret.contains("s3cret"));
        assert!(OauthToken::read(&Response { status: 401, headers: Vec::new(), body: Vec::new() }).is_err());
    }
}
