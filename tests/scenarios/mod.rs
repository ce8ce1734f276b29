//! The scenarios, a file a topic; each file lists its own.

mod again;
mod auto_detect;
mod backends;
mod basics;
mod binding;
mod bodies;
mod cache;
mod cashu;
mod client;
mod conformance;
mod credentials;
mod crowds;
mod dear_requests;
mod doctor;
mod documented;
mod external_agent;
mod external_toml;
mod failover;
mod floods;
mod grpc;
mod kept;
mod lifecycle;
mod lightning_address;
mod mistakes;
mod node_faults;
mod nwc;
mod panics;
mod phases;
mod prices;
mod privilege;
mod races;
mod rate_limit;
mod ready_invoices;
mod redirects;
mod redis;
mod refusals;
mod relay_and_address_quirks;
mod replay;
mod rewrite_phase;
mod rotation;
mod settings;
mod shared_caches;
mod shops;
mod smuggling;
mod store_faults;
mod targets;
mod transport;
mod upgrade;
mod variables;
mod wallet_quirks;

use crate::harness::scenario::Scenario;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [
        again::ALL,
        basics::ALL,
        auto_detect::ALL,
        credentials::ALL,
        crowds::ALL,
        refusals::ALL,
        binding::ALL,
        races::ALL,
        prices::ALL,
        rate_limit::ALL,
        replay::ALL,
        phases::ALL,
        redirects::ALL,
        rewrite_phase::ALL,
        bodies::ALL,
        cache::ALL,
        cashu::ALL,
        transport::ALL,
        upgrade::ALL,
        variables::ALL,
        settings::ALL,
        lifecycle::ALL,
        kept::ALL,
        documented::ALL,
        external_agent::ALL,
        external_toml::ALL,
        rotation::ALL,
        node_faults::ALL,
        backends::ALL,
        doctor::ALL,
        failover::ALL,
        lightning_address::ALL,
        nwc::ALL,
        mistakes::ALL,
        client::ALL,
        conformance::ALL,
        store_faults::ALL,
        redis::ALL,
        floods::ALL,
        panics::ALL,
        ready_invoices::ALL,
        smuggling::ALL,
        dear_requests::ALL,
        grpc::ALL,
        shared_caches::ALL,
        shops::ALL,
        targets::ALL,
        privilege::ALL,
        relay_and_address_quirks::ALL,
        wallet_quirks::ALL,
    ]
    .concat()
}
