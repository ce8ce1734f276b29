//! What attackers and accidents have done to paywalls, and the scenarios that show what happens here. `make threats`
//! runs them and prints a row for each; `docs/reference/threats.md` is written from this list.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use libtest_mimic::{Failed, Trial};

use crate::harness::scenario::Scenario;

/// One flaw that paywalls have had.
pub struct Threat {
    /// The flaw.
    flaw: &'static str,
    /// What is done about it here.
    answer: &'static str,
    /// Names of scenarios; one that ends in `::` stands for all that begin so.
    shown: &'static [&'static str],
    /// What is not shown yet, and why; empty: nothing.
    not_yet: &'static str,
}

const fn threat(
    flaw: &'static str,
    answer: &'static str,
    shown: &'static [&'static str],
    not_yet: &'static str,
) -> Threat {
    Threat { flaw, answer, shown, not_yet }
}

/// All of them.
const ALL: &[Threat] = &[
    threat(
        "402 sent and the request passed on all the same",
        "The access phase ends with our answer; nothing behind it runs without a grant. 10 000 unpaid requests, with bodies, slow, on kept connections: none upstream.",
        &["race::unpaid_never_reach_the_upstream", "bodies::"],
        "",
    ),
    threat(
        "caveats are decoration",
        "Every caveat is checked; an unknown, contradictory or third-party one refuses the token.",
        &["refused::caveats", "refused::forged", "credentials::narrowed_by_the_holder"],
        "",
    ),
    threat(
        "path tricks",
        "Location, token and invoice go by nginx's normalised path; one that can't be normalised is refused by nginx. `merge_slashes off` beside `l402 on` gives a warning.",
        &[
            "tricks::unpaid",
            "tricks::paid",
            "tricks::proxied",
            "tricks::proxied_as_written",
            "tricks::merge_slashes",
            "bound::odd_paths",
            "bound::query_is_free",
            "bound::virtual_server",
        ],
        "",
    ),
    threat(
        "method replay",
        "A token holds its method. HEAD is sold as GET, needs a use that is left, and draws none.",
        &["refused::path_and_method", "head", "post_is_sold_too"],
        "",
    ),
    threat(
        "a token for one resource opens another",
        "A token holds its origin and path, or its realm, where rewrites led it, and the price where that is computed.",
        &["tricks::cheap_and_dear", "bound::virtual_server", "bound::computed_price", "realm", "realm::"],
        "",
    ),
    threat(
        "duplicates race",
        "A use is drawn in one transaction of the store, whichever worker or host asks. 500 copies over four workers, and over two hosts: one 200.",
        &[
            "race::one_single_use",
            "race::three_uses",
            "race::auto_detect",
            "race::two_nginx_on_one_state",
            "redis::one_payment_two_hosts",
        ],
        "",
    ),
    threat(
        "replay",
        "What was used is on disk before the grant goes out and is never forgotten.",
        &["classic", "replay::", "store::many_years_later", "lifecycle::binary_upgrade"],
        "",
    ),
    threat(
        "the replay key can be spelt differently",
        "The key is the payment hash, not the text of the credential; of ecash, its proofs and not the token.",
        &[
            "credentials::no_form_replays",
            "race::two_forms",
            "cashu::plain",
            "cashu::race",
            "cashu::race_of_two_hosts",
            "cashu::race_of_hosts_with_redis",
            "cashu::comes_back_at_another_host",
            "cashu::locked_race",
        ],
        "",
    ),
    threat(
        "a transient error burns a payment",
        "A use is drawn last, with an id of its own request: asked again it is the same use, given up it is given back.",
        &[
            "node::payment_outlives_a_failed_look_up",
            "node::single_use_needs_no_node",
            "store::busy",
            "store::killed_before_the_claim",
            "store::killed_between_check_and_claim",
            "transport::client_leaves_during_redemption",
        ],
        "",
    ),
    threat(
        "the store is down",
        "Reusable tokens are verified in the worker and go on; the rest gets 503 and Retry-After. Nothing is free.",
        &[
            "store::busy",
            "store::killed_mid_run",
            "lifecycle::kill_of_l402d",
            "lifecycle::stopped_l402d",
            "lifecycle::unusable_database",
            "external_agent::goes_and_comes_back",
            "redis::",
        ],
        "",
    ),
    threat(
        "one payment credited twice",
        "All tokens of one payment hash share its uses.",
        &[
            "auto_detect::two_tokens_of_one_payment",
            "auto_detect::uses",
            "race::two_forms",
            "race::two_nginx_on_one_state",
            "redis::one_payment_two_hosts",
            "redis::bought_here_served_there",
        ],
        "sessions: no MPP",
    ),
    threat(
        "a preimage taken for a settlement",
        "Where the node is asked, only its word that it settled counts.",
        &[
            "auto_detect",
            "auto_detect::settled_later",
            "auto_detect::cancelled",
            "backend::preimage_while_pending",
        ],
        "",
    ),
    threat(
        "underpaid or substituted invoice",
        "The invoice is decoded and compared with what was asked for (amount, hash, network, expiry) before a client sees it.",
        &["node::wrong_invoices", "node::of_another_certificate"],
        "",
    ),
    threat(
        "forged or borrowed ecash",
        "Mint, unit, keyset, amount after the fee, DLEQ proofs and locks are checked before the mint is asked, and only a listed mint is ever asked. Plain ecash counts once it is swapped, locked ecash if nobody else can spend it. A payment is on record before the grant.",
        &["cashu::"],
        "",
    ),
    threat(
        "ecash that is paid out twice, to somebody else, or lost",
        "A payout is on record, with its proofs, before the mint is asked, and is asked for again until the mint says what came of it; an invoice over another amount is not paid; change that the mint may not give is not taken. One process at a time pays out. What the mints have signed comes back with the words alone.",
        &[
            "cashu::payout_to_two_payees",
            "cashu::payout_through_outages",
            "cashu::killed_during_a_melt",
            "cashu::operator_redeems_beside_l402d",
            "cashu::operator_restores",
        ],
        "",
    ),
    threat(
        "paid content in a shared cache",
        "402 and 401 say `no-store`. A paid answer is `private` and varies with the credential whatever upstream, `expires` and `add_header` say; one with a token of ours is `no-store`. The access phase comes before nginx's own cache. `l402_shared_cache` is the only way to share it.",
        &["cache::", "cashu::shared_caches", "paid_answers_are_private"],
        "",
    ),
    threat(
        "header injection",
        "Caveats are printable ASCII by construction, texts in headers are ours, bodies hold nothing of the client's; a realm with control characters is refused.",
        &["tricks::injection", "tricks::injection_by_the_operator"],
        "",
    ),
    threat(
        "default or missing secret",
        "None is built in: without ROOT_KEY one is made at random, 0600. Short, unreadable or open ones are refused, most of them by `nginx -t`.",
        &[
            "mistakes::root_key",
            "mistakes::environment",
            "mistakes::files",
            "lifecycle::files",
            "privilege::open_root_key",
        ],
        "",
    ),
    threat(
        "panic",
        "Each callback is guarded: a panic becomes a log line and an error, never a grant; the connection to l402d is made anew, timers are set again, a reload keeps what serves. One that would leave a pointer to freed memory behind ends its worker, and nginx starts another.",
        &["panics::"],
        "",
    ),
    threat(
        "the access phase runs again",
        "What was granted is noted at the request and outlives internal redirects; subrequests follow their parent.",
        &["redirects::", "phases::", "realm::off_inside"],
        "",
    ),
    threat(
        "request smuggling",
        "A refused request's body is discarded by nginx's own rules; one that says its length twice never gets to us.",
        &[
            "smuggling::",
            "bodies::unread_on_keep_alive",
            "transport::pipelining",
            "transport::http2_reset_while_suspended",
        ],
        "",
    ),
    threat(
        "a blocked worker",
        "A worker never waits: the request is suspended, the wallet belongs to another process. What other locations notice of it is measured in `bench/RESULTS.md`.",
        &["node::silent", "node::hangs", "node::unreachable", "lifecycle::stopped_l402d"],
        "",
    ),
    threat(
        "the client leaves while its request waits",
        "The question is taken back, a use drawn for it is given back.",
        &[
            "transport::client_leaves_while_suspended",
            "transport::client_leaves_during_redemption",
            "transport::many_leave_at_once",
        ],
        "",
    ),
    threat(
        "invoice flood",
        "Calls to the node are bounded, and so is who waits for one; beyond it 503 and Retry-After at once. Nothing is made ahead of a price that is hardly asked for. `l402_invoice_rate_limit` bounds what one address gets (429), before an invoice is made or taken; nginx's `limit_req` comes before us.",
        &["flood::", "ready::a_varied_price_fills_nothing", "rate::"],
        "addresses that a client has many of are bounded together by the first two alone",
    ),
    threat(
        "a header that is dear to read",
        "Credentials are read in one pass, 16 KiB, 8 tokens, 128 caveats and 64 items of a list at most; more than 1000 header lines are refused. Tests count the work, a fuzz target fails where twice the input costs more than about twice, and the dearest header over HTTP/1.1 and by references of HPACK is in `make bench`.",
        &["dear::headers", "dear::hpack_references", "dear::many_header_lines"],
        "",
    ),
    threat(
        "the location by one path, the upstream by another",
        "A target that holds `.` or `..` as a segment after one decoding, `.;`, `..;`, a backslash or a `#` is refused with 400 in a server that sells anything, in its free locations too.",
        &["targets::"],
        "what else an upstream may read in its own way (`;x`, letters' case, decoding twice) is in docs/guides/upstreams.md",
    ),
    threat(
        "a token of one shop opens another",
        "A token holds the origin that the client asked for: the server's exact name, or else the host itself, and the port. `nginx -t` refuses two servers that sell as one origin.",
        &["origin::", "bound::virtual_server"],
        "",
    ),
    threat(
        "a rewrite leads the cheap token to the dear place",
        "Where the configuration led the request is held by the token, with the price, whatever the rewrite went by.",
        &["route::"],
        "",
    ),
    threat(
        "nginx answers before it sells",
        "`return` and redirecting `rewrite` come before payment: `nginx -t` warns of each location where they do.",
        &["rewrite_phase::is_warned_of", "rewrite_phase::conditions_are_not"],
        "",
    ),
    threat(
        "a client is led to buy for ever",
        "402 only where buying again helps, with the reason; 401 without an invoice where it does not. `l402 get` buys at most once a run.",
        &["again::", "refused::", "rewrite_phase::recursive_error_pages"],
        "",
    ),
    threat(
        "gRPC clients can't read an answer",
        "They get HTTP 200 and trailers: status 13 with the challenge in its metadata, 16 for a refusal.",
        &["grpc::"],
        "",
    ),
    threat(
        "one request makes the wallet work",
        "One deadline, one look-up and one invoice a request; look-ups that find nothing are counted by address.",
        &[
            "dear::one_look_up",
            "dear::one_deadline",
            "dear::look_ups_are_limited",
            "dear::look_ups_are_limited_by_default",
        ],
        "",
    ),
    threat(
        "refusals fill the log",
        "The first of a kind is a warning, all others are `info`; a target or credential is never in them.",
        &["dear::refusals_in_the_log", "targets::are_refused_without_an_echo"],
        "",
    ),
    threat(
        "root follows a link",
        "The state directory is made and handed over by descriptors, without following a link that others made; a directory above it that others can change is refused.",
        &["privilege::exchanged_state_dir", "privilege::state_dir_under_links"],
        "",
    ),
    threat(
        "an old module with a new l402d",
        "The module starts the l402d that it was built with, and both speak the protocol before theirs.",
        &["upgrade::"],
        "",
    ),
    threat(
        "privilege",
        "State directory 0700, files and socket 0600; l402d asks the kernel who connects, and can't be traced or dumped; in external mode nginx holds no wallet secret.",
        &[
            "lifecycle::files",
            "lifecycle::inherits_nothing",
            "privilege::another_user",
            "privilege::memory_of_the_agent",
            "external_toml::only_who_is_allowed",
            "external_toml::nginx_holds_no_secret",
        ],
        "",
    ),
];

