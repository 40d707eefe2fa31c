//! The page from its folder, unjoined: for work on it, without a build.

use std::path::{Component, Path, PathBuf};
use std::{fs, io};

use web::{File, Files};

/// What stands for the version in the page, and what it is here.
const PLACEHOLDER: &str = "{version}";
const VERSION: &str = "dev";
/// The kinds of files.
const KINDS: [(&str, &str); 8] = [
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("ico", "image/vnd.microsoft.icon"),
    ("webmanifest", "application/manifest+json"),
];

/// A folder with an `index.html`, `css/` and `js/main.js`.
pub(crate) struct WebFolder(PathBuf);

impl WebFolder {
    /// The folder, which is used until the process ends.
    ///
    /// # Errors
    /// Where it has no `index.html`.
    pub(crate) fn open(folder: &Path) -> io::Result<&'static Self> {
        let page = folder.join("index.html");
        fs::metadata(&page).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", page.display())))?;
        Ok(Box::leak(Box::new(Self(folder.to_owned()))))
    }

    /// What a build would join, as a list of what it joins: the style sheets in the order of their names.
    fn sheets(&self) -> Option<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.join("css"))
            .ok()?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| has_extension(name, "css"))
            .collect();
        names.sort();
        let sheets: Vec<_> = names.into_iter().map(|name| format!("@import './css/{name}';\n")).collect();
        Some(sheets.concat())
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|own| own == extension)
}

fn file(name: &str, content: Vec<u8>) -> Option<File> {
    let (_, kind) = KINDS.iter().find(|(extension, _)| has_extension(name, extension))?;
    Some(File { kind, plain: content.into(), br: None, gzip: None, tag: None })
}

impl Files for WebFolder {
    fn page(&self) -> Option<File> {
        let page = fs::read_to_string(self.0.join("index.html")).ok()?;
        file("index.html", page.replace(PLACEHOLDER, VERSION).into())
    }

    fn file(&self, version: &str, path: &str) -> Option<File> {
        if version != VERSION {
            return None;
        }
        let content = match path {
            "app.js" => "import './js/main.js';\n".into(),
            "app.css" => self.sheets()?.into(),
            path if Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) => {
                fs::read(self.0.join(path)).ok()?
            }
            _ => return None,
        };
        file(path, content)
    }
}
