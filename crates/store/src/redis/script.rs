//! The keys and the scripts. What their answers mean is in `answers.rs`.
//!
//! | key | holds |
//! |---|---|
//! | `l402:preimage:<payment hash>` | how many units were drawn from the payment; the last request that drew, with what it drew and what was left; and which requests drew by which calls, as far as they may not have been heard of (`news.rs`); for ever |
//! | `{l402:preimage:<payment hash>}:<request id>` | what an earlier request drew and what was left, or `released`; an hour |
//! | `l402:call:<call id>`, in a Cluster `{l402:preimage:<payment hash>}:call:<call id>` | nothing: while it is there, its host may not have heard of what the call drew; a minute |
//! | `l402:settled:<payment hash>` | the preimage of a settled payment, in hex |
//! | `{l402:settled:<payment hash>}:record` | what was received (msat) and when (Unix seconds) |
//! | `l402:note:<payment hash>` | what a wallet must know again of an invoice; 30 days |
//! | `{l402:ecash}:<piece>` | of which payment a piece of ecash is; for ever, or while it is being swapped; all in one slot, as those of a payment are entered together |
//! | `l402:rate:<name>` | when it is as if nothing had been taken (Unix microseconds); until then |
//!
//! The first and the fourth are the former module's: it writes `used` into the first when a payment is spent. Such a
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
use crate::{Claim, Hash, KEEP_NOTES, Rate, RequestId, Settled, StoreError};

/// A script and the name that Redis knows it by.
pub(super) struct Script {
    text: &'static str,
    sha1: LazyLock<String>,
}

impl Script {
    pub(super) const fn new(text: &'static str, sha1: LazyLock<String>) -> Self {
        Self { text, sha1 }
    }
}

/// A script of this text.
macro_rules! script {
    ($text:literal) => {
        crate::redis::script::Script::new(
            $text,
            std::sync::LazyLock::new(|| redis::Script::new($text).get_hash().to_owned()),
        )
    };
}
pub(super) use script;

/// Claims, one after the other. KEYS: this call; then drawn and request of each; then the preimage of each that tells it. ARGV:
/// deadline (Unix ms, 0: none), seconds to keep a request, how many replicas must be there, milliseconds to keep the call,
/// seconds to keep a preimage (0: for ever), how many claims; then limit, units, what a first draw leaves (nothing: there can
/// be none), request id and preimage (or nothing) of each.
///
/// All is read at first and what was drawn is written at last, each by one command: that is most of what a claim costs. Most draws
/// are a payment's first; those do with texts, as numbers are slow to read and to write. Once something is written no command fails
/// any more, full memory included.
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
local keep, calls, call = ARGV[2], string.sub(KEYS[1], 1, -33), string.sub(KEYS[1], -32)
local count, now = tonumber(ARGV[6]), {}
for i, value in ipairs(redis.call('MGET', unpack(KEYS, 2, 2 * count + 1))) do
  if value then now[KEYS[i + 1]] = value end
end
local is_on_record, written, place = false, {}, {}
local function record()
  if is_on_record then return end
  redis.call('SET', KEYS[1], '', 'PX', ARGV[4])
  is_on_record = true
end
local function write(key, value)
  local at = place[key] or #written + 1
  place[key], written[at], written[at + 1] = at, key, value
  now[key] = value
end
local function remember(request, record)
  redis.call('SET', request, record, 'EX', keep)
  now[request] = record
end
local function unheard(draws)
  local still = ''
  for draw, by in string.gmatch(draws, ' (%x+:(%x+))') do
    if redis.call('GET', calls .. by) then still = still .. ' ' .. draw end
  end
  return still
end
local function claim(drawn, request, limit, units, id)
  local before, value = now[request], now[drawn]
  local used, last, draws = 0, nil, ''
  if before == 'released' then return before end
  if before then return 'granted ' .. (string.match(before, '%d+$') or '') end
  if value then
    used, last, draws = string.match(value, '^(%d+) ?([^ ]*)(.*)$')
    if not used or last ~= '' and not string.match(last, '^%x+:%d+:%d+$') then
      redis.call('PERSIST', drawn)
      return 'used up'
    end
    used = tonumber(used)
    if string.sub(last, 1, 32) == id then return 'granted ' .. string.match(last, '%d+$') end
  end
  if used + units > limit then return unheard(draws) ~= '' and 'in doubt' or 'used up' end
  local left = limit - used - units
  if units == 0 then
    remember(request, '0 ' .. left)
    return 'granted ' .. left
  end
  record()
  if last and last ~= '' then
    local other, what = string.match(last, '^(%x+):(.*)$')
    remember(string.sub(request, 1, -33) .. other, (string.gsub(what, ':', ' ')))
    draws = unheard(draws)
  end
  write(drawn, used + units .. ' ' .. id .. ':' .. units .. ':' .. left .. ' ' .. id .. ':' .. call .. draws)
  return 'granted ' .. left, true
