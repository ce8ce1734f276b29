//! The keys, the scripts, and what their answers mean.
//!
//! | key | holds |
//! |---|---|
//! | `l402:preimage:<payment hash>` | how many units were drawn from the payment; for ever |
//! | `{l402:preimage:<payment hash>}:<request id>` | what a request drew and what was left, or `released`; an hour |
//! | `{l402:preimage:<payment hash>}:unheard` | the requests that drew and whose host may not have heard so yet (`news.rs`); a minute |
//! | `l402:settled:<payment hash>` | the preimage of a settled payment, in hex |
//! | `{l402:settled:<payment hash>}:record` | what was received (msat) and when (Unix seconds) |
//! | `l402:note:<payment hash>` | what a wallet must know again of an invoice; 30 days |
//! | `l402:rate:<name>` | when it is as if nothing had been taken (Unix microseconds); until then |
//!
//! The first and the third are the former module's: it writes `used` into the first when a payment is spent. Such a
//! payment is spent here too, and one that is spent here is spent there. The braces are a Cluster's: what stands between
//! them decides the slot, and the first key as a whole has the same one.

use std::{sync::LazyLock, time::Duration};

use l402::{PaymentHash, Preimage};
use redis::{Cmd, ErrorKind, ServerErrorKind, Value, aio::ConnectionLike};
use tokio::time::Instant;

use super::{
    link::{Failed, Live},
    news::KEEP_UNHEARD,
};
use crate::{Claim, Claimed, Hash, KEEP_NOTES, Rate, RequestId, Settled, StoreError, Taken};

/// A script and the name that Redis knows it by.
pub(super) struct Script {
    text: &'static str,
    sha1: LazyLock<String>,
}

macro_rules! script {
    ($text:literal) => {
        Script { text: $text, sha1: LazyLock::new(|| redis::Script::new($text).get_hash().to_owned()) }
    };
}

/// KEYS: drawn, request, unheard. ARGV: deadline (Unix ms, 0: none), limit, units, seconds to keep the request, how many
/// replicas must be there, milliseconds to keep what is unheard, request id.
static CLAIM: Script = script!(
    "
local deadline = tonumber(ARGV[1])
if deadline > 0 then
  local now = redis.call('TIME')
  if tonumber(now[1]) * 1000 + tonumber(now[2]) / 1000 > deadline then return {'late'} end
end
local known = redis.call('MGET', KEYS[2], KEYS[1])
local before, drawn = known[1], known[2]
if before == 'released' then return {'released'} end
if before then return {'granted', string.match(before, '%d+$')} end
local used = tonumber(drawn or '0')
if not used then
  redis.call('PERSIST', KEYS[1])
  return {'used up'}
end
local limit, units = tonumber(ARGV[2]), tonumber(ARGV[3])
if used + units > limit then
  return {redis.call('SCARD', KEYS[3]) > 0 and 'in doubt' or 'used up'}
end
local replicas = tonumber(ARGV[5])
if replicas > 0 then
  local there = string.match(redis.call('INFO', 'replication'), 'connected_slaves:(%d+)')
  if tonumber(there or '0') < replicas then return {'alone'} end
end
local left = string.format('%.0f', limit - used - units)
if units > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', used + units))
  redis.call('SADD', KEYS[3], ARGV[7])
  redis.call('PEXPIRE', KEYS[3], ARGV[6])
end
redis.call('SET', KEYS[2], ARGV[3] .. ' ' .. left, 'EX', ARGV[4])
return {'granted', left}
"
);

/// KEYS: drawn, request, unheard. ARGV: deadline (unused), seconds to keep the request, request id, how many replicas must be
/// there: a master that is being replaced would forget what was given back.
static RELEASE: Script = script!(
    "
local replicas = tonumber(ARGV[4])
if replicas > 0 then
  local there = string.match(redis.call('INFO', 'replication'), 'connected_slaves:(%d+)')
  if tonumber(there or '0') < replicas then return {'alone'} end
end
local before = redis.call('GET', KEYS[2])
redis.call('SET', KEYS[2], 'released', 'EX', ARGV[2])
redis.call('SREM', KEYS[3], ARGV[3])
if not before or before == 'released' then return 0 end
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if not used then return 0 end
local left = used - tonumber(string.match(before, '^%d+'))
if left > 0 then redis.call('SET', KEYS[1], string.format('%.0f', left)) else redis.call('DEL', KEYS[1]) end
return 1
"
);

