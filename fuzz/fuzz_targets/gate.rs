//! The decision: nothing is granted but by a genuine token whose every caveat holds, paid for; and what is sold is good.
//!
//! The input is text: a line of flags, a line of l402d's answers, a line that is the header, and one line a token. In
//! the header `{m0}` stands for the macaroon of token 0, `{p0}` for its preimage and `{w0}` for a wrong one. A token's
//! line is its flags, a space, and its caveats between `|`. What each letter means is in `Case::read`.
#![no_main]

use gate::{
    Answer, Complaint, Failure, Gate, Grant, Outcome, Policy, Proof, Question, Realm, Request, Response,
    Step, Uses,
};
use l402::credential::MAX_TOKENS;
use l402::{
    Caveat, Caveats, Identifier, KeyRing, Macaroon, PaymentHash, Preimage, RootKey, Terms, TokenId, challenge,
};
use l402_fuzz::caveats::{Asked, allow, has, uses};
use libfuzzer_sys::fuzz_target;

const NAME: &str = "shop.example";
const PATH: &[u8] = b"/a b";
const REALM: &str = "gold";
const MINTED_AT: u64 = 1000;
const LIFE: u64 = 5;
const PRICE: u64 = 10_000;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(4, |byte| *byte == b'\n');
    let (flags, answers, template) = (
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
        lines.next().unwrap_or_default(),
    );
    let case = Case::read(flags);
    let tokens: Vec<Token> = lines
        .next()
        .into_iter()
        .flat_map(|rest| rest.split(|byte| *byte == b'\n'))
        .take(4)
        .enumerate()
        .filter_map(|(index, line)| Token::read(index as u8, std::str::from_utf8(line).ok()?, &case))
        .collect();
    let header = fill(template, &tokens);
    run(&case, &tokens, template, &header, answers);
});

/// The operator's policy and the moment.
struct Case {
    realm: Option<Realm>,
    computed: bool,
    auto_detect: bool,
    uses: Uses,
    timeout_s: u64,
    price: u64,
    head: bool,
    metadata: bool,
    route: Option<&'static [u8]>,
    keys: KeyRing,
    now: u64,
}

impl Case {
    fn read(flags: &[u8]) -> Case {
        let has = |flag: u8| flags.contains(&flag);
        let keys = if has(b'k') { vec![] } else { vec![key(1), key(2)] };
        Case {
            realm: has(b'r').then(|| Realm { name: REALM.to_owned(), shared: has(b's') }),
            computed: has(b'c'),
            auto_detect: has(b'd'),
            uses: if has(b'u') { Uses::Unlimited } else { Uses::Limited(3) },
            timeout_s: if has(b't') { LIFE } else { 0 },
            price: if has(b'z') { 0 } else { PRICE },
            head: has(b'h'),
            metadata: has(b'm'),
            route: has(b'l').then_some(b"/led here"),
            keys: KeyRing::new(keys),
            now: MINTED_AT
                + flags.iter().filter(|flag| flag.is_ascii_digit()).map(|d| u64::from(d - b'0')).sum::<u64>(),
        }
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            origin: self.asked().place().origin,
            realm: self.realm.as_ref(),
            amount_msat: self.price,
            computed_price: self.computed,
            timeout_s: self.timeout_s,
            auto_detect: self.auto_detect,
            uses: self.uses,
            backend: "default",
            description: "a path",
            location: "/",
            rate: None,
        }
    }

    fn asked(&self) -> Asked<'_> {
        let realm = self.realm.as_ref().map(|realm| (realm.name.as_str(), realm.shared));
        Asked {
            name: NAME,
            names: None,
            port: None,
            realm,
            path: PATH,
            method: "GET",
            route: self.route,
            now: self.now,
            price: self.price,
        }
    }

    fn start(&self, header: &[u8]) -> (Gate, Step) {
        let (authorization, metadata_macaroon) =
            if self.metadata { (None, Some(header)) } else { (Some(header), None) };
        let method = if self.head { "HEAD" } else { "GET" };
        let request = Request {
            method,
            path: PATH,
            route: self.route,
            client: b"192.0.2.1",
            authorization,
            metadata_macaroon,
            ecash: None,
        };
        Gate::start(&self.policy(), &request, &self.keys, self.now)
    }
}

