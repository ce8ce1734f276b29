//! SIGHUP: the root keys are read again and told to every front end, and the log file is opened anew.

use std::{collections::HashSet, io, path::PathBuf, sync::Arc, time::Duration};

use agent_api::{MAX_KEYS, RingKey};
use l402::RootKey;
use settings::{AgentConfig, RootKeys};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::spawn_blocking,
    time::sleep,
};

use crate::{Args, config, keys, log::LogFile, systemd};

/// How long a new key verifies at every worker before the first token is signed with it: a token may be shown
/// to a worker that has not read its key yet. A worker reads it in the same turn of its event loop; a payment takes longer.
const SPREAD: Duration = Duration::from_secs(1);

/// Where the root keys come from.
pub enum Origin {
    /// From what was said at the start, which is read again; and what it said then.
    Arguments(Box<(Args, AgentConfig)>),
    /// From nginx, which starts another l402d when it reloads. Its keys stay; those of the state directory are read
    /// again.
    Nginx {
        /// The operator's.
        given: RootKeys,
        /// Where the others are.
        state_dir: PathBuf,
    },
}

impl Origin {
    /// Reads the keys, or says in lines why it can't.
    fn read(&self) -> Result<Vec<RootKey>, Vec<String>> {
        let (given, state_dir) = match self {
            Self::Nginx { given, state_dir } => (given.clone(), state_dir.clone()),
            Self::Arguments(start) => {
                let (args, started) = &**start;
                let now = config::from_arguments(args);
                let now = now.map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())?;
                for name in changed(started, &now) {
                    tracing::warn!("{name} has changed; it takes effect when l402d is restarted");
                }
                (now.root_keys, started.state_dir.clone())
            }
        };
        keys::root_keys(&given, &state_dir).map_err(|error| vec![error.to_string()])
    }
}

/// Settings that a reload does not take over, and that differ.
fn changed(started: &AgentConfig, now: &AgentConfig) -> Vec<&'static str> {
    let all = [
        ("the state directory", started.state_dir != now.state_dir),
        ("the socket", started.socket != now.socket),
        ("who may connect", started.access != now.access),
        ("the log file", started.log_file != now.log_file),
        ("the log filter", started.log != now.log),
        ("Redis", started.redis != now.redis),
        ("how ecash is taken", started.ecash != now.ecash),
        ("a backend", started.backends != now.backends),
    ];
    all.into_iter().filter_map(|(name, differs)| differs.then_some(name)).collect()
}

/// Reloads at each SIGHUP, which is caught from now on, not from the first poll. Never ends.
///
/// # Errors
/// The signal can't be caught.
pub fn on_signal(
    origin: Origin,
    log: Option<Arc<LogFile>>,
    keys: watch::Sender<Vec<RingKey>>,
) -> io::Result<impl Future<Output = ()>> {
    let mut signals = signal(SignalKind::hangup())?;
    let origin = Arc::new(origin);
    Ok(async move {
        while signals.recv().await.is_some() {
            systemd::reloading();
            if let Some(Err(error)) = log.as_ref().map(|log| log.reopen()) {
                tracing::error!(%error, "the log goes on in the former file");
            }
            let origin = origin.clone();
            match spawn_blocking(move || origin.read()).await {
                Ok(Ok(found)) => spread(&keys, &found).await,
                Ok(Err(lines)) => {
                    for line in lines {
                        tracing::error!("{line}");
                    }
                    tracing::error!("nothing is reloaded; the former root keys stay in force");
                }
                Err(error) => tracing::error!(%error, "nothing is reloaded"),
            }
            systemd::ready();
        }
        std::future::pending().await
    })
}

/// Tells the keys to every front end: first so that all verify what some will sign, then for good.
async fn spread(told: &watch::Sender<Vec<RingKey>>, found: &[RootKey]) {
    let (former, new) = (told.borrow().clone(), keys::to_frames(found));
    if former != new {
        if let Some(bridge) = bridge(&former, &new) {
            told.send_replace(bridge);
            sleep(SPREAD).await;
        }
        told.send_replace(new);
    }
    report(found);
}

/// The new keys below the one that signed so far; `None` where the same one goes on signing.
fn bridge(former: &[RingKey], new: &[RingKey]) -> Option<Vec<RingKey>> {
    let signing = former.first().filter(|signing| Some(*signing) != new.first())?;
    let others = new.iter().filter(|key| key.secret != signing.secret);
    Some([signing].into_iter().chain(others).take(MAX_KEYS).cloned().collect())
}

/// Which keys are in force, by their public names.
pub fn report(keys: &[RootKey]) {
    let ids: Vec<String> = keys.iter().map(|key| key.id().to_string()).collect();
    let distinct: HashSet<&String> = ids.iter().collect();
    if distinct.len() < ids.len() {
        tracing::warn!(
            "two root keys have the same id by chance; rotate once more and drop the newer of them"
        );
    }
    if let Some((signing, verifying)) = ids.split_first() {
        tracing::info!(%signing, verifying = %verifying.join(" "), "root keys");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(names: &str) -> Vec<RingKey> {
        names.bytes().map(|name| agent_api::Secret32::new([name; 32]).into()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn every_front_end_verifies_with_a_key_before_any_signs_with_it() {
        let root = |name: u8| RootKey::from_bytes([name; 32]);
        let told = watch::channel(ring("b")).0;
        let mut heard = told.subscribe();
        let spreading = tokio::spawn(async move { spread(&told, &[root(b'a'), root(b'b')]).await });
        heard.changed().await.unwrap();
        assert_eq!(*heard.borrow_and_update(), ring("ba"));
        heard.changed().await.unwrap();
        assert_eq!(*heard.borrow_and_update(), ring("ab"));
        spreading.await.unwrap();
        assert!(heard.changed().await.is_err(), "no more, and the sender is gone");
    }

    #[test]
    fn a_bridge_is_needed_only_where_another_key_is_to_sign() {
        assert_eq!(bridge(&ring("b"), &ring("ab")), Some(ring("ba")));
        assert_eq!(bridge(&ring("bc"), &ring("a")), Some(ring("ba")), "the one that goes still signs");
        assert_eq!(bridge(&ring("b"), &ring("ba")), None);
        assert_eq!(bridge(&ring("ab"), &ring("a")), None);
        let full: Vec<_> = (0..MAX_KEYS as u8).map(|n| agent_api::Secret32::new([n; 32]).into()).collect();
        assert_eq!(bridge(&ring("z"), &full).unwrap().len(), MAX_KEYS);
    }
}
