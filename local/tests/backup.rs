//! `tally backup` and `tally restore`, as programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a test that panics has failed

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Server, binary, fails};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The `n`th batch of a hundred events with ids, on 1 October 2026.
fn batch(n: usize) -> Value {
    let event = |i: usize| {
        let second = n * 100 + i;
        json!({"name": format!("name {}", second % 7), "id": format!("event {second}"),
            "timestamp": format!("2026-10-01T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)})
    };
    (0..100).map(event).collect()
}

fn runs(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{said}{}", String::from_utf8_lossy(&stderr));
    said
}

fn backup(data: &Path, file: &Path) -> String {
    runs(binary().arg("backup").arg(file).arg("--data").arg(data))
}

fn restore(file: &Path, data: &Path) -> Command {
    let mut command = binary();
    command.arg("restore").arg(file).arg("--data").arg(data);
    command
}

/// The folder's entries.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_backup_that_is_made_while_events_arrive_is_one_moment_of_the_data() {
    let (data, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = kept.path().join("tally.tar.zst");
    let server = Server::start(data.path());
    for n in 0..20 {
        assert_eq!(server.send(&batch(n)).unwrap().0, 201);
    }
    let done = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut n = 20;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(server.send(&batch(n)).unwrap().0, 201);
                n += 1;
            }
            n
        });
        let said = backup(data.path(), &file);
        done.store(true, Ordering::Relaxed);
        assert!(said.contains("files in"), "{said}");
        sender.join().unwrap()
    });
    assert_eq!(names(kept.path()), ["tally.tar.zst"], "nothing else is left");

    let other = kept.path().join("restored");
    let said = runs(&mut restore(&file, &other));
    assert!(said.contains("every counter is right"), "{said}");
    let restored = Server::start(&other);
    assert_eq!((&restored.ingest_key, &restored.password), (&server.ingest_key, &server.password));
    let total = restored.counted("2026-10-01", 2_000);
    assert!((2_000..=i64::try_from(sent).unwrap() * 100).contains(&total), "{total} of {sent} batches");
    // What came later is sent again: the rest is known already.
    for n in 0..sent {
        assert_eq!(restored.send(&batch(n)).unwrap().0, 201);
    }
    let all = i64::try_from(sent).unwrap() * 100;
    assert_eq!((restored.counted("2026-10-01", all), server.counted("2026-10-01", all)), (all, all));
}

#[test]
fn events_that_were_not_counted_yet_are_counted_after_a_restore() {
    let (data, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::start(data.path());
    assert_eq!(server.send(&batch(0)).unwrap().0, 201);
    server.kill();
    let file = kept.path().join("a backup");
    backup(data.path(), &file);
    let other = kept.path().join("restored");
    runs(restore(&file, &other).arg("--no-audit"));
    assert_eq!(Server::start(&other).counted("2026-10-01", 100), 100);
}

#[test]
fn source_maps_and_first_imports_are_in_it_and_foreign_files_are_not() {
    let (data, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    Server::start(data.path()).kill();
    fs::create_dir_all(data.path().join("source-maps/shop")).unwrap();
    fs::create_dir_all(data.path().join("imports")).unwrap();
    fs::write(data.path().join("source-maps/shop/1"), "a map").unwrap();
    fs::write(data.path().join("imports/1.json"), "{}").unwrap();
    fs::write(data.path().join("notes.txt"), "of somebody else").unwrap();
    let file = kept.path().join("tally.tar.zst");
    backup(data.path(), &file);
    let other = kept.path().join("restored");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("notes.txt"), "of a third").unwrap();
    runs(restore(&file, &other).arg("--no-audit"));
    assert_eq!(names(&other), ["imports", "notes.txt", "source-maps", "tally.db", "this-machine.json"]);
    assert_eq!(fs::read_to_string(other.join("source-maps/shop/1")).unwrap(), "a map");
    assert_eq!(fs::read_to_string(other.join("notes.txt")).unwrap(), "of a third");
    #[cfg(unix)]
    for path in [&file, &other.join("tally.db"), &other.join("this-machine.json"), &other.join("source-maps/shop/1")] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
    assert_eq!(runs(binary().arg("backup").arg(&file).arg("--data").arg(&other).args(["--force", "--quiet"])), "");
}

#[test]
fn nothing_is_overwritten() {
    let (data, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    Server::start(data.path()).kill();
    let file = kept.path().join("tally.tar.zst");
    backup(data.path(), &file);
    let said = fails(binary().arg("backup").arg(&file).arg("--data").arg(data.path()));
    assert!(said.contains("exists"), "{said}");
    let said = fails(&mut restore(&file, data.path()));
    assert!(said.contains("holds tally.db already"), "{said}");
    let empty = kept.path().join("empty");
    let said = fails(binary().arg("backup").arg(kept.path().join("x")).arg("--data").arg(&empty));
    assert!(said.contains("there is no data of a Tally in"), "{said}");
    assert_eq!(names(kept.path()), ["tally.tar.zst"]);
}

/// The path of an entry, and what is in it.
type Entry = (String, Vec<u8>);

/// The entries of an archive, in order.
fn entries(file: &Path) -> Vec<Entry> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(fs::File::open(file).unwrap()).unwrap());
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (entry.path().unwrap().display().to_string(), bytes)
    };
    archive.entries().unwrap().map(read).collect()
}

