//! Prices and payees: `/path` holds a price, `lnurl:/path` a Lightning address, both written by the operator.

use redis::{RedisError, RedisResult, Value, aio::ConnectionLike};
use tokio::time::Instant;

use super::{
    RedisStore,
    link::{Failed, Live},
};
use crate::{BoxFuture, Listed, Prices, StoreError};

/// What takes the place of a value that is no text: it is as good as any other that can't be used.
const NO_TEXT: &str = "(not a string)";

impl Prices for RedisStore {
    fn listed<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Listed, StoreError>> {
        Box::pin(self.aside.ask(self.look(path)))
    }
}

impl RedisStore {
    async fn look(&self, path: &str) -> Result<Listed, StoreError> {
        let link = self.server.pool.link();
        let until = Instant::now() + self.options().deadline;
        let live = link.live(until, false).await.map_err(StoreError::NotCarriedOut)?;
        // Two commands, as the keys of a path need not be in one slot of a Cluster; they travel together.
        let payee = format!("lnurl:{path}");
        match tokio::try_join!(get(&live, path), get(&live, &payee)) {
            Ok((price, payee)) => Ok(Listed { price, payee }),
            Err(error) => Err(match Failed::from(error) {
                Failed::Lost(reason) | Failed::Moved(reason) => {
                    link.replace(&live);
                    StoreError::NotCarriedOut(reason)
                }
                Failed::Refused(reason) | Failed::Unsure(reason) => StoreError::NotCarriedOut(reason),
                Failed::Late => StoreError::NotCarriedOut("too late".into()),
            }),
        }
    }
}

async fn get(live: &Live, key: &str) -> RedisResult<Option<String>> {
    let mut command = redis::cmd("GET");
    command.arg(key);
    let answer = live.connection.clone().req_packed_command(&command).await;
    match answer.and_then(Value::extract_error) {
        Ok(Value::Nil) => Ok(None),
        Ok(Value::BulkString(bytes)) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Ok(_) => Ok(Some(NO_TEXT.to_owned())),
        Err(error) if is_wrong_type(&error) => Ok(Some(NO_TEXT.to_owned())),
        Err(error) => Err(error),
    }
}

fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}
