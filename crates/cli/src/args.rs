//! The command line and the environment, as text; `get` and `inspect` give them effect.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::error::{Failure, Kind, exit_codes};

/// Spent without asking where `--max-msat` isn't given: 100 sat, a few cents, enough for a page and too little to hurt.
pub const DEFAULT_MAX_MSAT: u64 = 100_000;

/// A client that pays for what it gets (L402 over Lightning), and decodes what it sees.
#[derive(Debug, Parser)]
#[command(name = "l402", version, after_help = exit_codes(), subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What it does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fetch a URL, paying for it within a budget where the server asks for it
    #[command(after_help = exit_codes())]
    Get(Box<GetArgs>),
    /// Decode a challenge, a token or an invoice, and say what is wrong with it
    #[command(after_help = exit_codes())]
    Inspect(InspectArgs),
    /// On the host that sells: try each wallet, and say what is wrong with it (l402d doctor --help)
    #[command(disable_help_flag = true)]
    Doctor(AgentArgs),
    /// On the host that sells: what is in the ecash wallet, pay it out now, get it back, try again what is lost (l402d cashu --help)
    #[command(disable_help_flag = true)]
    Cashu(AgentArgs),
}

/// `l402 get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// What to fetch (http or https)
    pub url: String,
    /// Method; GET, or POST with --data
    #[arg(short = 'X', long)]
    pub method: Option<String>,
    /// A header to send, as 'Name: value'; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub headers: Vec<String>,
    /// A body to send; @FILE reads it from a file
    #[arg(short, long, value_name = "DATA")]
    pub data: Option<String>,
    /// Write the body to a file
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show the status line and the headers too
    #[arg(short, long)]
    pub include: bool,
    /// Most that may leave the wallet for this request, routing fee included (msat)
    #[arg(long, value_name = "MSAT", default_value_t = DEFAULT_MAX_MSAT)]
    pub max_msat: u64,
    /// Most of the budget that may go into routing fees (msat); what the price leaves of it by default
    #[arg(long, value_name = "MSAT")]
    pub max_fee_msat: Option<u64>,
    /// Come back with the macaroon alone: the server looks the payment up by itself
    #[arg(long)]
    pub auto_detect: bool,
    /// Pay nothing; show what would be paid
    #[arg(long)]
    pub dry_run: bool,
    /// Where tokens are kept [default: $XDG_DATA_HOME/l402/tokens.json or ~/.local/share/l402/tokens.json]
    #[arg(long, value_name = "PATH")]
    pub tokens: Option<PathBuf>,
    /// Print one JSON object instead of the body
    #[arg(long)]
    pub json: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// How long the server may take to connect, to answer, and between two pieces of the body (seconds)
    #[arg(long, value_name = "S", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// How long the wallet may try to pay (seconds)
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub pay_timeout: u32,
    /// The wallet.
    #[command(flatten)]
    pub wallet: WalletArgs,
}

/// What pays: the LND node, of which all three are given or none, or else a file of ecash.
#[derive(Debug, Args)]
pub struct WalletArgs {
    /// Pay with the ecash of a file, a Cashu token a line, instead of over Lightning
    #[arg(long, value_name = "cashu:FILE")]
    pub wallet: Option<String>,
    /// LND's gRPC address
    #[arg(long, env = "LND_ADDRESS", value_name = "HOST[:PORT]")]
    pub lnd_address: Option<String>,
    /// LND's tls.cert
    #[arg(long, env = "CERT_FILE_PATH", value_name = "FILE")]
    pub lnd_cert: Option<PathBuf>,
    /// A macaroon that may pay (offchain:write, offchain:read)
    #[arg(long, env = "MACAROON_FILE_PATH", value_name = "FILE")]
    pub lnd_macaroon: Option<PathBuf>,
    /// Reach LND through this SOCKS5 proxy
    #[arg(long, env = "SOCKS5_PROXY", value_name = "HOST:PORT")]
    pub socks5_proxy: Option<String>,
}

