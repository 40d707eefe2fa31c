//! `tally keys`: the keys of an app.

use std::process::ExitCode;

use http::Method;
use serde_json::{Map, Value, json};

use super::apps::setting;
use super::ask_person::confirm;
use super::common::Common;
use super::error::CliError;
use super::grid::{Column, Grid};
use super::parts::{items, text};
use super::remote::segment;
use super::text::{Look, harmless};
use super::zone::Zone;

/// Keys that are listed at most; an app has fewer.
const MOST: usize = 1_000;

/// What to do with the keys of an app; by default, list them.
#[derive(clap::Args)]
pub struct Keys {
    /// The app
    app: String,
    #[command(subcommand)]
    action: Option<Action>,
    /// Prints JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Lists the keys, without their secrets
    List,
    /// Makes a key, and prints it: it is shown only now
    Create {
        /// What it allows: `ingest`, `read`, both, or `upload`
        #[arg(long = "scope", required = true, value_name = "SCOPE", value_delimiter = ',')]
        scopes: Vec<String>,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        label: Option<String>,
        /// When it ends: a time, or so long from now, as `90d`
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// A page that may use it, as `https://shop.example`; several times for several
        #[arg(long = "origin", value_name = "ORIGIN")]
        origins: Vec<String>,
        /// Other fields of the API, such as `statistics_only=true` or `filter={"level":"ERROR"}`
        #[arg(value_name = "FIELD=VALUE", value_parser = setting)]
        fields: Vec<(String, Value)>,
    },
    /// Revokes a key: within a minute nothing accepts it
    Revoke {
        /// The id of the key, as the list has it
        id: String,
        /// Does not ask
        #[arg(long, short)]
        yes: bool,
    },
}

impl Keys {
    pub(super) async fn run(self) -> Result<ExitCode, CliError> {
        let tally = self.common.tally().await?;
        let mut out = self.common.out();
        let path = format!("/apps/{}/keys", segment(&self.app));
        match self.action.unwrap_or(Action::List) {
            Action::List => {
                let keys = items(&tally, &path, Vec::new(), MOST).await?;
                if self.json {
                    out.json(&json!({ "items": keys }).to_string())?;
                } else if keys.is_empty() {
                    out.note("There are no keys: `tally keys APP create --scope ingest` makes one.")?;
                } else {
                    out.grid(&grid(&keys)?)?;
                }
            }
            Action::Create { scopes, label, expires, origins, fields } => {
                let mut body: Map<String, Value> = fields.into_iter().collect();
                body.insert("scopes".to_owned(), json!(scopes));
                for (name, value) in [("label", label), ("expires_at", expires)] {
                    if let Some(value) = value {
                        body.insert(name.to_owned(), Value::String(value));
                    }
                }
                if !origins.is_empty() {
                    body.insert("origins".to_owned(), json!(origins));
                }
                let reply = tally.change(Method::POST, &path, Some(&Value::Object(body))).await?;
                if self.json {
                    out.reply(&reply.body)?;
                } else {
                    let key: Value = tally.parsed(&reply)?;
                    out.note(&format!("The key {} is made. It is shown only now:", text(&key, "id")))?;
                    out.line(&text(&key, "key"))?;
                }
            }
            Action::Revoke { id, yes } => {
                let shown = harmless(&id).into_owned();
                confirm(&format!("Revoke the key {shown} of the app `{}`?", harmless(&self.app)), yes).await?;
                tally.change(Method::DELETE, &format!("{path}/{}", segment(&id)), None).await?;
                out.note(&format!("The key {shown} is revoked: within a minute nothing accepts it."))?;
            }
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

fn grid(keys: &[Value]) -> Result<Grid, CliError> {
    let zone = Zone::of(None)?;
    let columns = [
        Column::word("KEY"),
        Column::word("SCOPES"),
        Column::text("LABEL"),
        Column::word("CREATED"),
        Column::word("ENDS"),
    ];
    let mut grid = Grid::new(columns);
    for key in keys {
        let scopes = key["scopes"].as_array().map(|scopes| scopes.iter().filter_map(Value::as_str).collect::<Vec<_>>());
        let time =
            |field: &str| key[field].as_str().map_or_else(|| "-".to_owned(), |at| zone.show(at, "%Y-%m-%d %H:%M"));
        grid.row([
            (text(key, "id"), Look::Bold),
            (harmless(&scopes.unwrap_or_default().join(", ")).into_owned(), Look::Plain),
            (text(key, "label"), Look::Plain),
            (time("created_at"), Look::Plain),
            (time("expires_at"), Look::Plain),
        ]);
    }
    Ok(grid)
}
