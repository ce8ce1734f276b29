//! The variables that the module gives to nginx's configuration.

/// One variable of nginx's configuration.
#[derive(Debug)]
pub struct Variable {
    /// Its name, without `$`.
    pub name: &'static str,
    /// What it holds.
    pub doc: &'static str,
    /// A value of it.
    pub example: &'static str,
}

/// Every variable, in the order of the reference.
pub static VARIABLES: &[Variable] = &[
    Variable {
        name: "l402_status",
        doc: "What was decided: `granted` (paid, served), `challenged` (402 with a new invoice), `unpaid` (402 with \
              the invoice that is still open), `limited` (429: more challenges than \
              `l402_invoice_rate_limit` allows), `refused` (401: a credential that is no good here), `unavailable` \
              (503 or 504: the node or l402d could not be reached, or was silent) or `error` (502: the node \
              refused; 500: the configuration gave a value that can't be used, or a fault of ours).",
        example: "granted",
    },
    Variable {
        name: "l402_payment_hash",
        doc: "The payment hash of the credential that was granted, or of the invoice that the client was sent, in \
              hex. It names the payment in the node's own records. It is no secret.",
        example: "0001020304050607080900010203040506070809000102030405060708090102",
    },
    Variable {
        name: "l402_token_id",
        doc: "The id of the token that was granted, or sent in the challenge, in hex. Other than the payment hash, \
              it also names the root key that signed it (its first 8 digits).",
        example: "5ea1ab1e00000000000000000000000000000000000000000000000000000001",
    },
    Variable {
        name: "l402_amount_msat",
        doc: "The price of this request, in millisatoshi. Where another one is listed in Redis, a challenge has that one, and a request that is \
              granted the location's own: a token does not say what was paid.",
        example: "10000",
    },
    Variable {
        name: "l402_remaining_uses",
        doc: "How many more requests the payment serves after this one, once granted. Empty where a payment serves \
              any number.",
        example: "9",
    },
];