/// `l402 inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A challenge, an Authorization value, a token (base64, hex, or token:preimage) or an invoice; - reads stdin,
    /// which keeps secrets out of the list of processes
    pub text: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Show preimages; without it only whether they match
    #[arg(long)]
    pub show_secrets: bool,
}

/// `l402 doctor` and `l402 cashu`.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// What the same command of `l402d` takes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub args: Vec<std::ffi::OsString>,
}

/// The three things that a wallet needs.
#[derive(Debug, PartialEq, Eq)]
pub struct WalletPaths<'a> {
    /// host[:port]
    pub address: &'a str,
    /// tls.cert
    pub cert: &'a PathBuf,
    /// The macaroon.
    pub macaroon: &'a PathBuf,
    /// host:port
    pub socks5: Option<&'a str>,
}

impl WalletArgs {
    /// The file of ecash, if one was given.
    pub fn ecash(&self) -> Result<Option<&Path>, Failure> {
        let Some(text) = &self.wallet else { return Ok(None) };
        let file = text.strip_prefix("cashu:").filter(|file| !file.is_empty());
        let wrong =
            || Failure::new(Kind::Usage, "--wallet takes cashu:FILE, a file with a Cashu token a line");
        file.map(|file| Some(Path::new(file))).ok_or_else(wrong)
    }

    /// The wallet, if one was given; half a wallet is an error that names the missing half.
    pub fn given(&self) -> Result<Option<WalletPaths<'_>>, Failure> {
        match (self.lnd_address.as_deref(), &self.lnd_cert, &self.lnd_macaroon) {
            (None, None, None) => Ok(None),
            (Some(address), Some(cert), Some(macaroon)) => {
                Ok(Some(WalletPaths { address, cert, macaroon, socks5: self.socks5_proxy.as_deref() }))
            }
            (address, cert, macaroon) => {
                let missing: Vec<&str> = [
                    ("--lnd-address (or LND_ADDRESS)", address.is_none()),
                    ("--lnd-cert (or CERT_FILE_PATH)", cert.is_none()),
                    ("--lnd-macaroon (or MACAROON_FILE_PATH)", macaroon.is_none()),
                ]
                .iter()
                .filter(|(_, missing)| *missing)
                .map(|(name, _)| *name)
                .collect();
                let text = format!("the wallet is incomplete: {} is missing", missing.join(" and "));
                Err(Failure::new(Kind::Usage, text))
            }
        }
    }
}

/// Where tokens are kept when `--tokens` isn't given (XDG Base Directory: relative values are ignored).
pub fn default_tokens(env: &dyn Fn(&str) -> Option<std::ffi::OsString>) -> Result<PathBuf, Failure> {
    let absolute = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            "neither XDG_DATA_HOME nor HOME is set: say with --tokens where to keep tokens",
        )
    })?;
    Ok(base.join("l402/tokens.json"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn half_a_wallet_names_what_is_missing() {
        let half = WalletArgs {
            wallet: None,
            lnd_address: Some("127.0.0.1:10009".into()),
            lnd_cert: None,
            lnd_macaroon: Some("m".into()),
            socks5_proxy: None,
        };
        let failure = half.given().unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert_eq!(
            failure.to_string(),
            "the wallet is incomplete: --lnd-cert (or CERT_FILE_PATH) is missing"
        );
    }

    #[test]
    fn tokens_follow_the_xdg_rules() {
        let path = |vars: &'static [(&str, &str)]| {
            default_tokens(&|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        let shown = |vars| path(vars).unwrap().display().to_string();
        assert_eq!(shown(&[("XDG_DATA_HOME", "/x"), ("HOME", "/h")]), "/x/l402/tokens.json");
        assert_eq!(shown(&[("XDG_DATA_HOME", "rel"), ("HOME", "/h")]), "/h/.local/share/l402/tokens.json");
        assert_eq!(path(&[]).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn the_reference_page_names_every_option() {
        let page = include_str!("../../../docs/reference/l402.md");
        for command in Cli::command().get_subcommands() {
            for long in command.get_arguments().filter_map(|arg| arg.get_long()) {
                assert!(page.contains(&format!("--{long}")), "docs/reference/l402.md lacks --{long}");
            }
        }
    }
}
