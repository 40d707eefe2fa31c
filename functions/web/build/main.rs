//! Makes what is served of the folder `web/`: its modules joined to one script and the parts that views load, its style sheets to
//! one, all compressed, and `{version}` put into the page. One request in place of thirty, here and on Lambda.

mod join;
mod tokens;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use join::{SCRIPT, Sources, join_modules, join_styles};

/// The kinds of files that are served besides modules and style sheets, and whether compression makes them smaller.
const KINDS: [(&str, &str, bool); 5] = [
    ("svg", "image/svg+xml", true),
    ("png", "image/png", false),
    ("webp", "image/webp", false),
    ("ico", "image/vnd.microsoft.icon", true),
    ("webmanifest", "application/manifest+json", true),
];
const SCRIPT_KIND: &str = "text/javascript; charset=utf-8";
const STYLE_KIND: &str = "text/css; charset=utf-8";
const PAGE: &str = "index.html";
/// The script for web pages, which `.ci/web` makes of `tally.js`.
const PAGE_SCRIPT: &str = "script/tally.min.js";
/// What stands in it for the path that it sends to, and that path unless a setting names another; both without the first slash.
const COLLECT: (&str, &str) = ("{collect}", "collect");
/// What stands for the version in the page.
const VERSION: &str = "{version}";

/// A file that is served.
struct Served {
    path: String,
    kind: &'static str,
    content: Vec<u8>,
    compressed: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../web");
    println!("cargo::rerun-if-changed={}", folder.display());
    println!("cargo::rerun-if-changed=build");
    let mut files = BTreeMap::new();
    read(&folder, "", &mut files)?;
    match make(&files) {
        Ok(code) => {
            let out = PathBuf::from(env::var("OUT_DIR")?);
            Ok(fs::write(out.join("embedded.rs"), code)?)
        }
        Err(error) => {
            for line in error.to_string().lines() {
                println!("cargo::error=web/{line}");
            }
            Ok(())
        }
    }
}

/// Reads a folder with what is in it, without hidden files and what tools leave there.
fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| format!("{}: no UTF-8", name.display()))?;
        let path = format!("{prefix}{name}");
        if name.starts_with('.') || name == "node_modules" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            read(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn make(files: &BTreeMap<String, Vec<u8>>) -> Result<String, Box<dyn Error>> {
    let texts = |folder: &str, extension: &str| -> Result<Sources, Box<dyn Error>> {
        let of = files.iter().filter(|(path, _)| path.starts_with(folder) && path.ends_with(extension));
        of.map(|(path, bytes)| {
            let text = String::from_utf8(bytes.clone()).map_err(|_| format!("{path}: not UTF-8"))?;
            Ok((path.clone(), text))
        })
        .collect()
    };
    let modules = texts("js/", ".js")?;
    let joined = join_modules(&modules, "js/main.js")?;
    for unused in joined.unused {
        println!("cargo::warning=web/{unused}: no module imports it, so it is not served");
    }
    let styles = join_styles(&texts("css/", ".css")?)?;
    let mut served = vec![
        Served::new(SCRIPT, SCRIPT_KIND, joined.script.into_bytes(), true),
        Served::new("app.css", STYLE_KIND, styles.into_bytes(), true),
    ];
    served
        .extend(joined.parts.into_iter().map(|(path, part)| Served::new(&path, SCRIPT_KIND, part.into_bytes(), true)));
    // A sheet outside of `css/` belongs to a part, which loads it.
    let sheets = texts("", ".css")?.into_iter().filter(|(path, _)| !path.contains('/'));
    served.extend(sheets.map(|(path, sheet)| Served::new(&path, STYLE_KIND, sheet.into_bytes(), true)));
    for (path, content) in files {
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        if let Some((_, kind, compressed)) = KINDS.iter().find(|(known, ..)| *known == extension) {
            served.push(Served::new(path, kind, content.clone(), *compressed));
        }
    }
    let page = files.get(PAGE).ok_or("index.html: there is no such file")?;
    let page = String::from_utf8(page.clone()).map_err(|_| "index.html: not UTF-8")?;
    for name in [SCRIPT, "app.css"] {
        if !page.contains(&format!("assets/{VERSION}/{name}")) {
            return Err(format!("index.html: it does not refer to assets/{VERSION}/{name}").into());
        }
    }
    // Of all that is served, so that a change of this program counts too. Stable hashing is all that is needed.
    let mut hasher = DefaultHasher::new();
    page.hash(&mut hasher);
    for file in &served {
        (&file.path, &file.content).hash(&mut hasher);
    }
    let version = format!("{:016x}", hasher.finish());
    let page = Served::new(PAGE, "text/html; charset=utf-8", page.replace(VERSION, &version).into_bytes(), true);

    let mut code = format!("/// The version of all that is served.\nconst VERSION: &str = {version:?};\n");
    writeln!(code, "const PAGE: Embedded = {};", page.code()?)?;
    let script =
        files.get(PAGE_SCRIPT).ok_or("script/tally.min.js: there is no such file: `.ci/web --write` makes it")?;
    let script = String::from_utf8(script.clone()).map_err(|_| "script/tally.min.js: not UTF-8")?;
    let (placeholder, collect) = COLLECT;
    if script.matches(placeholder).count() != 1 {
        return Err(format!("script/tally.min.js: it must have {placeholder} once").into());
    }
    let sending = Served::new(PAGE_SCRIPT, SCRIPT_KIND, script.replace(placeholder, collect).into_bytes(), true);
    writeln!(code, "const SCRIPT: Embedded = {};", sending.code()?)?;
    writeln!(code, "/// The same with what stands for the path that it sends to.")?;
    writeln!(code, "pub(crate) const SCRIPT_TEMPLATE: (&str, &str) = ({script:?}, {placeholder:?});")?;
    writeln!(code, "const FILES: &[(&str, Embedded)] = &[")?;
    for file in served {
        writeln!(code, "    ({:?}, {}),", file.path, file.code()?)?;
    }
    code.push_str("];\n");
    Ok(code)
}

impl Served {
    fn new(path: &str, kind: &'static str, content: Vec<u8>, compressed: bool) -> Self {
        Self { path: path.to_owned(), kind, content, compressed }
    }

    /// Writes the file and its compressed forms; returns the code of the constant.
    fn code(&self) -> Result<String, Box<dyn Error>> {
        let out = PathBuf::from(env::var("OUT_DIR")?);
        let name = self.path.replace('/', "+");
        let write = |ending: &str, content: &[u8]| -> Result<String, Box<dyn Error>> {
            let file = out.join(format!("{name}{ending}"));
            fs::write(&file, content)?;
            Ok(format!("include_bytes!({:?})", file.display().to_string()))
        };
        let plain = write("", &self.content)?;
        let (mut br, mut gzip) = ("None".to_owned(), "None".to_owned());
        if self.compressed {
            br = format!("Some({})", write(".br", &with_brotli(&self.content)?)?);
            gzip = format!("Some({})", write(".gz", &with_gzip(&self.content)?)?);
        }
        Ok(format!("Embedded {{ kind: {:?}, plain: {plain}, br: {br}, gzip: {gzip} }}", self.kind))
    }
}

fn with_brotli(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    let mut compressed = vec![];
    brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters)?;
    Ok(compressed)
}

fn with_gzip(content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}
