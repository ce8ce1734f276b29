//! The keys and the scripts. What their answers mean is in `answers.rs`.
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
    answers::{has_changed, word},
    link::{Failed, Live},
    news::KEEP_UNHEARD,
};
use crate::{Claim, Hash, KEEP_NOTES, Rate, RequestId, Settled};

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

/// Claims, one after the other. KEYS: drawn, request, unheard of each. ARGV: deadline (Unix ms, 0: none), seconds to keep a
/// request, how many replicas must be there, milliseconds to keep what is unheard; then limit, units and request id of each.
///
/// Once something is written no command fails any more, full memory included; what could fail is tried before.
static CLAIM: Script = script!(
    "
local deadline = tonumber(ARGV[1])
if deadline > 0 then
  local now = redis.call('TIME')
  if tonumber(now[1]) * 1000 + tonumber(now[2]) / 1000 > deadline then return {'late'} end
end
local replicas = tonumber(ARGV[3])
if replicas > 0 then
  local there = string.match(redis.call('INFO', 'replication'), 'connected_slaves:(%d+)')
  if tonumber(there or '0') < replicas then return {'alone'} end
end
local function claim(drawn, request, unheard, limit, units, id)
  local known = redis.call('MGET', request, drawn)
  local before, used = known[1], tonumber(known[2] or '0')
  if before == 'released' then return 'released' end
  if before then return 'granted ' .. (string.match(before, '%d+$') or '') end
  if not used then
    redis.call('PERSIST', drawn)
    return 'used up'
  end
  if used + units > limit then
    local count = redis.pcall('SCARD', unheard)
    return type(count) == 'number' and count > 0 and 'in doubt' or 'used up'
  end
  if units > 0 then
    local added = redis.pcall('SADD', unheard, id)
    if type(added) ~= 'number' then return 'failed ' .. added.err end
    redis.call('PEXPIRE', unheard, ARGV[4])
    redis.call('SET', drawn, string.format('%.0f', used + units))
  end
  local left = string.format('%.0f', limit - used - units)
  redis.call('SET', request, units .. ' ' .. left, 'EX', ARGV[2])
  return 'granted ' .. left
end
local answers = {}
for i = 1, #KEYS / 3 do
  local key, arg = 3 * i - 2, 3 * i + 2
  answers[i] = claim(KEYS[key], KEYS[key + 1], KEYS[key + 2], tonumber(ARGV[arg]), tonumber(ARGV[arg + 1]), ARGV[arg + 2])
end
return answers
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

/// A script on the keys of payments, or the like.
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

/// Claims that are carried out one after the other. In a Cluster there is one: their keys are in many slots.
pub(super) fn claims<'a>(
    claims: impl Iterator<Item = &'a Claim> + Clone,
    keep: Duration,
    replicas: u32,
) -> Call<'static> {
    let unheard = u64::try_from(KEEP_UNHEARD.as_millis()).unwrap_or(u64::MAX);
    let keys = claims.clone().flat_map(|claim| Payment::new(claim.payment_hash).drawn(claim.request));
    let each = claims.flat_map(|claim| {
        let (limit, units) = (claim.limit.into(), claim.units.into());
        [Arg::Number(limit), Arg::Number(units), Arg::Text(text_of(claim.request))]
    });
    let args = [keep.as_secs(), replicas.into(), unheard].into_iter().map(Arg::Number).chain(each);
    Call { script: &CLAIM, keys: keys.collect(), args: args.collect(), has_deadline: true, replicas }
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
            // What was drawn, or given back, must not be forgotten.
            _ if self.replicas > 0 && has_changed(&value) => match wait(live, self.replicas, until).await {
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
