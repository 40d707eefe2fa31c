//! The file of the user's that keeps deployed Tallys under names, with what signs in to them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of a profile to which nobody gave another.
pub(super) const DEFAULT: &str = "default";
/// Maximum bytes of the file.
const MAX_BYTES: u64 = 1024 * 1024;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// This system has no folder for it.
    #[error("there is no folder for settings: set HOME or XDG_CONFIG_HOME")]
    NoFolder,
    /// It cannot be read or written.
    #[error("cannot use {0}: {1}")]
    File(PathBuf, io::Error),
    /// It is not what this program writes.
    #[error("cannot read {}: {reason}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Other users of this machine may read it.
    #[error("{0} holds keys and can be read by others: run `chmod 600 {0}`")]
    Exposed(PathBuf),
}

/// What the file says.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Profiles {
    /// The profile that is taken where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) default: Option<String>,
    /// The profiles by their names.
    #[serde(default)]
    pub(super) profile: BTreeMap<String, Profile>,
}

/// A deployed Tally, and what signs in to it: a key, a session, or nothing after a sign-out.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    /// The beginning of all addresses.
    pub(super) url: String,
    /// A key of an app.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// A user's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<Session>,
}

/// The session of a user.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    /// The user.
    pub(super) user: String,
    /// The access token.
    pub(super) token: String,
    /// When it is half over, and is renewed.
    #[serde(with = "as_text")]
    pub(super) renew_at: Timestamp,
    /// When it ends.
    #[serde(with = "as_text")]
    pub(super) expires_at: Timestamp,
}

impl Session {
    /// A session whose token was given at a time.
    pub(super) fn new(user: String, token: String, now: Timestamp, expires_at: Timestamp) -> Self {
        let half = expires_at.duration_since(now) / 2;
        Self { user, token, renew_at: now.saturating_add(half).unwrap_or(expires_at), expires_at }
    }
}

/// Times as people read them.
mod as_text {
    use jiff::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(at)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(|_| D::Error::custom("must be a time of RFC 3339"))
    }
}

/// Where the file is on this system.
pub(super) fn file(variable: impl Fn(&str) -> Option<String>) -> Result<PathBuf, ProfileError> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").or_else(std::env::home_dir);
    let usual = || match std::env::consts::OS {
        "windows" => set("APPDATA"),
        "macos" => home().map(|home| home.join("Library").join("Application Support")),
        _ => home().map(|home| home.join(".config")),
    };
    let folder = set("XDG_CONFIG_HOME").or_else(usual).ok_or(ProfileError::NoFolder)?;
    Ok(folder.join("tally").join("config.toml"))
}

impl Profiles {
    /// Reads the file; where there is none, there are no profiles.
    pub(super) fn read(path: &Path) -> Result<Self, ProfileError> {
        let unusable = |error| ProfileError::File(path.to_owned(), error);
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unusable(error)),
        };
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if file.metadata().map_err(unusable)?.permissions().mode() & 0o077 != 0 {
                return Err(ProfileError::Exposed(path.to_owned()));
            }
        }
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(unusable)?;
        toml::from_str(&text).map_err(|error| {
            // The line itself may hold a key.
            let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let at = line.map_or_else(String::new, |line| format!("line {line}: "));
            ProfileError::Unreadable { file: path.to_owned(), reason: format!("{at}{}", error.message()) }
        })
    }

    /// Writes the file, so that it is the old one or the new one at each moment, and nobody else can read it.
    pub(super) fn write(&self, path: &Path) -> Result<(), ProfileError> {
        // A link stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let unusable = |error| ProfileError::File(path.clone(), error);
        let text = toml::to_string(self)
            .map_err(|error| ProfileError::Unreadable { file: path.clone(), reason: error.to_string() })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        make_private_folder(folder).map_err(unusable)?;
        // Only its owner can read it, from the first byte on.
        let mut temporary = tempfile::Builder::new().prefix(".config").tempfile_in(folder).map_err(unusable)?;
        temporary.write_all(text.as_bytes()).map_err(unusable)?;
        temporary.as_file().sync_all().map_err(unusable)?;
        temporary.persist(&path).map_err(|error| unusable(error.error))?;
        Ok(())
    }

    /// The name of the profile that is taken where none is named.
    pub(super) fn default_name(&self) -> Option<&str> {
        let named = self.default.as_deref();
        named.or_else(|| self.profile.contains_key(DEFAULT).then_some(DEFAULT))
    }
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn example() -> Profiles {
        let now = at("2026-11-28T10:00:00Z");
        let session = Session::new("ann".to_owned(), "secret".to_owned(), now, at("2026-11-28T11:00:00Z"));
        assert_eq!(session.renew_at, at("2026-11-28T10:30:00Z"), "half of it");
        let prod = Profile { url: "https://tally.example".to_owned(), key: None, session: Some(session) };
        let test = Profile { url: "http://127.0.0.1:3000".to_owned(), key: Some("tly_rd_1".to_owned()), session: None };
        let profile = [("prod".to_owned(), prod), ("test".to_owned(), test)].into();
        Profiles { default: Some("prod".to_owned()), profile }
    }

    #[test]
    fn profiles_are_kept_for_their_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new").join("config.toml");
        assert_eq!(Profiles::read(&path).expect("nothing yet"), Profiles::default());
        for _ in 0..2 {
            example().write(&path).expect("written");
            assert_eq!(Profiles::read(&path).expect("readable"), example());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(path.parent().expect("a folder"))), (0o600, 0o700));
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
            let refused = Profiles::read(&path).expect_err("others can read it").to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
        }
        assert_eq!(fs::read_dir(path.parent().expect("a folder")).expect("readable").count(), 1, "no temporary file");
    }

    #[test]
    fn what_is_wrong_in_the_file_is_said_without_its_keys() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("config.toml");
        example().write(&path).expect("written");
        fs::write(&path, "[profile.x]\nurl = \"u\"\nkex = \"tly_rd_secret\"\n").expect("written");
        let said = Profiles::read(&path).expect_err("an unknown field").to_string();
        assert!(said.contains("line 3") && said.contains("kex") && !said.contains("tly_rd_secret"), "{said}");
    }

    #[test]
    fn the_file_is_where_this_system_keeps_settings() {
        let with = |set: &[(&str, &str)]| {
            let set: Vec<(String, String)> = set.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            file(move |name| set.iter().find(|(set, _)| set == name).map(|(_, value)| value.clone())).expect("a file")
        };
        assert_eq!(with(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]), Path::new("/x/tally/config.toml"));
        #[cfg(target_os = "linux")]
        assert_eq!(with(&[("XDG_CONFIG_HOME", ""), ("HOME", "/h")]), Path::new("/h/.config/tally/config.toml"));
    }
}
