//! Durable claims a second on this machine: `cargo run --release -p store --example claim_rate -- DIR [IN_FLIGHT] [SECONDS]`.
#![allow(clippy::print_stdout, reason = "its answer is for a terminal")]

use std::{
    error::Error,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use store::{Claim, Claimed, SqliteStore, Store};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().ok_or("which directory?")?);
    let in_flight: u64 = args.next().map_or(Ok(32), |n| n.parse())?;
    let seconds: u64 = args.next().map_or(Ok(5), |n| n.parse())?;
    let store = Arc::new(SqliteStore::open(&dir.join("claim_rate.db"))?);
    // New payments in each run.
    let run = std::process::id();
    let start = Instant::now();
    let until = start + Duration::from_secs(seconds);
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..in_flight {
        let store = store.clone();
        clients.spawn(async move {
            let mut done = 0_u64;
            while Instant::now() < until {
                let (mut payment_hash, mut request) = ([0; 32], [0; 16]);
                let name = mix(u64::from(run) << 40 | client << 32 | done);
                payment_hash[..8].copy_from_slice(&name);
                request[..8].copy_from_slice(&name);
                let claim = Claim { payment_hash, request, limit: 1, units: 1 };
                match store.claim(claim).await {
                    Ok(Claimed::Granted { remaining: 0 }) => done += 1,
                    other => return Err(format!("{other:?}")),
                }
            }
            Ok(done)
        });
    }
    let done = clients.join_all().await.into_iter().sum::<Result<u64, _>>()?;
    let rate = done as f64 / start.elapsed().as_secs_f64();
    println!("{rate:.0} durable claims/s with {in_flight} in flight ({done} in all)");
    Ok(())
}

/// Spreads keys as hashes are spread (SplitMix64).
fn mix(n: u64) -> [u8; 8] {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}
