//! What all figures stand on: the programs, stages with a node, and sites that are made for measuring.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::harness::lnd::{self, Pair};
use crate::harness::sim::Simulated;
use crate::harness::site::Site;
use crate::harness::stage::{Programs, Stage, open_to_all};
use crate::harness::wallet::Wallet;
use crate::tokens::ROOT_KEY;

/// What the figures run.
const PRODUCTS: [&str; 2] = ["ngx_http_l402_module.so", "l402d"];

/// The file that is served, paid or not: 1 KiB.
const FILE: [u8; 1024] = [b'x'; 1024];

/// The programs under test, in a directory that goes with it.
pub struct Stand {
    dir: TempDir,
    programs: Programs,
    lnd_programs: PathBuf,
}

impl Stand {
    /// Copies the programs to where the worker's user can read them.
    ///
    /// # Errors
    /// Something was not built.
    pub fn set() -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("bench-").tempdir().map_err(|error| error.to_string())?;
        open_to_all(dir.path());
        let repository =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("bench/ lies in the repository");
        let place = |variable, default| std::env::var_os(variable).map_or(default, PathBuf::from);
        let from = place("L402_BUILD_DIR", repository.join("build"));
        let built = dir.path().join("built");
        copy(&from, &built)?;
        let nginx = place("NGINX_BIN", "/usr/sbin/nginx".into());
        let lnd_programs = place("L402_LND_DIR", repository.join(".cache/lnd"));
        let next = dir.path().join("next");
        Ok(Self { dir, programs: Programs { nginx, built, next }, lnd_programs })
    }

    /// The nginx under test.
    pub fn nginx(&self) -> &Path {
        &self.programs.nginx
    }

    /// A stage with a simulated node.
    pub fn stage(&self) -> Stage {
        self.stage_on(Arc::new(Simulated::start()))
    }

    /// One with the programs of another build.
    pub fn stage_of(&self, build: &Path) -> Stage {
        let built = self.dir.path().join("another");
        copy(build, &built).unwrap_or_else(|missing| panic!("{missing}"));
        let programs = Programs { built, ..self.programs.clone() };
        Stage::set(self.dir.path(), &programs, Arc::new(Simulated::start()), "lnsim")
    }

    /// The real pair of LND nodes, or why there is none.
    ///
    /// # Errors
    /// It was not built, or does not start.
    pub fn pair(&self) -> Result<Arc<Pair>, String> {
        match lnd::missing(&self.lnd_programs) {
            Some(reason) => Err(reason),
            None => Pair::shared(&self.lnd_programs, &self.dir.path().join("lnd")),
        }
    }

    /// A stage with this backend.
    pub fn stage_on(&self, wallet: Arc<dyn Wallet>) -> Stage {
        Stage::set(self.dir.path(), &self.programs, wallet, "lnsim")
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir(to).map_err(|error| error.to_string())?;
    open_to_all(to);
    for name in PRODUCTS {
        let product = from.join(name);
        let copied = fs::copy(&product, to.join(name));
        copied.map_err(|error| format!("{}: {error}; run `make build` first", product.display()))?;
    }
    Ok(())
}

/// A site of one worker with the 1 KiB file at `/free/1k` and, for who adds that location, `/paid/1k`; it logs no
/// requests and never closes a connection.
pub fn site(stage: &Stage) -> Site<'_> {
    let site = stage.site().workers(1).env("ROOT_KEY", ROOT_KEY).env("RUST_LOG", "warn");
    for name in ["html/free/1k", "html/paid/1k"] {
        fs::write(site.dir().join(name), FILE).expect("a file");
    }
    site.http("keepalive_requests 100000000;").server("access_log off; location = /402 { return 402; }")
}
