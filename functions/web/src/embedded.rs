//! The files of `web/`, as the build script made them.

use http::HeaderValue;

use crate::files::{File, Files};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// A file and its compressed forms.
#[derive(Clone, Copy)]
struct Embedded {
    kind: &'static str,
    plain: &'static [u8],
    br: Option<&'static [u8]>,
    gzip: Option<&'static [u8]>,
}

impl Embedded {
    fn file(self) -> File {
        File { tag: weak_tag(VERSION), ..self.untagged() }
    }

    fn untagged(self) -> File {
        let Self { kind, plain, br, gzip } = self;
        File { kind, plain: plain.into(), br: br.map(Into::into), gzip: gzip.map(Into::into), tag: None }
    }
}

/// The entity tag of a version. Weak, since each coding has other bytes.
pub(crate) fn weak_tag(version: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("W/\"{version}\"")).ok()
}

/// The script for web pages that sends to `/collect`, without a tag.
pub(crate) fn script() -> File {
    SCRIPT.untagged()
}

/// The folder as it was when this was built.
pub(crate) struct Folder;

impl Files for Folder {
    fn page(&self) -> Option<File> {
        Some(PAGE.file())
    }

    fn file(&self, version: &str, path: &str) -> Option<File> {
        let found = FILES.iter().find(|(name, _)| version == VERSION && *name == path);
        found.map(|(_, embedded)| embedded.file())
    }
}
