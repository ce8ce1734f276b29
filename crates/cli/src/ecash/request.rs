//! What the `X-Cashu` of a 402 asks for (NUT-18, NUT-24), checked before any money is touched.

use cashu::{CurrencyUnit, Kind as LockKind, MintUrl, PaymentRequest, PublicKey, SpendingConditions};

use crate::error::{Failure, Kind};

/// A payment request that can be met.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The price, in sat, to be left after the mint's fee.
    pub sat: u64,
    /// The mints that are accepted; none: any.
    pub mints: Vec<MintUrl>,
    /// How the ecash has to be locked (NUT-10, NUT-11).
    pub lock: Option<SpendingConditions>,
}

impl Asked {
    /// Reads the header.
    ///
    /// # Errors
    /// It can't be read, or asks for what can't be given.
    pub fn read(text: &str) -> Result<Self, Failure> {
        let request: PaymentRequest = text.trim().parse().map_err(|error| {
            unusable(format!("the server's payment request for ecash (X-Cashu) can't be read: {error}"))
        })?;
        if request.unit.as_ref().is_some_and(|unit| *unit != CurrencyUnit::Sat) {
            return Err(unusable("the server asks for ecash in another unit than sat".to_owned()));
        }
        let sat = request.amount.map(|amount| amount.to_u64()).filter(|sat| *sat > 0);
        let sat = sat.ok_or_else(|| unusable("the server's payment request names no amount".to_owned()))?;
        let lock = match request.nut10 {
            None => None,
            Some(lock) if lock.kind == LockKind::P2PK => {
                let key = PublicKey::from_hex(&lock.data)
                    .map_err(|_| unusable("the server asks for a lock to no key".to_owned()))?;
                let tags = lock.tags.filter(|tags| !tags.is_empty());
                let conditions = tags.map(TryInto::try_into).transpose().map_err(|error| {
                    unusable(format!("the server asks for a lock that can't be made: {error}"))
                })?;
                Some(SpendingConditions::new_p2pk(key, conditions))
            }
            Some(_) => {
                let text =
                    "the server asks for ecash that is locked in a way that this program does not know";
                return Err(unusable(text.to_owned()));
            }
        };
        Ok(Self { sat, mints: request.mints, lock })
    }

    /// Whether it may be paid with ecash of this mint.
    pub fn accepts(&self, mint: &MintUrl) -> bool {
        self.mints.is_empty() || self.mints.contains(mint)
    }
}

fn unusable(text: String) -> Failure {
    Failure::new(Kind::Unusable, format!("{text}: nothing was paid"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "025cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc";

    fn request(unit: CurrencyUnit, sat: Option<u64>, lock: Option<(LockKind, &str)>) -> String {
        PaymentRequest {
            payment_id: None,
            amount: sat.map(Into::into),
            unit: Some(unit),
            single_use: None,
            mints: vec!["https://mint.example.com".parse().unwrap()],
            mint_preferred: None,
            supported_methods: Vec::new(),
            description: None,
            transports: Vec::new(),
            nut10: lock
                .map(|(kind, data)| cashu::Nut10SecretRequest::new(kind, data, None::<Vec<Vec<String>>>)),
        }
        .to_string()
    }

    #[test]
    fn what_can_be_met_is_read() {
        let asked = Asked::read(&request(CurrencyUnit::Sat, Some(10), None)).unwrap();
        assert_eq!(asked.sat, 10);
        assert!(asked.accepts(&"https://mint.example.com/".parse().unwrap()));
        assert!(!asked.accepts(&"https://mint.example.org".parse().unwrap()));
        let locked = request(CurrencyUnit::Sat, Some(10), Some((LockKind::P2PK, KEY)));
        assert!(Asked::read(&locked).unwrap().lock.is_some());
    }

    #[test]
    fn what_can_not_be_met_costs_nothing() {
        for text in [
            "creqA".to_owned(),
            "cashuB".to_owned(),
            request(CurrencyUnit::Usd, Some(10), None),
            request(CurrencyUnit::Sat, None, None),
            request(CurrencyUnit::Sat, Some(0), None),
            request(CurrencyUnit::Sat, Some(10), Some((LockKind::HTLC, KEY))),
            request(CurrencyUnit::Sat, Some(10), Some((LockKind::P2PK, "02"))),
        ] {
            assert_eq!(Asked::read(&text).unwrap_err().kind, Kind::Unusable, "{text}");
        }
    }
}
