//! What a server says of itself: whether its memory may be trusted, and what its durability is worth.

use redis::{RedisResult, Value};

/// What was found out of a deployment, the worst of all servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `Redis 7.0.15`.
    pub server: String,
    /// `noeviction`, if the server tells.
    pub policy: String,
    pub has_aof: bool,
    /// `always`, `everysec` or `no`; None when the server does not tell (CONFIG is not allowed).
    pub fsync: Option<String>,
    /// Replicas that confirm each write.
    pub replicas: u32,
    /// Knows WAITAOF: Redis 7.2, Valkey.
    pub has_waitaof: bool,
}

/// Why a deployment is not used at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(
        "maxmemory-policy is `{0}`: under pressure the server would delete complaints; set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
    )]
    Evicts(String),
    #[error("the server is {0}: streams are read with what came with version 7.0; use Redis 7 or Valkey")]
    TooOld(String),
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn version(text: &str) -> (u32, u32) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

impl Facts {
    /// From the answer to INFO, all sections.
    pub fn read(info: &str) -> Self {
        let valkey = field(info, "valkey_version");
        let redis = field(info, "redis_version").unwrap_or("?");
        let server = valkey.map_or_else(|| format!("Redis {redis}"), |version| format!("Valkey {version}"));
        Self {
            server,
            policy: field(info, "maxmemory_policy").unwrap_or_default().to_owned(),
            has_aof: field(info, "aof_enabled") == Some("1"),
            fsync: None,
            replicas: 0,
            has_waitaof: valkey.is_some() || version(redis) >= (7, 2),
        }
    }

    /// The worse of two servers.
    pub fn worst(self, other: Self) -> Self {
        let rank = |fsync: &Option<String>| match fsync.as_deref() {
            Some("always") => 3,
            Some("everysec") => 2,
            None => 1,
            Some(_) => 0,
        };
        Self {
            policy: if self.policy == "noeviction" { other.policy } else { self.policy },
            has_aof: self.has_aof && other.has_aof,
            fsync: if rank(&self.fsync) <= rank(&other.fsync) { self.fsync } else { other.fsync },
            replicas: self.replicas.min(other.replicas),
            has_waitaof: self.has_waitaof && other.has_waitaof,
            server: self.server,
        }
    }

    /// May it be used?
    pub fn check(&self) -> Result<(), Unfit> {
        // A server that does not tell is one of a provider who does not let it be seen.
        if !self.policy.is_empty() && self.policy != "noeviction" {
            return Err(Unfit::Evicts(self.policy.clone()));
        }
        match self.server.split_once(' ') {
            Some(("Redis", number)) if version(number) < (7, 0) && number != "?" => {
                Err(Unfit::TooOld(self.server.clone()))
            }
            _ => Ok(()),
        }
    }

    /// What can be lost when servers fail, for operators; and whether that deserves a warning.
    pub fn durability(&self) -> (String, bool) {
        let replicas = match self.replicas {
            0 => String::new(),
            1 => " A replica confirms each write before a receipt counts as done.".to_owned(),
            count => format!(" {count} replicas confirm each write before a receipt counts as done."),
        };
        let (disk, is_warning) = match (self.has_aof, self.fsync.as_deref()) {
            (false, _) => (
                "appendonly is off: if this server stops, ALL queued complaints, claims and drafts since the last snapshot are gone; set appendonly yes",
                true,
            ),
            (true, Some("always")) => {
                ("appendfsync is always: nothing that counts as done is lost when the server crashes.", false)
            }
            (true, Some("everysec")) => (
                "appendfsync is everysec: if the server's machine crashes, or its process while the disk is slow, up to 2 seconds of what counted as done are gone. Set appendfsync always to lose nothing",
                true,
            ),
            (true, Some("no")) => (
                "appendfsync is no: if the machine of the server crashes, what the kernel had not written (some 30 seconds) is gone; set appendfsync always",
                true,
            ),
            (true, _) => {
                ("appendonly is on; the server does not tell its appendfsync. With always nothing is lost.", false)
            }
        };
        (format!("{}: {disk}{replicas}", self.server), is_warning && self.replicas == 0)
    }
}

/// The fsync that `CONFIG GET appendfsync` tells, if it is allowed.
pub fn fsync(answer: RedisResult<Value>) -> Option<String> {
    let values = match answer.ok()? {
        Value::Array(values) => values,
        Value::Map(pairs) => return pairs.first().and_then(|(_, value)| super::answer::string(value)),
        _ => return None,
    };
    super::answer::string(values.get(1)?)
}

/// Have all masters of a cluster a replica? `nodes` is the answer to CLUSTER NODES. A node that failed and holds no slots
/// was a master, or will be a replica again.
pub fn cluster_replicas(nodes: &str) -> u32 {
    let (mut masters, mut others) = (0, 0);
    for line in nodes.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let Some(flags) = fields.get(2) else { continue };
        if flags.contains("handshake") || flags.contains("noaddr") {
            continue;
        }
        if flags.contains("master") && fields.len() > 8 { masters += 1 } else { others += 1 }
    }
    u32::from(masters > 0 && others >= masters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n";

    #[test]
    fn a_server_that_evicts_or_is_too_old_is_refused() {
        assert_eq!(Facts::read(INFO).check(), Ok(()));
        let evicting = INFO.replace("noeviction", "allkeys-lru");
        assert_eq!(Facts::read(&evicting).check(), Err(Unfit::Evicts("allkeys-lru".to_owned())));
        let old = INFO.replace("7.0.15", "6.2.1");
        assert_eq!(Facts::read(&old).check(), Err(Unfit::TooOld("Redis 6.2.1".to_owned())));
        let valkey = format!("{INFO}valkey_version:8.1.0\r\n").replace("7.0.15", "7.2.4");
        let facts = Facts::read(&valkey);
        assert_eq!((facts.server.as_str(), facts.has_waitaof, facts.check()), ("Valkey 8.1.0", true, Ok(())));
    }

    #[test]
    fn what_can_be_lost_is_said() {
        let with = |fsync: &str| Facts { fsync: Some(fsync.to_owned()), ..Facts::read(INFO) };
        assert!(!with("always").durability().1);
        let (text, is_warning) = with("everysec").durability();
        assert!(is_warning && text.contains("2 seconds"), "{text}");
        let off = Facts { has_aof: false, ..with("always") };
        assert!(off.durability().1 && off.durability().0.contains("appendonly yes"));
        assert_eq!(with("always").worst(with("everysec")).fsync.as_deref(), Some("everysec"));
        assert!(!Facts { replicas: 1, ..with("everysec") }.durability().1);
    }

    #[test]
    fn a_cluster_has_replicas_when_each_master_may_have_one() {
        let master = "id 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460\n";
        let replica = "id 127.0.0.1:7003@17003 slave id 0 0 1 connected\n";
        let failed = "id 127.0.0.1:7003@17003 master,fail - 0 0 1 disconnected\n";
        assert_eq!(cluster_replicas(master), 0);
        assert_eq!(cluster_replicas(&format!("{master}{replica}")), 1);
        assert_eq!(cluster_replicas(&format!("{master}{failed}")), 1);
        assert_eq!(cluster_replicas(&format!("{master}{master}{replica}")), 0);
        assert_eq!(cluster_replicas(""), 0);
    }
}
