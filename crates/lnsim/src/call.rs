//! One call that was let in, by whichever front door: the faults that it meets before and after it takes effect.

use crate::book::CallFaults;
use crate::method::Method;
use crate::world::World;

/// Which connection a call came by.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A refusal that a fault asks for: a code of the front door's protocol, and a text.
pub(crate) type Refusal = (i32, String);

/// What will happen to the answer of a call.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a World,
    faults: CallFaults,
    connection: Option<ConnectionId>,
    method: Method,
}

impl<'a> Call<'a> {
    /// A call of `method`, with the faults that are set for it.
    pub(crate) fn new(world: &'a World, method: Method, connection: Option<ConnectionId>) -> Self {
        Self { world, faults: world.faults().at_call(method), connection, method }
    }

    /// What may happen before the call takes effect; `limited` is how the door refuses one call too many.
    pub(crate) async fn before(&mut self, limited: (i32, &str)) -> Result<(), Refusal> {
        if self.world.faults().is_limited(self.method) {
            return Err((limited.0, limited.1.to_owned()));
        }
        if self.faults.hang {
            std::future::pending::<()>().await;
        }
        if !self.faults.delay.is_zero() {
            tokio::time::sleep(self.faults.delay).await;
        }
        self.faults.refuse.take().map_or(Ok(()), Err)
    }

    /// What may happen after it took effect: the connection is cut instead of an answer.
    pub(crate) async fn after(&self) {
        if self.faults.drop
            && let Some(ConnectionId(id)) = self.connection
        {
            self.world.connections.cut(id);
            std::future::pending::<()>().await;
        }
    }
}