end
local answers, settled = {}, 2 * count + 1
for i = 1, count do
  local arg, drawn, request = 5 * i + 2, KEYS[2 * i], KEYS[2 * i + 1]
  local units, left, id, preimage = ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3], ARGV[arg + 4]
  local answer, drew
  if left == '' or now[drawn] or now[request] then
    answer, drew = claim(drawn, request, tonumber(ARGV[arg]), tonumber(units), id)
  else
    record()
    write(drawn, units .. ' ' .. id .. ':' .. units .. ':' .. left .. ' ' .. id .. ':' .. call)
    answer, drew = 'granted ' .. left, true
  end
  if preimage ~= '' then
    settled = settled + 1
    if drew and ARGV[5] == '0' then write(KEYS[settled], preimage)
    elseif drew then redis.call('SET', KEYS[settled], preimage, 'NX', 'EX', ARGV[5]) end
  end
  answers[i] = answer
end
if #written > 0 then redis.call('MSET', unpack(written)) end
return answers
"
);

/// KEYS: drawn, request. ARGV: deadline (unused), seconds to keep the request, request id, how many replicas must be
/// there: a master that is being replaced would forget what was given back.
static RELEASE: Script = script!(
    "
local replicas = tonumber(ARGV[4])
if replicas > 0 then
  local there = string.match(redis.call('INFO', 'replication'), 'connected_slaves:(%d+)')
  if tonumber(there or '0') < replicas then return {'alone'} end
end
local id = ARGV[3]
local known = redis.call('MGET', KEYS[2], KEYS[1])
redis.call('SET', KEYS[2], 'released', 'EX', ARGV[2])
if known[1] == 'released' or not known[2] then return 0 end
local used, last, draws = string.match(known[2], '^(%d+) ?([^ ]*)(.*)$')
if not used then return 0 end
local units
if known[1] then
  units = string.match(known[1], '^%d+')
elseif string.sub(last, 1, 32) == id then
  units, last = string.match(last, '^%x+:(%d+)'), ''
else
  return 0
end
local left = used - units
draws = string.gsub(draws, ' ' .. id .. ':%x+', '')
if left > 0 then redis.call('SET', KEYS[1], left .. ' ' .. last .. draws) else redis.call('DEL', KEYS[1]) end
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

/// KEYS: when it is as if nothing had been taken (Unix microseconds). ARGV: deadline (unused), what each takes up of the
/// window, in microseconds.
static RATE_GIVE_BACK: Script = script!(
    "
local free = redis.call('GET', KEYS[1])
if free then
  redis.call('SET', KEYS[1], string.format('%.0f', free - tonumber(ARGV[2])), 'KEEPTTL')
end
return 1
"
);

/// KEYS: drawn. ARGV: deadline (unused).
static USED: Script = script!("return redis.call('GET', KEYS[1])");

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

pub(super) enum Arg {
    Number(u64),
    Text(String),
}

impl Payment {
    pub(super) fn new(hash: Hash) -> Self {
        Self { hex: PaymentHash(hash).to_string() }
    }

    fn drawn(&self, request: RequestId) -> [String; 2] {
        let hex = self.hex.as_str();
        let about = ["{l402:preimage:", hex, "}:", &text_of(request)].concat();
        [["l402:preimage:", hex].concat(), about]
    }

    pub(super) fn used(&self) -> Call<'static> {
        Call::new(&USED, vec![["l402:preimage:", &self.hex].concat()], Vec::new(), 0)
    }

    fn settled(&self) -> [String; 2] {
        let hex = self.hex.as_str();
        [["l402:settled:", hex].concat(), ["{l402:settled:", hex, "}:record"].concat()]
    }

    pub(super) fn release(&self, request: RequestId, keep: Duration, replicas: u32) -> Call<'static> {
        let args =
            vec![Arg::Number(keep.as_secs()), Arg::Text(text_of(request)), Arg::Number(replicas.into())];
        Call::new(&RELEASE, self.drawn(request).into(), args, replicas)
    }

    pub(super) fn settled_put(&self, settled: &Settled, keep: Option<Duration>) -> Call<'static> {
        let keep = Arg::Number(seconds(keep).unwrap_or(0));
        let record = format!("{} {}", settled.received_msat, settled.at);
        let preimage =
            settled.preimage.map(|bytes| Preimage::from_bytes(bytes).expose_hex()).unwrap_or_default();
        let args = vec![keep, Arg::Text(record), Arg::Text(preimage)];
        Call::new(&SETTLED_PUT, self.settled().into(), args, 0)
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
        Call::new(&NOTE_PUT, self.note(), args, 0)
    }

    pub(super) fn note_get(&self) -> Call<'static> {
        Call::new(&NOTE_GET, self.note(), Vec::new(), 0)
    }

    fn note(&self) -> Vec<String> {
        vec![format!("l402:note:{}", self.hex)]
    }

    pub(super) fn settled_get(&self) -> Call<'static> {
        Call::new(&SETTLED_GET, self.settled().into(), Vec::new(), 0)
    }
}

