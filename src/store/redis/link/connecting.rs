//! How a connection is made: to one server, to whichever the Sentinels name, or to a cluster; and what is asked of it first.

use std::collections::BTreeMap;

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, RedisResult,
    aio::{ConnectionLike as _, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo},
};
use tokio::time::timeout;

use super::{
    CONNECTING, Link, NOWHERE, Unconnected, Wire, cluster_nodes, each, first_text,
    sending::{checked, pipeline},
    too_late,
};
use crate::store::redis::{
    answer::string,
    checks::{self, Facts},
    deployment::{Credentials, Deployment, Kind, Node},
    script::loading,
};

impl Link {
    fn config(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTING / 2))
            .set_response_timeout(Some(self.access.response_timeout))
    }

    pub(super) async fn connect(&self) -> Result<(Wire, Facts), Unconnected> {
        let deployment = &self.access.deployment;
        match &deployment.kind {
            Kind::Single => {
                let (server, facts) = self.open(&deployment.nodes[0]).await?;
                Ok((Wire::Server(server), facts))
            }
            Kind::Sentinel { master } => {
                let (server, facts) = self.follow(master).await?;
                Ok((Wire::Server(server), facts))
            }
            Kind::Cluster => {
                let (cluster, facts) = self.join().await?;
                Ok((Wire::Cluster(cluster), facts))
            }
        }
    }

    async fn join(&self) -> Result<(ClusterConnection, Facts), Unconnected> {
        let deployment = &self.access.deployment;
        let nodes = deployment.nodes.iter().map(|node| deployment.connection(node, &deployment.credentials));
        let mut builder = ClusterClient::builder(nodes.collect::<RedisResult<Vec<_>>>()?)
            .connection_timeout(CONNECTING / 2)
            .response_timeout(self.access.response_timeout)
            // Callers repeat; the library only follows what moved.
            .retries(3)
            .max_retry_wait(200);
        if let Some(certificates) = &self.access.certificates {
            builder = builder.certs(certificates.clone());
        }
        let mut cluster = builder.build()?.get_async_connection().await?;
        for command in loading() {
            cluster.req_packed_command(&command).await?;
        }
        let masters = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
        let infos = cluster.route_command(redis::cmd("INFO"), masters.clone()).await?;
        let mut facts = each(infos).iter().filter_map(string).map(|info| Facts::read(&info)).collect::<Vec<_>>();
        let fsyncs = cluster.route_command(fsync_command(), masters).await.map(each).unwrap_or_default();
        for (facts, fsync) in facts.iter_mut().zip(fsyncs) {
            facts.fsync = checks::fsync(Ok(fsync));
        }
        let mut facts = facts.into_iter().reduce(Facts::worst).unwrap_or_default();
        let nodes: String = cluster_nodes().query_async(&mut cluster).await?;
        facts.replicas = checks::cluster_replicas(&nodes);
        facts.check().map_err(Unconnected::Unfit)?;
        Ok((cluster, facts))
    }

    fn client(&self, deployment: &Deployment, node: &Node, credentials: &Credentials) -> RedisResult<Client> {
        let info = deployment.connection(node, credentials)?;
        match &self.access.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    /// A connection to a master, with the scripts loaded.
    async fn open(&self, node: &Node) -> Result<(MultiplexedConnection, Facts), Unconnected> {
        let deployment = &self.access.deployment;
        let client = self.client(deployment, node, &deployment.credentials)?;
        let mut server = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
        // The first command is the one that a replica, or a server that is still loading, answers for what it is.
        let role = server.req_packed_command(&redis::cmd("ROLE")).await?;
        if first_text(&role) != Some(b"master") {
            return Err(RedisError::from((ErrorKind::Client, "the server is no master (READONLY)")).into());
        }
        let info: String = redis::cmd("INFO").query_async(&mut server).await?;
        let mut facts = Facts::read(&info);
        facts.fsync = checks::fsync(server.req_packed_command(&fsync_command()).await);
        facts.check().map_err(Unconnected::Unfit)?;
        let (pipeline, count) = pipeline(loading(), NOWHERE);
        checked(server.send_packed_commands(&pipeline, 0, count).await?, NOWHERE)?;
        Ok((server, facts))
    }

    /// The master that the Sentinels agree on: the first one named that says so itself.
    async fn follow(&self, master: &str) -> Result<(MultiplexedConnection, Facts), Unconnected> {
        let mut last = RedisError::from((ErrorKind::Client, "no Sentinel answers")).into();
        for sentinel in &self.access.deployment.nodes {
            let found = timeout(CONNECTING / 3, self.ask(sentinel, master)).await.unwrap_or_else(|_| Err(too_late()));
            let opened = match found {
                Ok((node, replicas)) => {
                    self.open(&node).await.map(|(server, facts)| (server, Facts { replicas, ..facts }))
                }
                Err(error) => Err(error.into()),
            };
            match opened {
                Ok(opened) => return Ok(opened),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Where the master is, and whether it has replicas, be they up or down.
    async fn ask(&self, sentinel: &Node, master: &str) -> RedisResult<(Node, u32)> {
        // A Sentinel has no databases.
        let deployment = Deployment { database: 0, ..self.access.deployment.clone() };
        let client = self.client(&deployment, sentinel, &self.access.sentinel)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
        let mut command = redis::cmd("SENTINEL");
        command.arg("MASTER").arg(master);
        let facts: BTreeMap<String, String> = command.query_async(&mut connection).await?;
        let fact = |name: &str| facts.get(name).cloned().unwrap_or_default();
        let port =
            fact("port").parse().map_err(|_| (ErrorKind::Client, "the Sentinels know no master of this name"))?;
        Ok((Node { host: fact("ip"), port }, u32::from(fact("num-slaves") != "0")))
    }
}

fn fsync_command() -> Cmd {
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("appendfsync");
    command
}
