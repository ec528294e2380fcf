//! Opens connections: to one server, to the master that Sentinels name, or to a Cluster.
//!
//! Every connection is dialled here, so that in all three one trust holds, clear text stays on this machine, and no
//! server is talked to that might forget a key before its time. The crate's own connections are not taken: they read
//! the system's list of authorities at every dial, and never give up one that has gone silent.

use std::cell::{OnceCell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::{ClusterConnection, Connect};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, TlsMode, Value, cmd,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::fault::cause;
use super::servers::{Address, Credentials, RedisConfig, Servers};
use crate::http::trust::Trust;
use crate::wire::Wary;

/// How long opening one connection to one server may take.
///
/// Names, TCP, TLS and a password: some round trips. It happens beside the requests, not within one.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// How long one dial may take in all: some Sentinels or nodes may be dead.
pub(super) const DIAL_MAX: Duration = Duration::from_secs(4);

/// How many calls wait to be written to one connection before the next waits outside.
const WRITES_MAX: usize = 256;

/// How often a Cluster is asked again within one call: for a slot that has just moved, and once more.
const CLUSTER_RETRIES: u32 = 2;

thread_local! {
    // The crate dials the nodes of a Cluster itself, from its own tasks, through a function without a receiver. All of
    // them run on the one thread of this link, which is where the trust can wait for them.
    static TRUST: OnceCell<Trust> = const { OnceCell::new() };
    // Why a node could last not be dialled: the crate only tells that none could.
    static NODE_CAUSE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// An open connection that carries any number of calls at once; clones share it.
#[derive(Clone)]
pub(super) enum Wire {
    /// To one server.
    Server(MultiplexedConnection),
    /// To the server that Sentinels named.
    Master(MultiplexedConnection, Address),
    /// To all nodes of a Cluster.
    Cluster(ClusterConnection<Node>),
}

impl Wire {
    /// Sends one command and waits for its answer, without bound: the caller has a deadline.
    pub(super) async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Wire::Server(connection) | Wire::Master(connection, _) => command.query_async(connection).await,
            Wire::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

/// Lets this thread dial the nodes of Clusters with this trust; only the first call counts.
pub(super) fn trust_on_this_thread(trust: &Trust) {
    TRUST.with(|cell| {
        // A second trust on one thread is never asked for: a link starts its thread and says it once.
        let _ = cell.set(trust.clone());
    });
}

/// Opens a connection as configured.
///
/// # Errors
/// What happened, for the log; without secrets.
pub(super) async fn dial(config: &RedisConfig) -> Result<Wire, String> {
    match timeout(DIAL_MAX, dial_servers(config)).await {
        Ok(dialled) => dialled,
        Err(_) => Err("the servers do not answer in time".to_owned()),
    }
}

/// Tells whether the Sentinels name another master by now; not if none of them can be asked.
///
/// A master that is cut off from them, and not from us, goes on taking claims that nobody else will ever hear of.
pub(super) async fn is_replaced(config: &RedisConfig, wire: &Wire) -> bool {
    match (wire, &config.servers) {
        (Wire::Master(_, known), Servers::Sentinel { master, sentinels, .. }) => {
            master_of(config, master, sentinels).await.is_ok_and(|named| named != *known)
        }
        (Wire::Server(_) | Wire::Master(..) | Wire::Cluster(_), _) => false,
    }
}

async fn dial_servers(config: &RedisConfig) -> Result<Wire, String> {
    let login = login(config.credentials.as_ref(), config.servers.database());
    match &config.servers {
        Servers::Single(address) => {
            let connection = open_server(address, &login, &config.trust).await;
            connection.map(Wire::Server).map_err(|error| format!("{address}: {}", cause(&error)))
        }
        Servers::Sentinel { master, sentinels, .. } => {
            let address = master_of(config, master, sentinels).await?;
            let told = |error: RedisError| format!("{address}, the master of the Sentinels: {}", cause(&error));
            let mut connection = open_server(&address, &login, &config.trust).await.map_err(told)?;
            // A Sentinel that was cut off still names the master of before.
            if !is_master(&mut connection).await.map_err(told)? {
                return Err(format!("{address}, the master of the Sentinels, is a replica"));
            }
            Ok(Wire::Master(connection, address))
        }
        Servers::Cluster(nodes) => dial_cluster(config, nodes).await.map(Wire::Cluster),
    }
}

async fn dial_cluster(config: &RedisConfig, nodes: &[Address]) -> Result<ClusterConnection<Node>, String> {
    let told = |error: RedisError| format!("the cluster: {}", cause(&error));
    let infos = nodes.iter().map(node_info).collect::<RedisResult<Vec<_>>>().map_err(told)?;
    let mut builder = ClusterClientBuilder::new(infos)
        .use_protocol(ProtocolVersion::RESP2)
        .connection_timeout(CONNECT_MAX)
        .response_timeout(config.budget.hard)
        // The crate waits 1.3 s before it asks again: longer than any call has.
        .retry_wait_formula(1, 2)
        .min_retry_wait(1)
        .max_retry_wait(3)
        .retries(CLUSTER_RETRIES);
    if nodes.iter().any(|node| node.tls) {
        builder = builder.tls(TlsMode::Secure);
    }
    if let Some(credentials) = &config.credentials {
        builder = builder.password(credentials.password.expose());
        if let Some(user) = &credentials.user {
            builder = builder.username(user);
        }
    }
    let client = builder.build().map_err(told)?;
    client.get_async_generic_connection::<Node>().await.map_err(|error| {
        let of_node =
            NODE_CAUSE.with(|cell| cell.borrow().clone()).map_or_else(String::new, |cause| format!("; {cause}"));
        format!("{}{of_node}", told(error))
    })
}

fn node_info(address: &Address) -> RedisResult<ConnectionInfo> {
    let (host, port) = (address.host.clone(), address.port);
    let address = if address.tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    address.into_connection_info()
}

fn login(credentials: Option<&Credentials>, database: u16) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_db(i64::from(database)).set_skip_set_lib_name();
    if let Some(credentials) = credentials {
        login = login.set_password(credentials.password.expose());
        if let Some(user) = &credentials.user {
            login = login.set_username(user);
        }
    }
    login.set_protocol(ProtocolVersion::RESP2)
}

/// Asks one Sentinel after the other who the master is.
async fn master_of(config: &RedisConfig, master: &str, sentinels: &[Address]) -> Result<Address, String> {
    let login = login(config.sentinel_credentials.as_ref(), 0);
    let mut causes = Vec::new();
    for sentinel in sentinels {
        let asking = timeout(CONNECT_MAX, ask(sentinel, &login, &config.trust, master));
        match asking.await {
            Ok(Ok(Some((host, port)))) => return Ok(sentinel.beside(host, port)),
            Ok(Ok(None)) => causes.push(format!("{sentinel} knows no master of that name")),
            Ok(Err(error)) => causes.push(format!("{sentinel}: {}", cause(&error))),
            Err(_) => causes.push(format!("{sentinel} does not answer in time")),
        }
    }
    Err(format!("no Sentinel tells the master: {}", causes.join("; ")))
}

async fn ask(
    sentinel: &Address,
    login: &RedisConnectionInfo,
    trust: &Trust,
    master: &str,
) -> RedisResult<Option<(String, u16)>> {
    let mut connection = open(sentinel, login, trust).await?;
    cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(master).query_async(&mut connection).await
}

async fn is_master(connection: &mut MultiplexedConnection) -> RedisResult<bool> {
    let role: Value = cmd("ROLE").query_async(connection).await?;
    let name = match role {
        Value::Array(parts) => parts.into_iter().next(),
        _ => None,
    };
    Ok(matches!(name, Some(Value::BulkString(name)) if name == b"master"))
}

/// Opens a connection to a server that keeps what it is told.
async fn open_server(
    address: &Address,
    login: &RedisConnectionInfo,
    trust: &Trust,
) -> RedisResult<MultiplexedConnection> {
    let opening = async {
        let mut connection = open(address, login, trust).await?;
        let memory: String = cmd("INFO").arg("memory").query_async(&mut connection).await?;
        keeps_what_it_is_told(&memory)?;
        Ok(connection)
    };
    timeout(CONNECT_MAX, opening).await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Refuses a server that makes room by forgetting: a proof it forgot could be shown twice.
fn keeps_what_it_is_told(memory: &str) -> RedisResult<()> {
    let field = |name: &str| memory.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match (field("maxmemory:"), field("maxmemory_policy:")) {
        (_, Some("noeviction")) | (Some("0"), _) => Ok(()),
        (_, Some(_)) => {
            let text = "the server forgets keys when its memory is full: set `maxmemory-policy noeviction`";
            Err(RedisError::from((ErrorKind::InvalidClientConfig, text)))
        }
        (_, None) => {
            let text = "the server does not tell its maxmemory-policy: allow `INFO memory`";
            Err(RedisError::from((ErrorKind::InvalidClientConfig, text)))
        }
    }
}

async fn open(address: &Address, login: &RedisConnectionInfo, trust: &Trust) -> RedisResult<MultiplexedConnection> {
    let stream = connect(address).await?;
    if !address.tls {
        return speak(stream, login).await;
    }
    // Redis has no name among the protocols that are agreed on by ALPN.
    let config = trust.without_protocol();
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    speak(stream, login).await
}

async fn speak<S>(stream: S, login: &RedisConnectionInfo) -> RedisResult<MultiplexedConnection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Each call has a deadline of its own.
    let config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(WRITES_MAX);
    let (connection, driver) = MultiplexedConnection::new_with_config(login, Wary::new(stream), config).await?;
    // It ends by itself when the last clone is dropped or the server hangs up.
    tokio::spawn(driver);
    Ok(connection)
}

async fn connect(address: &Address) -> io::Result<TcpStream> {
    let mut failed = io::Error::other("the name has no address that may be called");
    for found in lookup_host((address.host.as_str(), address.port)).await? {
        // What a resolver or a Sentinel says is not to be believed: clear text stays on this machine.
        if !address.tls && !found.ip().is_loopback() {
            continue;
        }
        match TcpStream::connect(found).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A connection to one node of a Cluster, dialled as any other.
#[derive(Clone)]
pub(super) struct Node(MultiplexedConnection);

impl Connect for Node {
    fn connect_with_config<'a, T>(info: T, _config: AsyncConnectionConfig) -> RedisFuture<'a, Self>
    where
        T: IntoConnectionInfo + Send + 'a,
    {
        Box::pin(async move {
            let info = info.into_connection_info()?;
            let (host, port, tls) = match info.addr() {
                ConnectionAddr::Tcp(host, port) => (host.clone(), *port, false),
                ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port, true),
                _ => return Err(RedisError::from((ErrorKind::InvalidClientConfig, "a node has no such address"))),
            };
            let no_trust = || RedisError::from((ErrorKind::InvalidClientConfig, "this thread trusts nobody"));
            let trust = TRUST.with(|cell| cell.get().cloned()).ok_or_else(no_trust)?;
            let address = Address::of_node(host, port, tls);
            let login = info.redis_settings().clone().set_skip_set_lib_name();
            let opened = open_server(&address, &login, &trust).await;
            let told = |error: &RedisError| {
                NODE_CAUSE.with(|cell| cell.replace(Some(format!("{address}: {}", cause(error)))));
            };
            opened.inspect_err(told).map(Self)
        })
    }
}

impl ConnectionLike for Node {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(pipeline, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::wire::UNASKED_BYTES_MAX;

    #[test]
    fn a_server_that_forgets_is_refused() {
        let memory = |max: &str, policy: &str| {
            format!(
                "# Memory\r\nused_memory:1\r\nmaxmemory:{max}\r\nmaxmemory_human:1B\r\nmaxmemory_policy:{policy}\r\n"
            )
        };
        for policy in ["allkeys-lru", "volatile-ttl", "volatile-lru", "allkeys-random", "of-tomorrow"] {
            assert!(keeps_what_it_is_told(&memory("1048576", policy)).is_err(), "{policy}");
            assert!(keeps_what_it_is_told(&memory("0", policy)).is_ok(), "{policy}");
        }
        assert!(keeps_what_it_is_told(&memory("1048576", "noeviction")).is_ok());
        assert!(keeps_what_it_is_told("").is_err());
        assert!(keeps_what_it_is_told("maxmemory:1048576\r\n").is_err());
    }

    #[tokio::test]
    async fn a_server_that_floods_us_is_left() {
        let begin = format!("${}\r\n", 2 * UNASKED_BYTES_MAX);
        // A whole answer, were it not so long.
        let text = tokio::io::repeat(b'x').take(2 * UNASKED_BYTES_MAX as u64);
        let flood = io::Cursor::new(begin).chain(text).chain(io::Cursor::new("\r\n"));
        let flood = tokio::io::join(flood, tokio::io::sink());
        let told = async {
            let mut connection = speak(flood, &login(None, 0)).await?;
            cmd("PING").query_async::<Value>(&mut connection).await
        };
        assert!(told.await.is_err());
    }
}
