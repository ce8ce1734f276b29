//! The ledger in Redis.

use std::time::Duration;

use super::{
    RedisStore, answers,
    script::{Arg, Call, Script, script},
};
use crate::{BoxFuture, Entered, Ledger, StoreError};

/// KEYS: pieces. ARGV: deadline (unused), note, milliseconds to keep it (0: for ever), how many replicas must be there. The first
/// command that writes is the only one that memory can be too full for.
static ENTER: Script = script!(
    "
local replicas = tonumber(ARGV[4])
if replicas > 0 then
  local there = string.match(redis.call('INFO', 'replication'), 'connected_slaves:(%d+)')
  if tonumber(there or '0') < replicas then return {'alone'} end
end
local first
for i, known in ipairs(redis.call('MGET', unpack(KEYS))) do
  if i == 1 then first = known elseif known ~= first then return {'mixed'} end
end
if first then return {'known', first} end
for _, piece in ipairs(KEYS) do
  if ARGV[3] == '0' then redis.call('SET', piece, ARGV[2]) else redis.call('SET', piece, ARGV[2], 'PX', ARGV[3]) end
end
return {'entered'}
"
);

/// KEYS: pieces. ARGV: deadline (unused), note, milliseconds to keep it (0: for ever).
static CONFIRM: Script = script!(
    "
for _, piece in ipairs(KEYS) do
  if ARGV[3] == '0' then redis.call('SET', piece, ARGV[2]) else redis.call('SET', piece, ARGV[2], 'PX', ARGV[3]) end
end
return 1
"
);

/// KEYS: pieces. ARGV: deadline (unused), note.
static WITHDRAW: Script = script!(
    "
for i, known in ipairs(redis.call('MGET', unpack(KEYS))) do
  if known == ARGV[2] then redis.call('DEL', KEYS[i]) end
end
return 1
"
);

impl Ledger for RedisStore {
    fn enter<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<Entered, StoreError>> {
        Box::pin(async move {
            let args = vec![text(note), milliseconds(keep), Arg::Number(self.replicas().into())];
            answers::entered(&self.ask(&Call::new(&ENTER, keys(pieces), args, self.replicas())).await?)
        })
    }

    fn confirm<'a>(
        &'a self,
        pieces: &'a [String],
        note: &'a str,
        keep: Option<Duration>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let args = vec![text(note), milliseconds(keep)];
            self.ask(&Call::new(&CONFIRM, keys(pieces), args, self.replicas())).await?;
            Ok(())
        })
    }

    fn withdraw<'a>(&'a self, pieces: &'a [String], note: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.ask(&Call::new(&WITHDRAW, keys(pieces), vec![text(note)], 0)).await?;
            Ok(())
        })
    }
}

impl RedisStore {
    fn replicas(&self) -> u32 {
        self.options().servers.wait_replicas
    }
}

fn keys(pieces: &[String]) -> Vec<String> {
    pieces.iter().map(|piece| ["{l402:ecash}:", piece].concat()).collect()
}

fn text(note: &str) -> Arg {
    Arg::Text(note.to_owned())
}

/// How long something is kept; 0: for ever.
fn milliseconds(keep: Option<Duration>) -> Arg {
    Arg::Number(keep.map_or(0, |keep| u64::try_from(keep.as_millis()).unwrap_or(u64::MAX).max(1)))
}
