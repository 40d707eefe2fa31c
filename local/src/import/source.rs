//! Which files are read, and the name of each file's source.

use std::path::{Path, PathBuf};

/// Endings of compressed files.
const COMPRESSED: [&str; 5] = [".gz", ".zst", ".zstd", ".xz", ".z"];
/// Suffixes of rotated files.
const KEPT: [&str; 3] = [".old", ".bak", ".save"];

/// The files that arguments select: paths, or pattern matches in order of name.
///
/// # Errors
/// If a pattern matches nothing, or an argument is a folder or missing.
pub(super) fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    for argument in arguments {
        let shown = argument.display();
        let pattern = argument.to_str().filter(|text| text.contains(['*', '?', '[']));
        match pattern {
            Some(pattern) if !argument.exists() => {
                let found = glob::glob(pattern).map_err(|e| format!("{shown} is no pattern of files: {e}"))?;
                let before = files.len();
                files.extend(found.filter_map(Result::ok).filter(|path| path.is_file()));
                if files.len() == before {
                    return Err(format!("no file matches {shown}"));
                }
            }
            _ if argument == Path::new("-") => files.push(argument.clone()),
            _ if argument.is_dir() => {
                return Err(format!("{shown} is a folder: name its files, e.g. '{shown}/*.log'"));
            }
            _ => {
                std::fs::metadata(argument).map_err(|e| format!("cannot read {shown}: {e}"))?;
                files.push(argument.clone());
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// The default source of a file: this host, and the file's absolute path without rotation suffixes.
pub(super) fn of_file(file: &Path) -> String {
    let host = gethostname::gethostname();
    let host = host.to_string_lossy();
    if file == Path::new("-") {
        return format!("{host}:-");
    }
    let name = file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.to_owned());
    format!("{host}:{}", folder.join(without_rotation(&name)).display())
}

/// The name of a log without rotation suffixes: `.1`, `.2.gz`, `-20261126`, `.2026-11-26`, `.old`.
pub(super) fn without_rotation(name: &str) -> &str {
    let mut rest = name;
    loop {
        let strip = |endings: &[&str]| endings.iter().find_map(|ending| rest.strip_suffix(ending));
        let shorter = strip(&COMPRESSED).or_else(|| strip(&KEPT)).or_else(|| numbered(rest)).or_else(|| dated(rest));
        match shorter {
            Some(shorter) if !shorter.is_empty() => rest = shorter,
            _ => return rest,
        }
    }
}

/// A name before `.1` to `.999`.
fn numbered(name: &str) -> Option<&str> {
    let (rest, number) = name.rsplit_once('.')?;
    ((1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit())).then_some(rest)
}

/// A name before `-20261126`, `.20261126`, `-2026112609`, `-2026-11-26`, `.2026-11-26`, or `-20261126-1764147600`.
fn dated(name: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (rest, ending) = name.rsplit_once(['-', '.'])?;
    if !digits(ending) {
        return None;
    }
    let is_year = |text: &str| text.starts_with("19") || text.starts_with("20");
    match ending.len() {
        8 | 10 if is_year(ending) && !(ending.len() == 10 && name.as_bytes()[rest.len()] == b'.') => Some(rest),
        // Unix seconds, after a day.
        10 => dated(rest),
        2 => {
            let (rest, month) = rest.rsplit_once('-')?;
            let (rest, year) = rest.rsplit_once(['-', '.'])?;
            let good = month.len() == 2 && digits(month) && year.len() == 4 && digits(year) && is_year(year);
            good.then_some(rest)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotation_is_taken_off_a_name() {
        for name in [
            "app.log",
            "app.log.1",
            "app.log.12.gz",
            "app.log-20261126",
            "app.log-20261126.zst",
            "app.log.20261126",
            "app.log-2026112609.xz",
            "app.log-2026-11-26",
            "app.log.2026-11-26.gz",
            "app.log-20261126-1764147600.gz",
            "app.log.old",
            "app.log.gz",
        ] {
            assert_eq!(without_rotation(name), "app.log", "{name}");
        }
        for name in ["app-2.log", "app-20261126.log", "v1.2026", "app.1234", "1", ".gz", "a-1764147600"] {
            assert_eq!(without_rotation(name), name);
        }
    }

    #[test]
    fn a_source_is_a_host_and_a_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (folder.path().join("web1"), folder.path().join("web2"));
        std::fs::create_dir_all(&one).expect("a folder");
        std::fs::create_dir_all(&other).expect("a folder");
        assert_ne!(of_file(&one.join("access.log")), of_file(&other.join("access.log")));
        assert_eq!(of_file(&one.join("access.log")), of_file(&other.join("../web1/access.log.3.gz")));
        assert!(of_file(Path::new("-")).ends_with(":-"));
    }

    #[test]
    fn patterns_and_folders_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.log", "a.log", "[c].log"] {
            std::fs::write(folder.path().join(name), "").expect("a file");
        }
        let path = |name: &str| folder.path().join(name);
        assert_eq!(files(&[path("?.log"), path("a.log")]), Ok(vec![path("a.log"), path("b.log")]));
        assert_eq!(files(&[path("[c].log")]), Ok(vec![path("[c].log")]));
        assert!(files(&[path("*.txt")]).is_err_and(|e| e.contains("no file matches")));
        assert!(files(&[folder.path().to_owned()]).is_err_and(|e| e.contains("is a folder")));
        assert!(files(&[path("none")]).is_err_and(|e| e.contains("cannot read")));
    }
}
