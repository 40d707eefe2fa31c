//! The script for web pages, `web/script/tally.js`: `GET /tally.js`, and the paths where Umami's and Plausible's are.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;

use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use schemars::json_schema;
use tally_http::openapi::{Operation, Parameter, ReplyDescription, text};
use tally_http::problem::Problem;
use tally_http::routes::{SCRIPT, SCRIPT_FILE, UMAMI_SCRIPT};
use tally_service::config::Config;

use crate::embedded::{self, SCRIPT_TEMPLATE, weak_tag};
use crate::files::File;

/// A day: the name of the file does not change with the file.
const CACHING: &str = "public, max-age=86400";
/// Pages of any origin load it, also those that demand to be told so.
const HEADERS: [(HeaderName, &str); 2] =
    [(ACCESS_CONTROL_ALLOW_ORIGIN, "*"), (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin")];
/// How the names of Plausible's scripts begin: with variants between dots (`script.hash.js`), or with an id of the site.
const PLAUSIBLE: [&str; 3] = ["script.", "plausible.", "pa-"];

/// The script, as the settings make it.
pub(crate) struct Script {
    file: File,
    /// The name below `/js/` that a setting gives it.
    name: Option<String>,
}

impl Script {
    pub(crate) fn of(config: &Config) -> Self {
        let embedded = embedded::script();
        let file = match config.collect_path.as_deref().and_then(|path| path.strip_prefix('/')) {
            Some(path) => {
                let (template, placeholder) = SCRIPT_TEMPLATE;
                let text = template.replace(placeholder, path);
                // Nothing here makes brotli.
                File { gzip: with_gzip(&text).map(Into::into), br: None, plain: text.into_bytes().into(), ..embedded }
            }
            None => embedded,
        };
        let mut hasher = DefaultHasher::new();
        file.plain.hash(&mut hasher);
        let tag = weak_tag(&format!("{:016x}", hasher.finish()));
        let name = config.script_path.as_deref().and_then(|path| path.strip_prefix("/js/")).map(str::to_owned);
        Self { file: File { tag, ..file }, name }
    }

    pub(crate) fn reply(&self, asked: &HeaderMap) -> Response {
        let mut reply = self.file.clone().reply(asked, CACHING);
        for (name, value) in HEADERS {
            reply.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        reply
    }

    /// The reply to a name below `/js/`.
    pub(crate) fn named(&self, name: &str, asked: &HeaderMap) -> Result<Response, Problem> {
        let is_of_plausible =
            PLAUSIBLE.iter().any(|start| name.starts_with(start)) && name.strip_suffix(".js").is_some();
        if self.name.as_deref() == Some(name) || is_of_plausible {
            return Ok(self.reply(asked));
        }
        Err(Problem::NotFound(
            "no such script: it is `/tally.js`, and the setting TALLY_SCRIPT_PATH gives it another name here"
                .to_owned(),
        ))
    }
}

fn with_gzip(text: &str) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).ok()?;
    encoder.finish().ok()
}

pub(crate) fn operations() -> Vec<Operation> {
    let reply = || ReplyDescription {
        status: StatusCode::OK,
        about: "The script. Caches may keep it for a day.",
        content: vec![("text/javascript", json_schema!({"type": "string"}))],
        headers: vec![("ETag", "The version.")],
    };
    vec![
        Operation::of(&SCRIPT, "script", "The script for web pages").replies(reply()),
        Operation::of(&UMAMI_SCRIPT, "umamiScript", "The same, where Umami's is").replies(reply()),
        Operation::of(&SCRIPT_FILE, "scriptFile", "The same, where Plausible's is")
            .takes([Parameter::path("file", "A name of Plausible's, or that of `TALLY_SCRIPT_PATH`.", text())])
            .replies(reply())
            .refuses([StatusCode::NOT_FOUND]),
    ]
}
