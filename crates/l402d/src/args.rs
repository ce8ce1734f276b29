//! The command line.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

/// This release, and what it speaks with the module.
static VERSION: LazyLock<String> =
    LazyLock::new(|| format!("{} (protocol {})", env!("CARGO_PKG_VERSION"), agent_api::PROTOCOL));

/// The agent beside nginx: makes invoices, hears of their payment, and keeps count of what was used.
///
/// The nginx module starts it by itself. To run it under a user of its own, start it here and write
/// `l402_agent unix:/path;` in nginx's configuration.
#[derive(Clone, Debug, Default, Parser)]
#[command(version = VERSION.as_str(), after_help = AFTER, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// The configuration file (docs/reference/l402d-toml.md); without it, the environment says all.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Where to listen, as unix:/path (default: l402d.sock in the state directory).
    #[arg(long, value_name = "unix:/PATH")]
    pub listen: Option<String>,

    /// Where the database and the root key are (default: L402_STATE_DIR, or /var/lib/l402d).
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<String>,

    /// A group, by name or number, that may connect besides root and this user: that of nginx's workers.
    #[arg(long, value_name = "GROUP")]
    pub group: Option<String>,

    /// Only check the configuration; exit code 0 if it can be used.
    #[arg(long)]
    pub check: bool,

    /// Started by nginx: configuration on standard input, life tied to standard output.
    #[arg(long, hide = true, conflicts_with_all = ["config", "listen", "state_dir", "group", "check"])]
    pub coprocess: bool,

    /// When nginx read its configuration, in nanoseconds since the machine started: the youngest serves.
    #[arg(long, hide = true, requires = "coprocess", value_name = "NANOSECONDS")]
    pub generation: Option<u64>,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What l402d does besides serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Adds a new root key, which signs from the next reload on; the former ones still verify.
    ///
    /// Then reload: systemctl reload l402d, or nginx -s reload where nginx runs l402d by itself.
    RotateKey(RotateKey),

    /// Tries each backend: is it reached, does it let us in, which calls, its clock, an invoice over one satoshi.
    ///
    /// Without --config the l402d that runs is asked: it knows what nginx's configuration says. Run it as root or as
    /// l402d's user. With --config, or where none runs and LN_CLIENT_TYPE is set, the wallets are tried from here.
    /// Exit code: 0 all is well, 1 a backend fails, 2 nothing could be examined.
    Doctor(Doctor),

    /// The ecash wallet: what is in it, paying it out now, getting it back from its mints, trying lost payments again.
    ///
    /// Run it as root or as l402d's user, with the configuration that l402d has: --config, or the environment. Exit code: 0 it is
    /// done, 1 something failed, 2 nothing could be done.
    #[command(subcommand)]
    Cashu(Cashu),

    /// Copies the databases, the root keys and the wallet's words into a new folder, while l402d runs or not.
    ///
    /// Run it as root or as l402d's user, with the configuration that l402d has. The folder holds secrets (mode 0700). Exit
    /// code: 0 the backup is whole, 2 there is none.
    Backup(Kept),

    /// Checks that a backup is whole, undamaged, and known to this release.
    ///
    /// Exit code: 0 it can be restored, 1 it can't, 2 it can't be read.
    Verify(Verify),

    /// Puts a backup into a state directory without an l402d, and adds a root key.
    ///
    /// The former keys verify reusable tokens only from then on, for what was used since the backup is not known. Read
    /// docs/guides/backup.md first. Exit code: 0 it is done, 1 the backup is of no use, 2 nothing could be done.
    Restore(Kept),
}

/// What is done with the ecash wallet.
#[derive(Clone, Debug, Subcommand)]
pub enum Cashu {
    /// What there is of each mint's ecash, by payee, what is not redeemed yet, what is lost, and what was paid out.
    ///
    /// Only the wallet's file is read.
    Balance(CashuArgs),

    /// Pays out now what l402d would at its next round (CASHU_REDEEM_ON_LIGHTNING).
    Redeem(CashuArgs),

    /// Gets the ecash of the wallet's words back from the whitelisted mints, after the wallet's file was lost.
    Restore(CashuArgs),

    /// Tries what is shown as lost again: ecash that was locked to us, was paid for something and was not redeemed.
    ///
    /// Of the whitelisted mints. What a mint does not call spent is held again, and redeemed.
    Retry(CashuArgs),
}

/// Which wallet, and how it is told.
#[derive(Clone, Debug, clap::Args)]
pub struct CashuArgs {
    /// The configuration file of l402d, beneath what the environment says.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The state directory, where the wallet is unless CASHU_DB_PATH says otherwise (default: L402_STATE_DIR, or /var/lib/l402d).
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<String>,

    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What to examine.
#[derive(Clone, Debug, clap::Args)]
pub struct Doctor {
    /// The configuration file whose backends are tried, with what the environment says.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The state directory of the l402d that is asked (default: L402_STATE_DIR, or /var/lib/l402d).
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub state_dir: Option<String>,

    /// Its socket, as unix:/path (default: l402d.sock in the state directory).
    #[arg(long, value_name = "unix:/PATH", conflicts_with = "config")]
    pub socket: Option<String>,

    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Which keys to rotate.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub struct RotateKey {
    /// The configuration file: its root_key_file, or the keys in its state_dir.
    #[arg(long, value_name = "FILE", group = "which")]
    pub config: Option<PathBuf>,

    /// The state directory, where l402d made its key by itself.
    #[arg(long, value_name = "DIR", group = "which")]
    pub state_dir: Option<PathBuf>,

    /// The file of keys: what ROOT_KEY_FILE names.
    #[arg(long, value_name = "FILE", group = "which")]
    pub key_file: Option<PathBuf>,

    /// How many keys to keep, the new one included; tokens of those that go are no longer good (default: all).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,

    /// The former keys verify reusable tokens only from now on: of the others nobody knows any more how much was used.
    #[arg(long)]
    pub reusable_only: bool,
}

/// Which files are backed up or restored, and which folder the backup is.
#[derive(Clone, Debug, clap::Args)]
pub struct Kept {
    /// The folder of the backup.
    pub dir: PathBuf,

    /// The configuration file of l402d, beneath what the environment says.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// The state directory (default: L402_STATE_DIR, or /var/lib/l402d).
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<String>,
}

/// Which backup.
#[derive(Clone, Debug, clap::Args)]
pub struct Verify {
    /// The folder of the backup.
    pub dir: PathBuf,
}

const AFTER: &str = "\
The command line wins over the environment (docs/reference/environment.md: LN_CLIENT_TYPE, LND_ADDRESS, ROOT_KEY
and others), and that over the file. SIGHUP reads the root keys again and opens the log file anew; SIGTERM and
SIGINT stop it, after what is in flight.";
