//! Where Redis is: what `store = "redis…://…"` says.
//!
//! `redis://[user[:password]@]host[:port][/db]` is one server, `redis-sentinel://host:port,host:port/master` asks
//! Sentinels which one it is, `redis-cluster://host:port,host:port` is a cluster. With `rediss` in place of `redis` all of
//! it goes over TLS.

use std::{fmt, str::FromStr};

use redis::{
    ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo, RedisResult, io::tcp::TcpSettings,
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::percent;

/// How the servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One server.
    Single,
    /// Whichever server the Sentinels name under this name.
    Sentinel {
        master: String,
    },
    Cluster,
}

/// A host name or address with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub host: String,
    pub port: u16,
}

/// Who the gateway is to Redis.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<SecretString>,
}

/// A parsed store URL.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub kind: Kind,
    /// Servers, or Sentinels, or some nodes of the cluster; at least one.
    pub nodes: Vec<Node>,
    pub is_tls: bool,
    pub database: i64,
    pub credentials: Credentials,
}

/// What is wrong with a store URL; the text repeats no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadDeployment {
    #[error("the scheme is not known")]
    Scheme,
    #[error("there is no host in it")]
    NoHost,
    #[error("`{0}` is no host:port")]
    Node(String),
    #[error("the name of the master is missing: redis-sentinel://host:port,host:port/master")]
    NoMaster,
    #[error("several hosts need redis-sentinel:// or redis-cluster://")]
    OneHost,
    #[error("`{0}` is no number of a database")]
    Database(String),
    #[error("a cluster has one database: leave out what follows the hosts")]
    ClusterDatabase,
}

impl FromStr for Deployment {
    type Err = BadDeployment;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(BadDeployment::Scheme)?;
        let (scheme, suffix) = scheme.split_once('-').map_or((scheme, None), |(scheme, suffix)| (scheme, Some(suffix)));
        let is_tls = match scheme {
            "redis" => false,
            "rediss" => true,
            _ => return Err(BadDeployment::Scheme),
        };
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Credentials::read(credentials), rest),
            None => (Credentials::default(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let default_port = if suffix == Some("sentinel") { 26379 } else { 6379 };
        let nodes = nodes(hosts, default_port)?;
        let (kind, database) = match suffix {
            None if nodes.len() > 1 => return Err(BadDeployment::OneHost),
            None => (Kind::Single, database(path)?),
            Some("sentinel") => {
                let (master, path) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(BadDeployment::NoMaster);
                }
                (Kind::Sentinel { master: master.to_owned() }, database(path)?)
            }
            Some("cluster") if path.is_empty() => (Kind::Cluster, 0),
            Some("cluster") => return Err(BadDeployment::ClusterDatabase),
            Some(_) => return Err(BadDeployment::Scheme),
        };
        Ok(Self { kind, nodes, is_tls, database, credentials })
    }
}

impl Credentials {
    fn read(text: &str) -> Self {
        let (username, password) =
            text.split_once(':').map_or((text, None), |(username, password)| (username, Some(password)));
        Self {
            username: Some(percent::decoded(username)).filter(|username| !username.is_empty()),
            password: password.map(|password| percent::decoded(password).into()),
        }
    }
}

fn nodes(hosts: &str, default_port: u16) -> Result<Vec<Node>, BadDeployment> {
    let node = |text: &str| {
        let bad = || BadDeployment::Node(text.to_owned());
        // An IPv6 address stands in brackets.
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map(|(host, port)| (host, port.strip_prefix(':').unwrap_or(port))),
            None => Some(text.split_once(':').unwrap_or((text, ""))),
        }
        .ok_or_else(bad)?;
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(bad());
        }
        let port = if port.is_empty() { default_port } else { port.parse().map_err(|_| bad())? };
        Ok(Node { host: host.to_owned(), port })
    };
    let nodes =
        hosts.split(',').map(str::trim).filter(|text| !text.is_empty()).map(node).collect::<Result<Vec<_>, _>>()?;
    if nodes.is_empty() { Err(BadDeployment::NoHost) } else { Ok(nodes) }
}