fn archive(file: &Path, entries: &[Entry]) {
    let mut tar = tar::Builder::new(zstd::Encoder::new(fs::File::create(file).unwrap(), 1).unwrap());
    for (path, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        // Also paths that a library would not write.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, &**bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap().flush().unwrap();
}

#[test]
fn what_is_no_whole_backup_is_refused_and_leaves_nothing() {
    let (data, kept) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    Server::start(data.path()).kill();
    let file = kept.path().join("tally.tar.zst");
    backup(data.path(), &file);
    let whole = entries(&file);
    assert_eq!(
        whole.iter().map(|(path, _)| &**path).collect::<Vec<_>>(),
        ["tally.db", "this-machine.json", "manifest.json"]
    );

    let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = whole.clone();
        change(&mut entries);
        let file = kept.path().join("changed");
        archive(&file, &entries);
        let other = kept.path().join("restored");
        let said = fails(&mut restore(&file, &other));
        assert_eq!(names(&other), [""; 0], "{said}");
        fs::remove_dir(&other).unwrap();
        said
    };
    let manifest = |change: &dyn Fn(&mut Value)| {
        changed(&|entries: &mut Vec<Entry>| {
            let (_, bytes) = entries.last_mut().unwrap();
            let mut manifest: Value = serde_json::from_slice(bytes).unwrap();
            change(&mut manifest);
            *bytes = manifest.to_string().into_bytes();
        })
    };
    let says = |said: String, what: &str| assert!(said.contains(what), "{said}");
    says(changed(&|entries| drop(entries.pop())), "it ends early");
    says(changed(&|entries| entries[1].1.push(b' ')), "this-machine.json is missing, or was changed");
    says(changed(&|entries| drop(entries.remove(1))), "this-machine.json is missing, or was changed");
    says(changed(&|entries| entries.insert(0, ("../evil".to_owned(), vec![1]))), "it has an entry ../evil");
    says(changed(&|entries| entries.insert(0, ("imports/x".to_owned(), vec![1]))), "does not know imports/x");
    says(changed(&|entries| entries.swap(1, 2)), "is not where it belongs");
    says(manifest(&|manifest| manifest["format"] = json!(2)), "in a newer format");
    says(manifest(&|manifest| manifest["at"] = json!("then")), "manifest.json");

    // A file that was cut off, and one that is none.
    let bytes = fs::read(&file).unwrap();
    let other = kept.path().join("restored");
    for (bytes, what) in [(&bytes[..bytes.len() / 2], "is no whole backup"), (&b"hello"[..], "is no whole backup")] {
        fs::write(kept.path().join("cut"), bytes).unwrap();
        says(fails(&mut restore(&kept.path().join("cut"), &other)), what);
        assert_eq!(names(&other), [""; 0]);
    }
    says(fails(&mut restore(&kept.path().join("nothing"), &other)), "nothing: No such file");
}
