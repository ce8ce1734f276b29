//! What every scenario stands on: a stage with nginx, l402d and a node, and rude and polite clients.

pub mod agent;
pub mod backends;
pub mod cashu_ts;
pub mod cdk_wallet;
pub mod challenge;
pub mod cln;
pub mod curl;
pub mod figures;
pub mod grpc_peer;
pub mod h2;
pub mod http;
pub mod js_wallet;
pub mod lnc;
pub mod lnd;
pub mod lnurl_server;
pub mod macaroon;
pub mod mint;
pub mod nginx;
pub mod node;
pub mod nwc;
pub mod nwc_service;
pub mod process;
pub mod quirks;
#[allow(dead_code, reason = "the store's own tests use the rest of it")]
pub mod redis;
pub mod remote;
#[allow(dead_code, reason = "the tests of ecash use the rest of it")]
pub mod rude_mint;
pub mod scenario;
pub mod sim;
pub mod site;
pub mod socks;
pub mod stage;
pub mod tap;
pub mod upstream;
pub mod wait;
pub mod wallet;