/// Claims that are carried out one after the other, as this call, with the preimages that they tell.
pub(super) fn claims<'a>(
    claims: impl Iterator<Item = (&'a Claim, Option<&'a Preimage>)> + Clone,
    mark: &Mark,
    keep: Keep,
    replicas: u32,
) -> Call<'static> {
    let (mut keys, mut told) = (vec![mark.key.clone()], Vec::new());
    let unheard = u64::try_from(KEEP_UNHEARD.as_millis()).unwrap_or(u64::MAX);
    let head = [keep.requests.as_secs(), replicas.into(), unheard, seconds(keep.settled).unwrap_or(0)];
    let mut args: Vec<_> = head.into_iter().chain([claims.clone().count() as u64]).map(Arg::Number).collect();
    for (claim, preimage) in claims {
        let payment = Payment::new(claim.payment_hash);
        keys.extend(payment.drawn(claim.request));
        args.extend([claim.limit, claim.units].map(|number| Arg::Number(number.into())));
        let left = claim.limit.checked_sub(claim.units).filter(|_| claim.units > 0);
        args.push(left.map_or_else(|| Arg::Text(String::new()), |left| Arg::Number(left.into())));
        args.push(Arg::Text(text_of(claim.request)));
        args.push(Arg::Text(preimage.map(Preimage::expose_hex).unwrap_or_default()));
        if preimage.is_some() {
            let [key, _] = payment.settled();
            told.push(key);
        }
    }
    keys.append(&mut told);
    Call { script: &CLAIM, keys, args, has_deadline: true, replicas }
}

/// How long what a claim leaves is kept.
#[derive(Clone, Copy)]
pub(super) struct Keep {
    /// What was drawn for a request, by its id.
    pub(super) requests: Duration,
    /// That a payment is settled; `None`: for ever.
    pub(super) settled: Option<Duration>,
}

/// What says that a call may not have been heard of.
pub(super) struct Mark {
    key: String,
}

impl Mark {
    /// Of a call on this payment alone, in its slot of a Cluster, or of one on any payments.
    pub(super) fn new(payment: Option<&Hash>) -> Result<Self, StoreError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)
            .map_err(|error| StoreError::NotCarriedOut(format!("no random bytes: {error}")))?;
        let id = text_of(id);
        let key = match payment {
            Some(hash) => ["{l402:preimage:", &PaymentHash(*hash).to_string(), "}:call:", &id].concat(),
            None => ["l402:call:", &id].concat(),
        };
        Ok(Self { key })
    }

    /// Says that the call's host has heard of what it drew.
    pub(super) fn heard(&self) -> Cmd {
        let mut command = redis::cmd("DEL");
        command.arg(&self.key);
        command
    }
}

/// Takes one of what may be done so often.
pub(super) fn rate(key: &str, rate: Rate) -> Call<'static> {
    let args = [rate.each(), rate.window.max(rate.each())];
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let args = args.map(|time| Arg::Number(micros(time))).into();
    let keys = vec![format!("l402:rate:{key}")];
    Call::new(&RATE, keys, args, 0)
}

/// Gives back one of what may be done so often.
pub(super) fn rate_give_back(key: &str, rate: Rate) -> Call<'static> {
    let each = u64::try_from(rate.each().as_micros()).unwrap_or(u64::MAX);
    Call::new(&RATE_GIVE_BACK, vec![format!("l402:rate:{key}")], vec![Arg::Number(each)], 0)
}

impl<'s> Call<'s> {
    /// One that may be carried out late. So many replicas must know of what it changed.
    pub(super) fn new(script: &'s Script, keys: Vec<String>, args: Vec<Arg>, replicas: u32) -> Self {
        Self { script, keys, args, has_deadline: false, replicas }
    }

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
