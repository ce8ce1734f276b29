//! What leads to a node: connections are made through it, one after the other.

use std::future::ready;

use lnd_rpc::channel::{ConnectError, MacaroonInterceptor, Node};
use tonic::transport::Channel;

use crate::foreign::Secrets;
use crate::pause::FIRST_PAUSE;
use crate::{LightningError, Pending};

/// A way to a node.
pub(crate) trait Door: Send + Sync {
    /// Where it leads, for the operator.
    fn leads_to(&self) -> String;

    /// Where the macaroon comes from.
    fn access(&self) -> Access;

    /// What no log line may hold.
    fn secrets(&self) -> Secrets {
        Secrets::none()
    }

    /// Makes a connection, within a time of its own. When that connection is lost, each later call fails at once.
    fn connect(&self) -> Pending<'_, Result<Way, LightningError>>;

    /// Leaves for good, so that the next one who comes finds the way free.
    fn close(&self) -> Pending<'_, ()> {
        Box::pin(ready(()))
    }
}

/// A connection, and what goes along with each call on it.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) channel: Channel,
    pub(crate) macaroon: MacaroonInterceptor,
}

/// Where the macaroon comes from: it tells the operator what to replace where it lacks something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// A file that the operator named.
    File,
    /// A session that the operator made on the node.
    Session,
}

impl Door for Node {
    fn leads_to(&self) -> String {
        self.address()
    }

    fn access(&self) -> Access {
        Access::File
    }

    fn connect(&self) -> Pending<'_, Result<Way, LightningError>> {
        Box::pin(async {
            let channel = Node::connect(self).await.map_err(|error| connect_failed(&error))?;
            Ok(Way { channel, macaroon: self.macaroon() })
        })
    }
}

/// Whose fault a failed attempt is: a wrong certificate needs the operator; the rest may pass.
fn connect_failed(error: &ConnectError) -> LightningError {
    match error {
        ConnectError::Certificate { .. }
        | ConnectError::Expired { .. }
        | ConnectError::OtherName { .. }
        | ConnectError::NotGrpc { .. } => LightningError::Refused(error.to_string()),
        ConnectError::TimedOut { .. } => LightningError::TimedOut,
        ConnectError::Unreachable { .. } | ConnectError::Proxy { .. } | ConnectError::Broken { .. } => {
            LightningError::unavailable(error.to_string(), FIRST_PAUSE)
        }
    }
}
