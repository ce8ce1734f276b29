//! On-chain money and channels: what is needed to set up nodes of one's own for tests.

/// Ask for an on-chain address.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NewAddressRequest {
    /// Which kind.
    #[prost(enumeration = "AddressType", tag = "1")]
    pub r#type: i32,
    /// Account of the wallet; empty is the default one.
    #[prost(string, tag = "2")]
    pub account: String,
}

/// An on-chain address.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NewAddressResponse {
    /// The address.
    #[prost(string, tag = "1")]
    pub address: String,
}

/// Kinds of on-chain addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum AddressType {
    /// P2WPKH.
    WitnessPubkeyHash = 0,
    /// P2WPKH within P2SH.
    NestedPubkeyHash = 1,
    /// P2WPKH, the last one again while it is unused.
    UnusedWitnessPubkeyHash = 2,
    /// P2WPKH within P2SH, the last one again while it is unused.
    UnusedNestedPubkeyHash = 3,
    /// P2TR.
    TaprootPubkey = 4,
    /// P2TR, the last one again while it is unused.
    UnusedTaprootPubkey = 5,
}

/// Ask for the on-chain balance.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WalletBalanceRequest {
    /// Account of the wallet; empty is all.
    #[prost(string, tag = "1")]
    pub account: String,
    /// Confirmations wanted; zero is one.
    #[prost(int32, tag = "2")]
    pub min_confs: i32,
}

/// The on-chain balance, satoshis.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct WalletBalanceResponse {
    /// All of it.
    #[prost(int64, tag = "1")]
    pub total_balance: i64,
    /// Confirmed.
    #[prost(int64, tag = "2")]
    pub confirmed_balance: i64,
    /// Not confirmed yet.
    #[prost(int64, tag = "3")]
    pub unconfirmed_balance: i64,
    /// Leased to something.
    #[prost(int64, tag = "5")]
    pub locked_balance: i64,
    /// Held back for anchor channels.
    #[prost(int64, tag = "6")]
    pub reserved_balance_anchor_chan: i64,
}

/// Open a channel.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct OpenChannelRequest {
    /// Fee rate of the funding transaction; zero lets the node choose.
    #[prost(uint64, tag = "1")]
    pub sat_per_vbyte: u64,
    /// Public key of the peer, 33 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub node_pubkey: Vec<u8>,
    /// Satoshis to put in.
    #[prost(int64, tag = "4")]
    pub local_funding_amount: i64,
    /// Satoshis to give to the peer at once.
    #[prost(int64, tag = "5")]
    pub push_sat: i64,
    /// Blocks within which the funding should confirm.
    #[prost(int32, tag = "6")]
    pub target_conf: i32,
    /// Whether the channel is kept out of gossip.
    #[prost(bool, tag = "8")]
    pub private: bool,
    /// Confirmations that the inputs need.
    #[prost(int32, tag = "11")]
    pub min_confs: i32,
    /// Whether unconfirmed inputs may be used.
    #[prost(bool, tag = "12")]
    pub spend_unconfirmed: bool,
}

/// The funding output of a channel.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ChannelPoint {
    /// The funding transaction.
    #[prost(oneof = "channel_point::FundingTxid", tags = "1, 2")]
    pub funding_txid: Option<channel_point::FundingTxid>,
    /// Index of the output.
    #[prost(uint32, tag = "3")]
    pub output_index: u32,
}

/// What belongs to [`ChannelPoint`].
pub mod channel_point {
    /// Id of the funding transaction, in one of two forms.
    #[derive(Clone, PartialEq, Eq, prost::Oneof)]
    pub enum FundingTxid {
        /// 32 bytes, in the order of the wire (reversed against the hex form).
        #[prost(bytes, tag = "1")]
        FundingTxidBytes(Vec<u8>),
        /// Hex, as explorers show it.
        #[prost(string, tag = "2")]
        FundingTxidStr(String),
    }
}

/// Which channels to list.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListChannelsRequest {
    /// Only those that can be used now.
    #[prost(bool, tag = "1")]
    pub active_only: bool,
    /// Only those whose peer is away.
    #[prost(bool, tag = "2")]
    pub inactive_only: bool,
    /// Only announced ones.
    #[prost(bool, tag = "3")]
    pub public_only: bool,
    /// Only unannounced ones.
    #[prost(bool, tag = "4")]
    pub private_only: bool,
    /// Only those with this peer (33 bytes).
    #[prost(bytes = "vec", tag = "5")]
    pub peer: Vec<u8>,
}

/// The open channels.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ListChannelsResponse {
    /// One entry a channel.
    #[prost(message, repeated, tag = "11")]
    pub channels: Vec<Channel>,
}

/// An open channel.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Channel {
    /// Whether it can be used now.
    #[prost(bool, tag = "1")]
    pub active: bool,
    /// Public key of the peer, hex.
    #[prost(string, tag = "2")]
    pub remote_pubkey: String,
    /// `txid:index` of the funding output.
    #[prost(string, tag = "3")]
    pub channel_point: String,
    /// Short channel id.
    #[prost(uint64, tag = "4")]
    pub chan_id: u64,
    /// Satoshis, both sides.
    #[prost(int64, tag = "5")]
    pub capacity: i64,
    /// Satoshis on our side.
    #[prost(int64, tag = "6")]
    pub local_balance: i64,
    /// Satoshis on the peer's side.
    #[prost(int64, tag = "7")]
    pub remote_balance: i64,
    /// Whether the channel is kept out of gossip.
    #[prost(bool, tag = "17")]
    pub private: bool,
    /// Whether we opened it.
    #[prost(bool, tag = "18")]
    pub initiator: bool,
}
