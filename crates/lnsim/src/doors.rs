//! The doors that the program opens besides LND's, each with a file of the environment that leads l402d to it.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use lnsim::{
    EclairEvents, EclairOptions, LncOptions, LncSession, LnurlOptions, NwcDoor, NwcOptions, Permit, Sim,
};

/// What the Eclair of the simulator lets in.
const PASSWORD: &str = "lnsim";

/// What selling calls on clnrest.
const RUNE: &[&str] = &["invoice", "listinvoices", "waitanyinvoice", "getinfo", "fetchinvoice", "delinvoice"];

/// A door, by the kind of wallet that is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Door {
    /// LND's gRPC, which is always open.
    Lnd,
    /// Lightning Node Connect, through a mailbox.
    Lnc,
    /// lightningd's socket.
    Cln,
    /// clnrest.
    Clnrest,
    /// An offer, over lightningd's socket.
    Bolt12,
    /// Eclair's HTTP interface.
    Eclair,
    /// A Lightning address.
    Lnurl,
    /// Nostr Wallet Connect.
    Nwc,
}

/// What closes when it is dropped.
#[derive(Default)]
pub struct Open {
    nwc: Option<NwcDoor>,
    session: Option<LncSession>,
    socket: Option<PathBuf>,
}

impl Open {
    /// Opens each of `doors` and writes `DIR/NAME.env` for it: what l402d's environment has to be, for a shell to read.
    pub fn all(sim: &Sim, doors: &[Door]) -> Result<Open, Box<dyn std::error::Error>> {
        let mut open = Open::default();
        for door in doors {
            let pairs = open.one(sim, *door)?;
            let mut text = String::new();
            for (name, value) in pairs {
                writeln!(text, "{name}='{value}'")?;
            }
            let name = door.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            let path = sim.dir().join(format!("{name}.env"));
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
        }
        Ok(open)
    }

    fn one(
        &mut self,
        sim: &Sim,
        door: Door,
    ) -> Result<Vec<(&'static str, String)>, Box<dyn std::error::Error>> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let shown = |path: &Path| path.display().to_string();
        Ok(match door {
            Door::Lnd => vec![
                ("LN_CLIENT_TYPE", "LND".to_owned()),
                ("LND_ADDRESS", sim.lnd_address()),
                ("MACAROON_FILE_PATH", shown(&sim.macaroon_path(Permit::Invoice))),
                ("CERT_FILE_PATH", shown(&sim.tls_cert_path())),
            ],
            Door::Lnc => {
                let session = self.session.insert(sim.lnc_session(LncOptions::default())?);
                vec![
                    ("LN_CLIENT_TYPE", "LNC".to_owned()),
                    ("LNC_PAIRING_PHRASE", session.phrase().to_owned()),
                    ("LNC_MAILBOX_SERVER", sim.mailbox_address()),
                    ("LNC_MAILBOX_CERT", shown(&sim.tls_cert_path())),
                ]
            }
            Door::Cln => {
                let socket = self.socket(sim)?;
                vec![("LN_CLIENT_TYPE", "CLN".to_owned()), ("CLN_LIGHTNING_RPC_FILE_PATH", socket)]
            }
            Door::Clnrest => vec![
                ("LN_CLIENT_TYPE", "CLN".to_owned()),
                ("CLN_REST_ADDRESS", sim.open_cln_rest(any)?.to_string()),
                ("CLN_RUNE", sim.cln_rune(RUNE)),
                ("CLN_REST_CERT_FILE_PATH", shown(&sim.cln_ca_path())),
            ],
            Door::Bolt12 => vec![
                ("LN_CLIENT_TYPE", "BOLT12".to_owned()),
                ("CLN_LIGHTNING_RPC_FILE_PATH", self.socket(sim)?),
                ("BOLT12_OFFER", sim.offer("lnsim")),
            ],
            Door::Eclair => {
                let options = EclairOptions { password: PASSWORD.into(), events: EclairEvents::default() };
                vec![
                    ("LN_CLIENT_TYPE", "ECLAIR".to_owned()),
                    ("ECLAIR_ADDRESS", format!("http://{}", sim.open_eclair(any, options)?)),
                    ("ECLAIR_PASSWORD", PASSWORD.to_owned()),
                ]
            }
            Door::Lnurl => vec![
                ("LN_CLIENT_TYPE", "LNURL".to_owned()),
                ("LNURL_ADDRESS", format!("http://alice@{}", sim.open_lnurl(any, LnurlOptions::default())?)),
            ],
            Door::Nwc => {
                let door = self.nwc.insert(sim.open_nwc(NwcOptions::default())?);
                vec![("LN_CLIENT_TYPE", "NWC".to_owned()), ("NWC_URI", door.uri())]
            }
        })
    }

    /// lightningd's socket, which two doors lead through.
    fn socket(&mut self, sim: &Sim) -> Result<String, Box<dyn std::error::Error>> {
        let path = match self.socket.take() {
            Some(path) => path,
            None => {
                let path = sim.dir().join("lightning-rpc");
                sim.open_cln_socket(&path)?;
                path
            }
        };
        Ok(self.socket.insert(path).display().to_string())
    }
}
