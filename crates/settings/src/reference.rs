//! The pages under `docs/reference/`, written from the records: `make docs` writes them anew.
use crate::{BackendKind, Context, Directive, Kind, NOT_READ_YET, SETTINGS, Setting, VARIABLES};
use std::fmt::Write;

/// Every page: its file name under `docs/reference/`, and its text.
pub fn pages() -> [(&'static str, String); 4] {
    [
        ("directives.md", directives()),
        ("environment.md", environment()),
        ("l402d-toml.md", l402d_toml()),
        ("variables.md", variables()),
    ]
}

const NOTE: &str = "<!-- Written by `make docs` from the records in crates/settings. Do not edit. -->\n\n";

fn directives() -> String {
    let mut page = format!("{NOTE}# Directives\n\n");
    page.push_str(
        "What the module understands in nginx's configuration. A mistake in any of it fails `nginx -t`, with the \
         file, the line, what was written and what is expected.\n\n\
         * **Booleans** are `on off true false 1 0 yes no`, in any case of letters.\n\
         * **Times** are `10` or `10s` (seconds), `500ms`, `2m`, `24h`, `30d`.\n\
         * A directive in an inner block replaces that of the outer one, `off` included.\n\n\
         The shortest configuration that sells something, with the node named in the \
         [environment](environment.md):\n\n\
         ```nginx\n\
         location /paid {\n    l402 on;\n    l402_amount_msat_default 10000;   # 10 satoshi\n}\n\
         ```\n\n\
         | directive | context | default |\n|---|---|---|\n",
    );
    for (setting, directive) in with_directive() {
        let _ = writeln!(
            page,
            "| [`{name}`](#{name}) | {} | {} |",
            all_contexts(directive),
            code_or(setting.default, "—"),
            name = directive.name,
        );
    }
    for (setting, directive) in with_directive() {
        let _ =
            writeln!(page, "\n## {}\n\n| | |\n|---|---|\n| Syntax | {} |", directive.name, syntax(directive));
        let _ = writeln!(page, "| Default | {} |", default(setting));
        let _ = writeln!(page, "| Context | {} |", all_contexts(directive));
        if directive.variables {
            page.push_str("| Variables | yes, evaluated for each request |\n");
        }
        if let Some(env) = setting.env {
            let _ = writeln!(page, "| Environment | [`{env}`](environment.md#{}) |", env.to_lowercase());
        }
        let example = match setting.env {
            Some(_) => format!("{} {};", directive.name, setting.example),
            None => setting.example.to_owned(),
        };
        let _ = writeln!(page, "\n{}\n\nTakes {}.", setting.doc, setting.kind.expected());
        let _ = writeln!(page, "\n```nginx\n{example}\n```");
        if directive.name == crate::BACKEND.name() {
            block(&mut page);
        }
    }
    page
}

/// The keys of an `l402_backend` block.
fn block(page: &mut String) {
    page.push_str(
        "\n### The keys of the block\n\n\
         Each is a line `key value;`, with the meaning of the environment variable beside it.\n\n\
         | key | type | default | meaning | environment |\n|---|---|---|---|---|\n",
    );
    block_keys(page);
}

/// The rows for the keys of a block or table.
fn block_keys(page: &mut String) {
    for setting in SETTINGS.iter() {
        let Some(key) = setting.block_key else { continue };
        let (default, env) = (block_default(setting), env_link(setting));
        let _ = writeln!(page, "| `{key}` | {} | {default} | {} | {env} |", kinds(setting), setting.doc);
    }
}

/// The kinds of backends that take a key.
fn kinds(setting: &Setting) -> String {
    let take = |kind: &&BackendKind| kind.settings().iter().any(|taken| taken.key == setting.key);
    let names: Vec<_> = BackendKind::ALL.iter().filter(take).map(|kind| kind.name()).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

/// The default of a key inside a block or table.
fn block_default(setting: &Setting) -> String {
    match (setting.default, setting.why.contains("required")) {
        ("", true) => "required".to_owned(),
        ("", false) if setting.block_key == Some("type") => "required".to_owned(),
        (text, _) => code_or(text, "—"),
    }
}

fn env_link(setting: &Setting) -> String {
    match setting.env {
        Some(env) => format!("[`{env}`](environment.md#{})", env.to_lowercase()),
        None => "—".to_owned(),
    }
}

const L402D_TOML: &str = r#"# l402d.toml

The configuration of an `l402d` that runs by itself: `l402d --config /etc/l402d/l402d.toml`. nginx then starts none and holds
no secret of the wallet; [external-l402d.md](../guides/external-l402d.md) sets it up.

```toml
allow = ["www-data"]              # the user of nginx's workers

[backend.default]
type = "lnd"
address = "10.0.0.5:10009"
macaroon = "/etc/l402d/invoice.macaroon"
cert = "/etc/l402d/tls.cert"
```

* **Which wins**: what is given on the command line wins over the [environment](environment.md), and that over this file, setting
  by setting. The variables of a backend (`LND_ADDRESS` and so on) win over the keys of `[backend.default]`. `ROOT_KEY` and
  `ROOT_KEY_FILE` count as one setting: either of them puts both keys here out of force. An empty variable counts as unset.
* **Mistakes**: `l402d --config FILE --check` names all of them at once, with their lines. A key that is not known is one.
* **Secrets**: best are paths to files. `root_key`, a `macaroon` in hex and a `cert` in PEM may also be written here themselves, if
  other users can't read the file. A relative path starts from the directory of the file.
* **Changes** take effect when l402d is restarted. `SIGHUP` (`systemctl reload l402d`) reads this file again too, but of it only the root
  keys take effect, and the log file is opened anew; what else has changed is named in the log.

"#;

fn l402d_toml() -> String {
    let mut page = format!("{NOTE}{L402D_TOML}## Keys\n\n| key | default | environment |\n|---|---|---|\n");
    let keys = || SETTINGS.iter().filter(|setting| setting.is_in_file());
    for setting in keys() {
        let (key, default) = (setting.key, code_or(setting.default, "—"));
        let _ = writeln!(page, "| [`{key}`](#{key}) | {default} | {} |", env_link(setting));
    }
    page.push_str("| [`[backend.NAME]`](#backendname) | — | for `default` |\n");
    for setting in keys() {
        let key = setting.key;
        let _ = write!(page, "\n### {key}\n\n{}\n\n| | |\n|---|---|\n", setting.doc);
        let _ = writeln!(page, "| Takes | {} |\n| Default | {} |", setting.kind.expected(), default(setting));
        if setting.env.is_some() {
            let _ = writeln!(page, "| Environment | {} |", env_link(setting));
        }
        let example = match setting.kind {
            Kind::Peers => format!("[\"{}\"]", setting.example),
            // Its example is for a shell.
            Kind::RootKey | Kind::PrivateKey => "\"0fd0…\"   # openssl rand -hex 32".to_owned(),
            Kind::Mnemonic => "\"half depart obvious …\"".to_owned(),
            _ => format!("\"{}\"", setting.example),
        };
        let _ = writeln!(page, "\n```toml\n{key} = {example}\n```");
    }
    page.push_str(
        "\n### [backend.NAME]\n\nA backend of that name: what `l402_backend NAME;` in nginx's configuration means. A \
         location that names none is paid through `default`.\n\n\
         | key | type | default | meaning | environment, for `default` |\n|---|---|---|---|---|\n",
    );
    block_keys(&mut page);
    page
}

fn environment() -> String {
    let mut page = format!("{NOTE}# Environment variables\n\n");
    page.push_str(
        "They define the backend called `default`, the key that tokens are signed with, and where l402d keeps its \
         things. nginx reads them when it starts, before it gives up its rights, and hands l402d what it needs \
         through a pipe; an l402d that runs by itself reads the same ones. nginx's own `env` directive is not \
         needed.\n\n\
         Under systemd: `systemctl edit nginx`, then\n\n\
         ```ini\n\
         [Service]\n\
         Environment=LN_CLIENT_TYPE=LND\n\
         Environment=LND_ADDRESS=10.0.0.5:10009\n\
         Environment=MACAROON_FILE_PATH=/etc/l402/invoice.macaroon\n\
         Environment=CERT_FILE_PATH=/etc/l402/tls.cert\n\
         ```\n\n\
         A changed environment needs a restart; a reload keeps the environment that nginx was started with (and \
         reads the files anew).\n\n\
         | variable | default | also as |\n|---|---|---|\n",
    );
    for (setting, env) in with_env() {
        let _ = writeln!(
            page,
            "| [`{env}`](#{}) | {} | {} |",
            env.to_lowercase(),
            code_or(setting.default, "—"),
            also_as(setting)
        );
    }
    for (setting, env) in with_env() {
        let _ = write!(page, "\n## {env}\n\n{}\n\n| | |\n|---|---|\n", setting.doc);
        let _ = writeln!(page, "| Takes | {} |", setting.kind.expected());
        let _ = writeln!(page, "| Default | {} |", default(setting));
        let _ = writeln!(page, "| Also as | {} |", also_as(setting));
        let _ = write!(page, "\n```sh\nexport {env}={}\n```\n", setting.example);
    }
    page.push_str(
        "\n## Not read in this version\n\n\
         Variables of the former module that later versions will read. One that is set gets a warning in nginx's \
         error log, so that nobody believes it works:\n\n",
    );
    for name in NOT_READ_YET {
        let _ = writeln!(page, "* `{name}`");
    }
    page
}

fn variables() -> String {
    let mut page = format!("{NOTE}# Variables\n\n");
    page.push_str(
        "What the module tells the rest of nginx's configuration about a request: for `log_format`, `map`, \
         `proxy_set_header` and the like. Each is empty where it has no value, and everywhere before the access \
         phase and in locations that sell nothing (a log shows `-`).\n\n\
         ```nginx\n\
         log_format paid '$remote_addr \"$request\" $status $l402_status $l402_amount_msat $l402_payment_hash';\n\
         access_log /var/log/nginx/paid.log paid;\n\n\
         location /paid {\n    \
         l402 on;\n    l402_amount_msat_default 10000;\n    \
         proxy_set_header X-Payment-Hash $l402_payment_hash;\n    proxy_pass http://127.0.0.1:8080;\n}\n\
         ```\n\n\
         | variable | holds | for example |\n|---|---|---|\n",
    );
    for variable in VARIABLES {
        let _ = writeln!(page, "| `${}` | {} | `{}` |", variable.name, variable.doc, variable.example);
    }
    page
}

fn with_directive() -> impl Iterator<Item = (&'static Setting, &'static Directive)> {
    SETTINGS.iter().filter_map(|setting| Some((*setting, setting.directive.as_ref()?)))
}

fn with_env() -> impl Iterator<Item = (&'static Setting, &'static str)> {
    SETTINGS.iter().filter_map(|setting| Some((*setting, setting.env?)))
}

/// How a directive is written, in each of its forms.
fn syntax(directive: &Directive) -> String {
    let line = format!("`{} {};`", directive.name, directive.arguments.replace('|', "\\|"));
    if directive.block.is_empty() {
        return line;
    }
    format!(
        "`{} {} {{ … }}` in {}, {line} elsewhere",
        directive.name,
        // A block has one name.
        directive.arguments.trim_end_matches(" …"),
        words(directive.block)
    )
}

fn all_contexts(directive: &Directive) -> String {
    words(&[directive.block, directive.contexts].concat())
}

fn words(contexts: &[Context]) -> String {
    contexts.iter().map(|context| context.as_str()).collect::<Vec<_>>().join(", ")
}

fn code_or(text: &str, otherwise: &str) -> String {
    if text.is_empty() { otherwise.to_owned() } else { format!("`{text}`") }
}

/// The default and its reason.
fn default(setting: &Setting) -> String {
    match setting.default {
        "" => setting.why.to_owned(),
        text => format!("`{text}`. {}", setting.why),
    }
}

/// The other names of a setting that has a variable.
fn also_as(setting: &Setting) -> String {
    let directive = setting
        .directive
        .as_ref()
        .map(|directive| format!("[`{name}`](directives.md#{name})", name = directive.name));
    let key = setting
        .block_key
        .map(|key| format!("`{key}` in an [`l402_backend`](directives.md#l402_backend) block"));
    let in_file = match setting.block_key {
        Some(key) => Some(format!("`{key}` in a table of [`l402d.toml`](l402d-toml.md#backendname)")),
        None if setting.is_in_file() => {
            Some(format!("[`{key}`](l402d-toml.md#{key}) in `l402d.toml`", key = setting.key))
        }
        None => None,
    };
    let names: Vec<_> = directive.into_iter().chain(key).chain(in_file).collect();
    if names.is_empty() { "—".to_owned() } else { names.join(", ") }
}