fn key(n: u8) -> RootKey {
    RootKey::from_bytes([n; 32])
}

/// A token as somebody holds it.
struct Token {
    index: u8,
    macaroon: Macaroon,
    identifier: Identifier,
    preimage: Preimage,
    /// Signed with a key of the ring, and not tampered with.
    genuine: bool,
}

impl Token {
    fn read(index: u8, line: &str, case: &Case) -> Option<Token> {
        let (flags, caveats) = line.split_once(' ').unwrap_or((line, ""));
        let has = |flag: char| flags.contains(flag);
        let key = key(if has('x') {
            9
        } else if has('b') {
            2
        } else {
            1
        });
        let preimage = Preimage::from_bytes([index + 1; 32]);
        let mut identifier = Identifier::new(preimage.payment_hash(), TokenId::new(key.id(), [index; 28]));
        if has('v') {
            identifier.version = 1;
        }
        // `n`: not minted by the gate, but all the same signed with our key.
        let minted = if has('n') { vec![] } else { terms(case).caveats() };
        let mut macaroon = Macaroon::mint(&key, &identifier, "l402", minted);
        caveats
            .split('|')
            .filter(|caveat| !caveat.is_empty())
            .for_each(|caveat| macaroon.add_first_party(caveat));
        if has('3') {
            let third =
                Caveat::ThirdParty { location: "elsewhere".into(), id: vec![1], verification_id: vec![2] };
            macaroon.add(third);
        }
        if has('f') {
            macaroon.signature[usize::from(index)] ^= 1;
        }
        // `d`: a caveat was taken away, and the signature left as it was.
        let removed = has('d') && macaroon.caveats.pop().is_some();
        let genuine = !has('x') && !has('f') && !removed && !case.keys.is_empty();
        (macaroon.encode_v2().len() <= 4096).then_some(Token {
            index,
            macaroon,
            identifier,
            preimage,
            genuine,
        })
    }

    /// May it admit this request at all, used up or not?
    fn is_good(&self, case: &Case) -> bool {
        let texts = self.macaroon.first_party_texts();
        self.genuine
            && self.identifier.version == 0
            && texts.len() == self.macaroon.caveats.len()
            && Caveats::read(&self.macaroon).is_ok()
            && allow(&texts, &case.asked())
    }

    fn limit(&self) -> Option<u32> {
        match uses(&self.macaroon.first_party_texts()) {
            Uses::Limited(limit) => Some(limit),
            Uses::Unlimited => None,
        }
    }
}

fn terms(case: &Case) -> Terms<'_> {
    Terms {
        place: case.asked().place(),
        scope: case.asked().scope(),
        valid_until: (case.timeout_s > 0).then_some(MINTED_AT + LIFE),
        uses: case.uses,
        amount: (case.computed || case.realm.is_none() && case.route.is_some()).then_some(l402::Msat(PRICE)),
    }
}