/// How the trials of scenarios went: by the scenario's name, whether each run of it passed.
pub type Results = BTreeMap<&'static str, bool>;

impl Threat {
    fn shows(&self, scenario: &str) -> bool {
        let stands =
            |shown: &str| if shown.ends_with("::") { scenario.starts_with(shown) } else { scenario == shown };
        self.shown.iter().any(|shown| stands(shown))
    }
}

/// The scenarios that some row names.
pub fn named(scenarios: &[Scenario]) -> Vec<Scenario> {
    scenarios.iter().copied().filter(|scenario| ALL.iter().any(|row| row.shows(scenario.name))).collect()
}

/// The rows and how their scenarios went.
pub fn table(results: &Results) -> String {
    let mut text = format!("{:<52}{:>10}{:>5}  {}\n", "threat", "scenarios", "ok", "result");
    for row in ALL {
        let went: Vec<bool> = results.iter().filter(|(name, _)| row.shows(name)).map(|(_, ok)| *ok).collect();
        let ok = went.iter().filter(|ok| **ok).count();
        let mut result = match went.len() {
            _ if ok < went.len() => "FAILED".to_owned(),
            0 if row.shown.is_empty() => String::new(),
            0 => "not run".to_owned(),
            _ => "ok".to_owned(),
        };
        if !row.not_yet.is_empty() {
            result += if result.is_empty() { "not yet: " } else { "; not yet: " };
            result += row.not_yet;
        }
        let _ = writeln!(text, "{:<52}{:>10}{:>5}  {result}", row.flaw, went.len(), ok);
    }
    text
}

