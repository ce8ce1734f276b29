//! The node itself: its state and its peers.

/// Ask for the state of the node.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct GetInfoRequest {}

/// State of the node.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GetInfoResponse {
    /// Public key of the node, hex.
    #[prost(string, tag = "1")]
    pub identity_pubkey: String,
    /// Name that the node announces.
    #[prost(string, tag = "2")]
    pub alias: String,
    /// Channels being opened or closed.
    #[prost(uint32, tag = "3")]
    pub num_pending_channels: u32,
    /// Channels that can be used now.
    #[prost(uint32, tag = "4")]
    pub num_active_channels: u32,
    /// Connected peers.
    #[prost(uint32, tag = "5")]
    pub num_peers: u32,
    /// Height of the best block known.
    #[prost(uint32, tag = "6")]
    pub block_height: u32,
    /// Hash of the best block known, hex.
    #[prost(string, tag = "8")]
    pub block_hash: String,
    /// Whether the wallet has caught up with the chain.
    #[prost(bool, tag = "9")]
    pub synced_to_chain: bool,
    /// Deprecated by LND in favour of `chains`.
    #[prost(bool, tag = "10")]
    pub testnet: bool,
    /// `pubkey@host:port` of the node.
    #[prost(string, repeated, tag = "12")]
    pub uris: Vec<String>,
    /// Time of the best block header, Unix seconds.
    #[prost(int64, tag = "13")]
    pub best_header_timestamp: i64,
    /// Version of the software.
    #[prost(string, tag = "14")]
    pub version: String,
    /// Channels whose peer is away.
    #[prost(uint32, tag = "15")]
    pub num_inactive_channels: u32,
    /// The chains that the node follows; one, in practice.
    #[prost(message, repeated, tag = "16")]
    pub chains: Vec<Chain>,
    /// Colour that the node announces.
    #[prost(string, tag = "17")]
    pub color: String,
    /// Whether the channel graph is complete.
    #[prost(bool, tag = "18")]
    pub synced_to_graph: bool,
    /// Commit that the software was built from.
    #[prost(string, tag = "20")]
    pub commit_hash: String,
}

/// A chain that the node follows.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Chain {
    /// `bitcoin`; deprecated by LND.
    #[prost(string, tag = "1")]
    pub chain: String,
    /// `mainnet`, `testnet`, `testnet4`, `signet`, `simnet` or `regtest`.
    #[prost(string, tag = "2")]
    pub network: String,
}

/// Connect to a peer.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ConnectPeerRequest {
    /// Whom, and where.
    #[prost(message, optional, tag = "1")]
    pub addr: Option<LightningAddress>,
    /// Keep trying in the background.
    #[prost(bool, tag = "2")]
    pub perm: bool,
    /// Seconds; zero is the node's default.
    #[prost(uint64, tag = "3")]
    pub timeout: u64,
}

/// Connected.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ConnectPeerResponse {
    /// Text for a human.
    #[prost(string, tag = "1")]
    pub status: String,
}

/// A node and where it listens.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct LightningAddress {
    /// Public key, hex.
    #[prost(string, tag = "1")]
    pub pubkey: String,
    /// `host:port`.
    #[prost(string, tag = "2")]
    pub host: String,
}