/// The header with the tokens in it.
fn fill(template: &[u8], tokens: &[Token]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = template;
    while let [first, tail @ ..] = rest {
        if let [b'{', what @ (b'm' | b'p' | b'w'), index @ b'0'..=b'3', b'}', tail @ ..] = rest
            && let Some(token) = tokens.iter().find(|token| token.index == index - b'0')
        {
            let text = match what {
                b'm' => token.macaroon.to_base64(),
                b'p' => token.preimage.expose_hex(),
                _ => "aa".repeat(32),
            };
            out.extend_from_slice(text.as_bytes());
            rest = tail;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

fn run(case: &Case, tokens: &[Token], template: &[u8], header: &[u8], answers: &[u8]) {
    let (mut gate, mut step) = case.start(header);
    let canonical =
        (template == b"L402 {m0}:{p0}" && !case.metadata) || (template == b"{m0}:{p0}" && case.metadata);
    if let ([token, ..], true) = (tokens, canonical && case.price > 0 && !case.keys.is_empty())
        && token.index == 0
        && !has(&token.macaroon.first_party_texts(), "preimage=")
    {
        let accepted = matches!(step, Step::Grant(_) | Step::Ask(Question::Redeem { .. }));
        assert_eq!(accepted, token.is_good(case), "{step:?}");
    }

    let mut answers = answers.iter().copied();
    let mut last: Option<(Question, Answer)> = None;
    let mut look_ups = 0;
    for _ in 0..=MAX_TOKENS + 1 {
        step = match step {
            Step::Grant(grant) => return granted(&grant, case, tokens, template, last.as_ref()),
            Step::Respond(response) => return responded(&response, case, last.as_ref()),
            Step::Ask(question) => {
                asked(&question, case, tokens, template);
                look_ups += u32::from(matches!(question, Question::Redeem { proof: Proof::LookUp(_), .. }));
                assert!(look_ups <= 1, "the wallet is asked twice");
                let answer = answer(answers.next().unwrap_or(b'x'));
                last = Some((question, answer.clone()));
                gate.resume(answer, &case.keys, case.now)
            }
        };
    }
    panic!("it asks and asks");
}

/// The good token of that payment, which must be in the header.
fn token_of<'a>(
    hash: &PaymentHash,
    id: &TokenId,
    case: &Case,
    tokens: &'a [Token],
    template: &[u8],
) -> &'a Token {
    let token = tokens
        .iter()
        .find(|token| token.identifier.payment_hash == *hash && token.identifier.token_id == *id)
        .expect("a payment that no token names");
    assert!(token.is_good(case), "taken for good: {:?}", token.macaroon.first_party_texts());
    assert!(contains(template, &[b'{', b'm', b'0' + token.index, b'}']), "it was not sent");
    token
}

/// Was the preimage sent, in the header or as a caveat?
fn proved(token: &Token, template: &[u8]) -> bool {
    let caveat = format!("preimage={}", token.preimage.expose_hex());
    contains(template, &[b'{', b'p', b'0' + token.index, b'}'])
        || contains(&template.to_ascii_lowercase(), token.preimage.expose_hex().as_bytes())
        || token.macaroon.first_party_texts().iter().any(|text| text.eq_ignore_ascii_case(&caveat))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn asked(question: &Question, case: &Case, tokens: &[Token], template: &[u8]) {
    match question {
        Question::Invoice { amount_msat, .. } => assert_eq!(*amount_msat, case.price),
        Question::Ecash { .. } => panic!("asked about ecash that was not sent"),
        Question::Redeem { payment_hash, token_id, proof, limit, .. } => {
            let token = token_of(payment_hash, token_id, case, tokens, template);
            assert_eq!(*limit, token.limit());
            match proof {
                Proof::Preimage(preimage) => {
                    assert!(preimage.matches(payment_hash) && proved(token, template))
                }
                Proof::LookUp(_) | Proof::Known => assert!(case.auto_detect),
            }
        }
    }
}

fn granted(grant: &Grant, case: &Case, tokens: &[Token], template: &[u8], last: Option<&(Question, Answer)>) {
    assert!(case.price > 0 && grant.amount_msat == case.price);
    let token = token_of(&grant.payment_hash, &grant.token_id, case, tokens, template);
    match last {
        Some((Question::Redeem { payment_hash, .. }, Answer::Granted { remaining })) => {
            assert_eq!((payment_hash, remaining), (&grant.payment_hash, &grant.remaining));
        }
        _ => assert!(token.limit().is_none() && proved(token, template) && grant.remaining.is_none()),
    }
}

fn responded(response: &Response, case: &Case, last: Option<&(Question, Answer)>) {
    assert!(matches!(response.status, 401 | 402 | 429 | 500 | 502 | 503 | 504), "{response:?}");
    assert!(response.outcome != Outcome::Granted && response.body.len() <= 600);
    let body = response.body.strip_suffix('\n').expect("a body is a line");
    l402_fuzz::assert_header(body);
    response.headers.iter().for_each(|(_, value)| l402_fuzz::assert_header(value));
    if let Some(Complaint::Client(line) | Complaint::Failure(line)) = &response.log {
        l402_fuzz::assert_header(line);
    }
    if case.price == 0 {
        assert_eq!(response.status, 500);
    }
    let header = |name| response.headers.iter().find(|(found, _)| *found == name).map(|(_, value)| value);
    assert!(header("Retry-After").is_some() == matches!(response.status, 429 | 503));
    let challenge = header("WWW-Authenticate").map(|value| challenge::parse(value));
    match (response.status, challenge) {
        (402, Some(Ok(challenge))) => {
            if let Some((Question::Invoice { .. }, _)) = last {
                // Whoever pays this gets what is sold here.
                let header = format!(
                    "{}{}:{}",
                    if case.metadata { "" } else { "L402 " },
                    challenge.token,
                    sold().expose_hex()
                );
                let (_, step) = case.start(header.as_bytes());
                match step {
                    Step::Grant(grant) => {
                        assert!(case.uses == Uses::Unlimited && grant.payment_hash == sold().payment_hash())
                    }
                    Step::Ask(Question::Redeem { limit, .. }) => {
                        assert_eq!(limit.map_or(Uses::Unlimited, Uses::Limited), case.uses)
                    }
                    other => panic!("sold for nothing: {other:?}"),
                }
            }
        }
        (401, Some(Err(challenge::ChallengeError::Refused(_)))) | (429 | 500.., None) => {}
        other => panic!("{other:?}"),
    }
}

/// The preimage of the invoice that is handed out.
fn sold() -> Preimage {
    Preimage::from_bytes([0x55; 32])
}

fn answer(letter: u8) -> Answer {
    let bolt11 = "lnbcrt100n1qqq".to_owned();
    let (payment_hash, nonce, expires_at) = (sold().payment_hash(), [6; 28], MINTED_AT + 600);
    match letter {
        b'i' => Answer::Invoice {
            payment_hash,
            bolt11,
            nonce,
            expires_at,
            amount_msat: 10_000,
            ecash: "creqApQ".to_owned(),
            offer: String::new(),
        },
        b'j' => Answer::Invoice {
            payment_hash,
            bolt11: "ln\", x=\"\r\n".to_owned(),
            nonce,
            expires_at,
            amount_msat: 10_000,
            ecash: String::new(),
            offer: String::new(),
        },
        b'o' | b'O' => Answer::Invoice {
            payment_hash,
            bolt11: "lni1qqq".to_owned(),
            nonce,
            expires_at,
            amount_msat: 10_000,
            ecash: String::new(),
            offer: if letter == b'o' { "lno1qqq" } else { "lno1\", x=\"\r\n" }.to_owned(),
        },
        b'g' => Answer::Granted { remaining: Some(0) },
        b'G' => Answer::Granted { remaining: None },
        b'n' => Answer::Unsettled { bolt11, expires_at, offer: String::new() },
        b'N' => Answer::Unsettled { bolt11: String::new(), expires_at, offer: String::new() },
        b'u' => Answer::UsedUp,
        b'd' => Answer::Dead,
        b'c' => Answer::CannotLookUp,
        b'r' => Answer::Failed(Failure::Refused),
        b'v' => Answer::Failed(Failure::Unavailable { retry_after_s: 0 }),
        b't' => Answer::Failed(Failure::TimedOut),
        b'a' => Answer::Failed(Failure::AgentGone { retry_after_s: 3 }),
        b'l' => Answer::Failed(Failure::Limited { retry_after_s: 3 }),
        _ => Answer::Failed(Failure::Internal),
    }
}