/// KEYS: preimage, record. ARGV: deadline (unused), seconds to keep (0: for ever), record, preimage or nothing.
static SETTLED_PUT: Script = script!(
    "
local function put(key, value)
  if ARGV[2] == '0' then redis.call('SET', key, value, 'NX')
  else redis.call('SET', key, value, 'NX', 'EX', ARGV[2]) end
end
if ARGV[4] ~= '' then put(KEYS[1], ARGV[4]) end
put(KEYS[2], ARGV[3])
return 1
"
);

/// KEYS: when it is as if nothing had been taken (Unix microseconds). ARGV: deadline (unused), what each takes up of
/// the window and how long that is, in microseconds.
static RATE: Script = script!(
    "
local now = redis.call('TIME')
now = tonumber(now[1]) * 1000000 + tonumber(now[2])
local each, window = tonumber(ARGV[2]), tonumber(ARGV[3])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local taken = free + each - now
if taken > window then return {'limited', string.format('%.0f', taken - window)} end
redis.call('SET', KEYS[1], string.format('%.0f', free + each), 'PX', math.ceil(taken / 1000))
return {'passed'}
"
);

/// KEYS: preimage, record. ARGV: deadline (unused).
static SETTLED_GET: Script = script!("return redis.call('MGET', KEYS[1], KEYS[2])");

/// KEYS: note. ARGV: deadline (unused), seconds to keep, text.
static NOTE_PUT: Script = script!("redis.call('SET', KEYS[1], ARGV[3], 'NX', 'EX', ARGV[2]) return 1");

/// KEYS: note. ARGV: deadline (unused).
static NOTE_GET: Script = script!("return redis.call('GET', KEYS[1])");

/// The keys of one payment.
pub(super) struct Payment {
    hex: String,
}

/// A script on the keys of one payment, or the like.
pub(super) struct Call<'s> {
    script: &'s Script,
    keys: Vec<String>,
    /// After the deadline.
    args: Vec<Arg>,
    /// It must not be carried out after its deadline.
    has_deadline: bool,
    /// How many replicas must know of what it drew, or gave back.
    replicas: u32,
}

enum Arg {
    Number(u64),
    Text(String),
}

impl Payment {
    pub(super) fn new(hash: Hash) -> Self {
        Self { hex: PaymentHash(hash).to_string() }
    }

    fn drawn(&self, request: RequestId) -> [String; 3] {
        let hex = self.hex.as_str();
        let about = |what: &str| ["{l402:preimage:", hex, "}:", what].concat();
        [["l402:preimage:", hex].concat(), about(&text_of(request)), about("unheard")]
    }

    fn settled(&self) -> [String; 2] {
        let hex = self.hex.as_str();
        [["l402:settled:", hex].concat(), ["{l402:settled:", hex, "}:record"].concat()]
    }