fn database(path: &str) -> Result<i64, BadDeployment> {
    let path = path.trim_end_matches('/');
    if path.is_empty() { Ok(0) } else { path.parse().map_err(|_| BadDeployment::Database(path.to_owned())) }
}

impl Deployment {
    /// What the client library needs to reach a node.
    pub fn connection(&self, node: &Node, credentials: &Credentials) -> RedisResult<ConnectionInfo> {
        let (host, port) = (node.host.clone(), node.port);
        let address = if self.is_tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let mut settings = RedisConnectionInfo::default().set_db(self.database);
        if let Some(username) = &credentials.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &credentials.password {
            settings = settings.set_password(password.expose_secret());
        }
        let info = address.into_connection_info()?;
        Ok(info.set_redis_settings(settings).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// For the log: no credentials.
impl fmt::Display for Deployment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.nodes.iter().map(Node::to_string).collect::<Vec<_>>().join(", ");
        match &self.kind {
            Kind::Single => write!(out, "Redis at {nodes}"),
            Kind::Sentinel { master } => write!(out, "Redis `{master}` of the Sentinels {nodes}"),
            Kind::Cluster => write!(out, "the Redis cluster of {nodes}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Deployment {
        text.parse().expect("a deployment")
    }

    fn node(host: &str, port: u16) -> Node {
        Node { host: host.to_owned(), port }
    }

    #[test]
    fn each_form_is_read() {
        let single = parsed("rediss://loket:p%40ss@redis.example:6380/2");
        assert_eq!((single.kind, single.is_tls, single.database), (Kind::Single, true, 2));
        assert_eq!(single.nodes, [node("redis.example", 6380)]);
        assert_eq!(single.credentials.username.as_deref(), Some("loket"));
        assert_eq!(single.credentials.password.expect("one").expose_secret(), "p@ss");

        let sentinel = parsed("redis-sentinel://a:1,b/main/3");
        assert_eq!(sentinel.kind, Kind::Sentinel { master: "main".to_owned() });
        assert_eq!((sentinel.nodes, sentinel.database), (vec![node("a", 1), node("b", 26379)], 3));

        let cluster = parsed("redis-cluster://[::1]:7000,b:7001");
        assert_eq!((cluster.kind, cluster.nodes), (Kind::Cluster, vec![node("::1", 7000), node("b", 7001)]));
        assert_eq!(parsed("redis://only").nodes, [node("only", 6379)]);
    }

    #[test]
    fn a_mistake_is_named() {
        let error = |text: &str| text.parse::<Deployment>().expect_err("a mistake");
        assert_eq!(error("postgres://a"), BadDeployment::Scheme);
        assert_eq!(error("redis-ring://a"), BadDeployment::Scheme);
        assert_eq!(error("redis://"), BadDeployment::NoHost);
        assert_eq!(error("redis://a,b"), BadDeployment::OneHost);
        assert_eq!(error("redis://a:b"), BadDeployment::Node("a:b".to_owned()));
        assert_eq!(error("redis://a/x"), BadDeployment::Database("x".to_owned()));
        assert_eq!(error("redis-sentinel://a"), BadDeployment::NoMaster);
        assert_eq!(error("redis-cluster://a/1"), BadDeployment::ClusterDatabase);
    }

    #[test]
    fn the_log_shows_no_password() {
        let deployment = parsed("redis://loket:secret@a");
        assert!(!format!("{deployment} {deployment:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_deployment_or_a_mistake(text: String) {
            let _ = text.parse::<Deployment>();
            let _ = format!("redis://{text}").parse::<Deployment>();
            let _ = format!("redis-sentinel://{text}").parse::<Deployment>();
        }
    }
}
