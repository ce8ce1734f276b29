//! A simulated CLN node, by its socket or by clnrest, and a payer beside it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use lnsim::{Sim, SimOptions};
use tempfile::TempDir;

use super::sim::Simulated;
use super::stage::open_to_all;
use super::wallet::{Keys, Wallet};

/// What the guide restricts a rune to.
const RESTRICTIONS: &[&[&str]] = &[
    &[
        "method=invoice",
        "method=listinvoices",
        "method=waitanyinvoice",
        "method=getinfo",
        "method=delinvoice",
    ],
    &["method/delinvoice", "pnamestatus=unpaid"],
];

/// One of CLN's doors.
enum Door {
    /// lightningd's socket.
    Socket(PathBuf),
    /// clnrest: its address and a rune that permits what selling needs.
    Rest(String, String),
    /// lightningd's socket, and an offer that is paid.
    Offer(PathBuf, String),
}

/// A node of its own.
pub struct Cln {
    node: Simulated,
    door: Door,
    /// Where the socket is: workers' users get there.
    _dir: TempDir,
}

impl Cln {
    /// One that is reached by its socket.
    pub fn by_socket() -> Self {
        let (sim, dir) = start();
        let path = open_socket(&sim, &dir);
        Self { node: Simulated::of(sim), door: Door::Socket(path), _dir: dir }
    }

    /// One whose offer is paid.
    pub fn by_offer() -> Self {
        let (sim, dir) = start();
        let path = open_socket(&sim, &dir);
        let offer = sim.offer("news");
        Self { node: Simulated::of(sim), door: Door::Offer(path, offer), _dir: dir }
    }

    /// One that is reached by clnrest.
    pub fn by_rest() -> Self {
        let (sim, dir) = start();
        let address = sim.open_cln_rest("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let door = Door::Rest(address.to_string(), sim.cln_rune_of(RESTRICTIONS));
        Self { node: Simulated::of(sim), door, _dir: dir }
    }

    fn its_sim(&self) -> &Sim {
        self.node.sim().expect("a simulator")
    }

    fn rest_keys(&self, address: &str, rune: &str) -> Keys {
        vec![
            ("type", "cln".to_owned()),
            ("address", address.to_owned()),
            ("rune", rune.to_owned()),
            ("cert", self.its_sim().cln_ca_path().display().to_string()),
        ]
    }
}

fn start() -> (Sim, TempDir) {
    let dir = tempfile::Builder::new().prefix("cln-").tempdir().expect("a directory");
    open_to_all(dir.path());
    (Sim::start(SimOptions::default()).expect("a simulator"), dir)
}

fn open_socket(sim: &Sim, dir: &TempDir) -> PathBuf {
    let path = dir.path().join("lightning-rpc");
    sim.open_cln_socket(&path).expect("a socket");
    // As with rpc-file-mode=0666, so that any l402d may connect.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("our own file");
    path
}

impl Wallet for Cln {
    fn environment(&self) -> Keys {
        let name = |key| match key {
            "type" => "LN_CLIENT_TYPE",
            "rpc_file" => "CLN_LIGHTNING_RPC_FILE_PATH",
            "address" => "CLN_REST_ADDRESS",
            "rune" => "CLN_RUNE",
            "offer" => "BOLT12_OFFER",
            _ => "CLN_REST_CERT_FILE_PATH",
        };
        self.keys().into_iter().map(|(key, value)| (name(key), value)).collect()
    }

    fn keys(&self) -> Keys {
        match &self.door {
            Door::Socket(path) => {
                vec![("type", "cln".to_owned()), ("rpc_file", path.display().to_string())]
            }
            Door::Rest(address, rune) => self.rest_keys(address, rune),
            Door::Offer(path, offer) => vec![
                ("type", "bolt12".to_owned()),
                ("rpc_file", path.display().to_string()),
                ("offer", offer.clone()),
            ],
        }
    }

    /// The socket grants everything to whom the file lets in.
    fn keys_not_accepted(&self) -> Option<Keys> {
        match &self.door {
            Door::Socket(_) | Door::Offer(..) => None,
            Door::Rest(address, _) => {
                Some(self.rest_keys(address, &self.its_sim().cln_rune(&["listinvoices"])))
            }
        }
    }

    fn secrets(&self) -> Vec<String> {
        match &self.door {
            Door::Socket(_) | Door::Offer(..) => Vec::new(),
            Door::Rest(_, rune) => vec![rune.clone(), self.its_sim().cln_rune(&["listinvoices"])],
        }
    }

    fn pay(&self, invoice: &str) -> Result<String, String> {
        self.node.pay(invoice)
    }

    fn cancel(&self, hash: &str) -> Result<(), String> {
        self.node.cancel(hash)
    }

    fn sim(&self) -> Option<&Sim> {
        self.node.sim()
    }

    fn offer(&self) -> Option<&str> {
        match &self.door {
            Door::Socket(_) | Door::Rest(..) => None,
            Door::Offer(_, offer) => Some(offer),
        }
    }

    /// lightningd's general error.
    fn refusal(&self) -> i32 {
        -1
    }
}