    pub(super) fn claim(&self, claim: &Claim, keep: Duration, replicas: u32) -> Call<'static> {
        let unheard = u64::try_from(KEEP_UNHEARD.as_millis()).unwrap_or(u64::MAX);
        let numbers = [claim.limit.into(), claim.units.into(), keep.as_secs(), replicas.into(), unheard];
        let request = Arg::Text(text_of(claim.request));
        let args = numbers.into_iter().map(Arg::Number).chain([request]).collect();
        Call { script: &CLAIM, keys: self.drawn(claim.request).into(), args, has_deadline: true, replicas }
    }

    pub(super) fn release(&self, request: RequestId, keep: Duration, replicas: u32) -> Call<'static> {
        let args =
            vec![Arg::Number(keep.as_secs()), Arg::Text(text_of(request)), Arg::Number(replicas.into())];
        Call { script: &RELEASE, keys: self.drawn(request).into(), args, has_deadline: false, replicas }
    }

    /// Says that the request's host has heard of what it drew.
    pub(super) fn heard(&self, request: RequestId) -> Cmd {
        let [_, _, unheard] = self.drawn(request);
        let mut command = redis::cmd("SREM");
        command.arg(unheard).arg(text_of(request));
        command
    }

    pub(super) fn settled_put(&self, settled: &Settled, keep: Option<Duration>) -> Call<'static> {
        let keep = Arg::Number(seconds(keep).unwrap_or(0));
        let record = format!("{} {}", settled.received_msat, settled.at);
        let preimage =
            settled.preimage.map(|bytes| Preimage::from_bytes(bytes).expose_hex()).unwrap_or_default();
        let args = vec![keep, Arg::Text(record), Arg::Text(preimage)];
        Call { script: &SETTLED_PUT, keys: self.settled().into(), args, has_deadline: false, replicas: 0 }
    }

    /// Says that it is settled, as this preimage of its shows; a plain command, which Redis may be sent again.
    pub(super) fn settled_note(&self, preimage: &Preimage, keep: Option<Duration>) -> Cmd {
        let [key, _] = self.settled();
        let mut command = redis::cmd("SET");
        command.arg(key).arg(preimage.expose_hex()).arg("NX");
        if let Some(seconds) = seconds(keep) {
            command.arg("EX").arg(seconds);
        }
        command
    }

    pub(super) fn note_put(&self, note: String) -> Call<'static> {
        let args = vec![Arg::Number(KEEP_NOTES.as_secs()), Arg::Text(note)];
        Call { script: &NOTE_PUT, keys: self.note(), args, has_deadline: false, replicas: 0 }
    }

    pub(super) fn note_get(&self) -> Call<'static> {
        Call { script: &NOTE_GET, keys: self.note(), args: Vec::new(), has_deadline: false, replicas: 0 }
    }

    fn note(&self) -> Vec<String> {
        vec![format!("l402:note:{}", self.hex)]
    }

    pub(super) fn settled_get(&self) -> Call<'static> {
        Call {
            script: &SETTLED_GET,
            keys: self.settled().into(),
            args: Vec::new(),
            has_deadline: false,
            replicas: 0,
        }
    }
}

/// Takes one of what may be done so often.
pub(super) fn rate(key: &str, rate: Rate) -> Call<'static> {
    let args = [rate.each(), rate.window.max(rate.each())];
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let args = args.map(|time| Arg::Number(micros(time))).into();
    let keys = vec![format!("l402:rate:{key}")];
    Call { script: &RATE, keys, args, has_deadline: false, replicas: 0 }
}

impl Call<'_> {
    /// Sends it and waits for its answer.
    pub(super) async fn send(&self, live: &Live, until: Instant) -> Result<Value, Failed> {
        let deadline = live.unix_ms(until).filter(|_| self.has_deadline).unwrap_or(0);
        let value = match perform(live, &self.command("EVALSHA", &self.script.sha1, deadline)).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                perform(live, &self.command("EVAL", self.script.text, deadline)).await?
            }
            other => other?,
        };
        match word(&value, 0).as_deref() {
            Some("late") => Err(Failed::Late),
            Some("alone") => Err(Failed::Refused("it has too few replicas (wait_replicas)".into())),
            // What was drawn, or given back (a number), must not be forgotten.
            Some("granted") | None if self.replicas > 0 => match wait(live, self.replicas, until).await {
                Ok(known) if known >= i64::from(self.replicas) => Ok(value),
                Ok(known) => {
                    let must = self.replicas;
                    Err(Failed::Unsure(format!("{known} of its replicas know of it, {must} must")))
                }
                // Whatever it says now, it was carried out.
                Err(error) => Err(match error.into() {
                    Failed::Lost(reason) => Failed::Lost(reason),
                    _ => Failed::Unsure("it is not the master any more".into()),
                }),
            },
            _ => Ok(value),
        }
    }

    fn command(&self, verb: &str, script: &str, deadline: u64) -> Cmd {
        let texts: usize = self.keys.iter().map(String::len).sum();
        let mut command =
            Cmd::with_capacity(self.keys.len() + self.args.len() + 4, texts + script.len() + 256);
        command.arg(verb).arg(script).arg(self.keys.len()).arg(&self.keys).arg(deadline);
        for arg in &self.args {
            match arg {
                Arg::Number(number) => command.arg(number),
                Arg::Text(text) => command.arg(text),
            };
        }
        command
    }
}

