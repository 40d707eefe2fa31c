//! Users who may sign in, as listed in the setting `TALLY_USERS`.

use serde::Deserialize;
use tally_core::app::role::Role;

/// bcrypt's work factor: 2^12 rounds, as Seismo requires. Every hash uses it. Otherwise the time of a refusal would
/// reveal whether a user exists.
pub const COST: u32 = 12;

/// How a user authenticates.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// With a password, stored as a bcrypt hash.
    Password(String),
    /// With a personal access token of the GitHub account with this login.
    GitHub,
}

/// One user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The user name or GitHub login.
    pub name: String,
    /// How the user authenticates.
    pub proof: Proof,
    /// The user's role.
    pub role: Role,
}

/// All users who may sign in.
#[derive(Clone, Default)]
pub struct Users(Vec<User>);

/// Why a text is not a valid list of users. The error never quotes the text, because it contains hashes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("TALLY_USERS: {0}")]
pub struct UsersError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: Option<String>,
    password_hash: Option<String>,
    github: Option<String>,
    role: Role,
}

/// Returns whether a text is a bcrypt hash with work factor [`COST`].
fn is_hash(text: &str) -> bool {
    let rest = ["$2a$", "$2b$", "$2y$"].into_iter().find_map(|version| text.strip_prefix(version));
    text.len() == 60 && rest.is_some_and(|rest| rest.starts_with(&format!("{COST}$")))
}

impl Users {
    /// Parses a JSON list of `{"user", "password_hash", "role"}` and `{"github", "role"}`.
    pub fn parse(json: &str) -> Result<Self, UsersError> {
        let entries: Vec<Entry> = serde_json::from_str(json).map_err(|e| {
            UsersError(format!(
                "not a JSON list of {{\"user\", \"password_hash\", \"role\"}} and {{\"github\", \"role\"}} \
                 with the roles admin and reader (line {}, column {})",
                e.line(),
                e.column()
            ))
        })?;
        let users = entries.into_iter().enumerate().map(|(i, entry)| {
            let (name, proof) = match entry {
                Entry { user: Some(name), password_hash: Some(hash), github: None, .. } => {
                    if !is_hash(&hash) {
                        return Err(UsersError(format!(
                            "entry {i}: `password_hash` must be a bcrypt hash of cost 12 ($2b$12$…)"
                        )));
                    }
                    (name, Proof::Password(hash))
                }
                Entry { user: None, password_hash: None, github: Some(login), .. } => (login, Proof::GitHub),
                _ => {
                    return Err(UsersError(format!("entry {i}: needs either `user` and `password_hash`, or `github`")));
                }
            };
            Ok(User { name, proof, role: entry.role })
        });
        users.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the user with this name who signs in by password, with the password hash.
    pub fn by_password(&self, name: &str) -> Option<(&User, &str)> {
        self.0.iter().find_map(|user| match &user.proof {
            Proof::Password(hash) if user.name == name => Some((user, hash.as_str())),
            _ => None,
        })
    }

    /// Returns the user with this name, whichever way the user signs in.
    pub fn by_name(&self, name: &str) -> Option<&User> {
        self.0.iter().find(|user| user.name == name)
    }

    /// Returns the user with this GitHub login. Case is ignored, as on GitHub.
    pub fn by_github(&self, login: &str) -> Option<&User> {
        self.0.iter().find(|user| user.proof == Proof::GitHub && user.name.eq_ignore_ascii_case(login))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2b$12$C6UzMDM.H6dfI/f/IKcEeO5Fq8RzB6u9aYgqH7bQ3Yq0mZ0Pz0mXK";

    #[test]
    fn reads_both_kinds_of_users() {
        let json = format!(
            r#"[{{"user":"ann","password_hash":"{HASH}","role":"admin"}},{{"github":"Octocat","role":"reader"}}]"#
        );
        let users = Users::parse(&json).expect("valid");
        assert!(users.by_password("ann").is_some_and(|(user, hash)| user.role == Role::Admin && hash == HASH));
        assert!(users.by_password("Octocat").is_none());
        assert!(users.by_github("octocat").is_some_and(|user| user.role == Role::Reader));
    }

    #[test]
    fn says_what_is_wrong_without_quoting_it() {
        for (json, part) in [
            ("{", "not a JSON list"),
            (r#"[{"user":"ann","role":"admin"}]"#, "entry 0"),
            (r#"[{"user":"ann","password_hash":"hunter2","role":"admin"}]"#, "bcrypt"),
            (
                &format!(r#"[{{"user":"ann","password_hash":"{}","role":"admin"}}]"#, HASH.replace("12", "31")),
                "cost 12",
            ),
            (r#"[{"github":"x","role":"owner"}]"#, "not a JSON list"),
        ] {
            let error = Users::parse(json).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }
}
