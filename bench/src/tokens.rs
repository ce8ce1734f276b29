//! Paid tokens without payments: minted with the site's root key, for preimages that we choose.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use l402::macaroon::{MAX_BYTES, MAX_CAVEATS};
use l402::{Identifier, Macaroon, Preimage, RootKey, TokenId};

use crate::harness::challenge::Challenge;
use crate::harness::http::Request;

/// `ROOT_KEY` of every site here.
pub const ROOT_KEY: &str = "a root key for measurements only, worth nothing";

/// Mints tokens like the one of a challenge.
pub struct Mint {
    root: RootKey,
    location: String,
    caveats: Vec<String>,
    made: u64,
}

impl Mint {
    /// One that mints what this challenge offered.
    pub fn like(challenge: &Challenge) -> Self {
        let offered = Macaroon::from_text(&challenge.token).expect("a macaroon");
        let caveats = offered.first_party_texts().into_iter().map(str::to_owned).collect();
        let root = RootKey::from_material(ROOT_KEY.as_bytes()).expect("long enough");
        Self { root, location: offered.location, caveats, made: 0 }
    }

    /// The value of an `Authorization` header for a payment that no other token stands for.
    pub fn credential(&mut self) -> String {
        self.made += 1;
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.made.to_be_bytes());
        let preimage = Preimage::from_bytes(bytes);
        let mut nonce = [0; 28];
        nonce[..8].copy_from_slice(&self.made.to_be_bytes());
        let identifier = Identifier::new(preimage.payment_hash(), TokenId::new(self.root.id(), nonce));
        let token = Macaroon::mint(&self.root, &identifier, &self.location, &self.caveats);
        format!("L402 {}:{}", token.to_base64(), preimage.expose_hex())
    }

    /// Tokens that are dear to verify, in a header of at most so many bytes: each is genuine and full of caveats, the last of
    /// which nobody knows.
    pub fn heavy(&mut self, bytes: usize) -> String {
        let each = MAX_BYTES / 2;
        let tokens = (0..bytes / (each * 4 / 3)).map(|_| {
            let credential = self.credential();
            let (token, _) = credential.trim_start_matches("L402 ").split_once(':').expect("a pair");
            let mut token = Macaroon::from_text(token).expect("our own");
            let left = MAX_CAVEATS / 2 - token.caveats.len();
            let room = (each - token.encode_v2().len()) / left - 10;
            (0..left).for_each(|_| token.add_first_party(format!("x={}", "y".repeat(room))));
            token.to_base64()
        });
        format!("L402 {}", tokens.collect::<Vec<_>>().join(","))
    }

    /// Writes so many, one a line.
    pub fn write(&mut self, count: usize, to: &Path) {
        let mut file = BufWriter::new(File::create(to).expect("a file"));
        for _ in 0..count {
            writeln!(file, "{}", self.credential()).expect("room on the disk");
        }
        file.flush().expect("room on the disk");
    }

    /// So many requests, each with a token of its own.
    pub fn requests(&mut self, target: &str, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| Request::get(target).paid(self.credential()).bytes()).collect()
    }
}