async fn perform(live: &Live, command: &Cmd) -> redis::RedisResult<Value> {
    live.connection.clone().req_packed_command(command).await?.extract_error()
}

/// How many replicas know of all that was done over this connection.
async fn wait(live: &Live, replicas: u32, until: Instant) -> redis::RedisResult<i64> {
    // Some of the time is left for the answer's way back, and to give back what was drawn.
    let patience = until.saturating_duration_since(Instant::now()) / 2;
    let mut wait = redis::cmd("WAIT");
    wait.arg(replicas).arg(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX).max(1));
    match perform(live, &wait).await? {
        Value::Int(known) => Ok(known),
        _ => Ok(0),
    }
}

/// How long something is kept; `None`: for ever.
fn seconds(keep: Option<Duration>) -> Option<u64> {
    keep.map(|keep| keep.as_secs().max(1))
}

/// A request's name in keys.
fn text_of(request: RequestId) -> String {
    format!("{:032x}", u128::from_be_bytes(request))
}

/// What a claim came to; `None`: that is in doubt, as what another request drew may be given back.
pub(super) fn claimed(value: &Value) -> Result<Option<Claimed>, StoreError> {
    match word(value, 0).as_deref() {
        Some("granted") => {
            let remaining = word(value, 1).and_then(|text| text.parse().ok()).ok_or_else(unexpected)?;
            Ok(Some(Claimed::Granted { remaining }))
        }
        Some("used up") => Ok(Some(Claimed::UsedUp)),
        Some("in doubt") => Ok(None),
        Some("released") => Ok(Some(Claimed::Released)),
        _ => Err(unexpected()),
    }
}

/// Whether something was given back.
pub(super) fn released(value: &Value) -> Result<bool, StoreError> {
    match value {
        Value::Int(given) => Ok(*given == 1),
        _ => Err(unexpected()),
    }
}

/// Whether it is within its rate.
pub(super) fn taken(value: &Value) -> Option<Taken> {
    match word(value, 0)?.as_str() {
        "passed" => Some(Taken::Passed),
        "limited" => {
            let microseconds = word(value, 1)?.parse().ok()?;
            Some(Taken::Limited { retry_after: Duration::from_micros(microseconds) })
        }
        _ => None,
    }
}

/// The text of a note, if there is one.
pub(super) fn text(value: &Value) -> Result<Option<String>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
        _ => Err(unexpected()),
    }
}

/// The settlement. What the former module wrote has no record; its preimage must be the payment's.
pub(super) fn settled(hash: Hash, value: &Value) -> Result<Option<Settled>, StoreError> {
    let Value::Array(items) = value else { return Err(unexpected()) };
    if items.len() != 2 {
        return Err(unexpected());
    }
    let preimage = word(value, 0).and_then(|text| Preimage::from_hex(&text).ok());
    let Some(record) = word(value, 1) else {
        let preimage = preimage.filter(|preimage| preimage.matches(&PaymentHash(hash)));
        let recorded =
            |preimage: Preimage| Settled { preimage: Some(*preimage.expose()), received_msat: 0, at: 0 };
        return Ok(preimage.map(recorded));
    };
    let (received, at) = record.split_once(' ').ok_or_else(unexpected)?;
    let (Ok(received_msat), Ok(at)) = (received.parse(), at.parse()) else { return Err(unexpected()) };
    Ok(Some(Settled { preimage: preimage.map(|preimage| *preimage.expose()), received_msat, at }))
}

/// The text at this place of a list.
fn word(value: &Value, at: usize) -> Option<String> {
    let Value::Array(items) = value else { return None };
    match items.get(at)? {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

fn unexpected() -> StoreError {
    StoreError::Unavailable(
        "Redis answered what its script does not; does something else write its keys?".into(),
    )
}