/// Checks of this list itself.
pub fn checks(scenarios: &[Scenario]) -> Vec<Trial> {
    let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
    vec![
        Trial::test("threats::each_scenario_exists", move || each_exists(&names)),
        Trial::test("threats::page_is_fresh", page_is_fresh),
    ]
}

fn each_exists(names: &[&str]) -> Result<(), Failed> {
    for row in ALL {
        for shown in row.shown {
            let there =
                |name: &&str| if shown.ends_with("::") { name.starts_with(shown) } else { name == shown };
            if !names.iter().any(there) {
                return Err(format!("{:?} names {shown}, which is no scenario", row.flaw).into());
            }
        }
        if row.shown.is_empty() && row.not_yet.is_empty() {
            return Err(format!("nothing shows {:?}, and nothing says why", row.flaw).into());
        }
    }
    Ok(())
}

/// `UPDATE_DOCS=1` writes it anew.
fn page_is_fresh() -> Result<(), Failed> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/threats.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(&path, page()).map_err(Failed::from);
    }
    if std::fs::read_to_string(&path).is_ok_and(|text| text == page()) {
        return Ok(());
    }
    Err("docs/reference/threats.md is not what tests/threats.rs says: UPDATE_DOCS=1 make threats".into())
}

fn page() -> String {
    let mut text = "# Threats\n\nWhat attackers and accidents have done to paywalls, what is done about it here, and the scenarios that show it \
         through a\nreal nginx with four workers. `make threats` runs them and prints the table of results; `bodies::` means all scenarios whose\n\
         name begins so. Written from `tests/threats.rs`.\n\n| flaw | here | shown by |\n|---|---|---|\n"
        .to_owned();
    for row in ALL {
        let mut shown: Vec<String> = row.shown.iter().map(|name| format!("`{name}`")).collect();
        if !row.not_yet.is_empty() {
            shown.push(format!("*not yet: {}*", row.not_yet));
        }
        let _ = writeln!(text, "| {} | {} | {} |", row.flaw, row.answer, shown.join(", "));
    }
    text
}
