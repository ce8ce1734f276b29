//! How many invoices a second the simulator makes with 16 calls in flight, client and server on one machine:
//! `cargo run --release -p lnsim --example add_invoices`. It must not be a bench's bottleneck (≥ 3 000/s).
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::{Duration, Instant};

use lnd_rpc::channel::Node;
use lnd_rpc::lnrpc;
use lnsim::{Permit, Sim, SimOptions};
use tokio::task::JoinSet;

const IN_FLIGHT: u64 = 16;
const CALLS_EACH: u64 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let sim = Sim::start(SimOptions::default())?;
    let certificate = std::fs::read(sim.tls_cert_path())?;
    let macaroon = std::fs::read(sim.macaroon_path(Permit::Invoice))?;
    let node = Node::new(&sim.lnd_address(), &certificate, &macaroon, None, Duration::from_secs(5))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    runtime.block_on(async {
        let channel = node.channel();
        let mut tasks = JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let mut lightning = node.lightning(channel.clone());
            tasks.spawn(async move {
                for _ in 0..CALLS_EACH {
                    lightning
                        .add_invoice(lnrpc::Invoice { value_msat: 10_000, ..Default::default() })
                        .await?;
                }
                Ok::<_, tonic::Status>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} invoices/s", (IN_FLIGHT * CALLS_EACH) as f64 / seconds);
    Ok(())
}
