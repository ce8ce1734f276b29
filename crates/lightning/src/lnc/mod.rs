//! LND through a mailbox, by Lightning Node Connect: the LND wallet behind another door.

mod door;
mod farewell;
mod keyring;
mod turn;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::lnc::PairingPhrase;
use ::lnc::client::{Roots, Server};
use settings::{LncSettings, RouteHints};

use crate::Lightning;
use crate::lnd::Lnd;
use door::LncDoor;

/// Opens the wallet that `settings` describes. It keeps its keys in `state_dir`.
pub(crate) fn open(
    settings: &LncSettings,
    hints: RouteHints,
    timeout: Duration,
    state_dir: &Path,
) -> Result<Arc<dyn Lightning>, String> {
    let phrase = PairingPhrase::parse(settings.phrase.expose()).map_err(|error| error.to_string())?;
    let roots = match &settings.certificate {
        Some(pem) => Roots::Pem(pem.clone()),
        None => Roots::System,
    };
    let server = Server::new(&settings.mailbox, &roots).map_err(|error| error.to_string())?;
    let door = LncDoor::new(server, phrase, state_dir);
    Ok(Arc::new(Lnd::behind(Box::new(door), timeout).with_hints(hints)))
}
