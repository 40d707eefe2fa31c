//! Checks the architecture: which crates a crate may refer to, and that the files of a crate have no circular
//! dependencies.
//!
//! A file depends on another if it names an item that is defined there, by `use` or by a path in its code. A re-export
//! is resolved to the file that it leads to, and is not a dependency itself. Methods and macro arguments are ignored,
//! because only the compiler can resolve them. Unit tests are ignored too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, ItemUse, UseTree, Visibility};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest(folder: &str) -> toml::Table {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("a manifest").parse().expect("TOML")
}

/// The folders of the workspace's crates.
fn members() -> Vec<String> {
    let workspace = manifest(".");
    let members = workspace["workspace"]["members"].as_array().expect("members").iter();
    members.map(|member| member.as_str().expect("a folder").to_owned()).collect()
}

/// All crates that a crate depends on, including those for its tests and its build.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest = manifest(folder);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    assert!(!manifest.contains_key("target"), "{folder}: dependencies of a target are not looked at");
    kinds
        .into_iter()
        .filter_map(|kind| manifest.get(kind)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// The layer of a crate: it may depend only on crates of lower layers.
fn ring(folder: &str) -> usize {
    match folder {
        "shared/core" => 0,
        "shared/store" | "shared/notify" => 1,
        "shared/service" => 2,
        "shared/http" => 3,
        // It asks the routers of others in its own process.
        "functions/mcp" => 5,
        _ if folder.starts_with("functions/") => 4,
        "local" | "openapi" => 6,
        "bench" | "tests" => 7,
        _ => panic!("{folder}: say here which ring it is in"),
    }
}

#[test]
fn a_crate_depends_on_inner_crates_only() {
    let name = |folder: &str| manifest(folder)["package"]["name"].as_str().expect("a name").to_owned();
    let rings: BTreeMap<_, _> = members().iter().map(|folder| (name(folder), ring(folder))).collect();
    for folder in members() {
        for needed in dependencies(&folder) {
            if let Some(needed_ring) = rings.get(&needed) {
                assert!(*needed_ring < ring(&folder), "{folder} needs {needed}");
            }
        }
    }
}

#[test]
fn a_crate_does_not_depend_on_libraries_of_outer_layers() {
    const RUNTIME: [&str; 1] = ["tokio"];
    const AWS: [&str; 2] = ["aws", "serde_dynamo"];
    const HTTP: [&str; 5] = ["http", "axum", "hyper", "tower", "lambda"];
    let is_of = |name: &str, family: &str| {
        name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
    };
    for (folder, families) in [
        ("shared/core", [&RUNTIME[..], &AWS, &HTTP].concat()),
        ("shared/store", HTTP.to_vec()),
        ("shared/service", [&AWS[..], &HTTP].concat()),
    ] {
        for name in dependencies(folder) {
            let family = families.iter().find(|family| is_of(&name, family));
            assert!(family.is_none(), "{folder} names {name}");
        }
    }
    // Besides the store, crates that only create a database.
    for folder in members().iter().filter(|folder| !["shared/store", "local", "tests", "bench"].contains(&&***folder)) {
        let sdk = dependencies(folder).into_iter().find(|name| is_of(name, "aws-sdk"));
        assert_eq!(sdk, None, "{folder}");
    }
}

#[test]
fn files_of_a_crate_have_no_circular_dependencies() {
    let circles: Vec<_> = members()
        .into_iter()
        .filter_map(|folder| {
            let sources = root().join(&folder).join("src");
            let circle = sources.is_dir().then(|| circle(&Crate::read(&sources).needs()))??;
            Some(format!("{folder}: {}", circle.join(" -> ")))
        })
        .collect();
    assert_eq!(circles, Vec::<String>::new());
}

#[test]
fn a_circle_is_found() {
    let parsed = |files: &[(&str, &str)]| {
        let files = files.iter().map(|(path, text)| {
            (path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect(), parse(text))
        });
        circle(&Crate { files: files.collect() }.needs()).map(|circle| circle.join(" "))
    };
    let lib = ("", "mod a; mod b; pub use a::A; pub use b::B;");
    assert_eq!(parsed(&[lib, ("a", "use crate::B; pub struct A(B);"), ("b", "pub struct B;")]), None);
    let through_the_root = [lib, ("a", "use crate::B; pub struct A(B);"), ("b", "pub struct B; fn f(_: crate::A) {}")];
    assert_eq!(parsed(&through_the_root).as_deref(), Some("a b a"));
    let with_a_parent = [("", "mod a; pub struct B; pub fn f() { a::f() }"), ("a", "use super::B; pub fn f() { B }")];
    assert_eq!(parsed(&with_a_parent).as_deref(), Some("(root) a (root)"));
    let in_tests = [lib, ("a", "use crate::B;"), ("b", "#[cfg(test)] mod tests { use crate::a::A; }")];
    assert_eq!(parsed(&in_tests), None);
}

/// The path of a module in its crate; empty for the root.
type Module = Vec<String>;

/// The files of a crate that are modules, parsed.
struct Crate {
    files: BTreeMap<Module, File>,
}

fn parse(text: &str) -> File {
    syn::parse_file(text).expect("Rust")
}

impl Crate {
    fn read(sources: &Path) -> Self {
        let mut files = BTreeMap::new();
        let has_lib = sources.join("lib.rs").exists();
        let mut folders = vec![(sources.to_owned(), Module::new())];
        while let Some((folder, module)) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                if path.is_dir() {
                    folders.push((path, [&*module, &[name]].concat()));
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = fs::read_to_string(&path).expect("text");
                    let module = match (module.is_empty(), &*name) {
                        // A separate crate, next to a library.
                        (true, "main") if has_lib => continue,
                        (true, "lib" | "main") => vec![],
                        _ => [&*module, &[name]].concat(),
                    };
                    files.insert(module, parse(&text));
                }
            }
        }
        Self { files }
    }

    /// The dependencies of each file.
    fn needs(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let read: BTreeMap<_, _> =
            self.files.iter().map(|(module, file)| (module.clone(), Names::of(module, file))).collect();
        let needs = read.iter().map(|(module, names)| {
            let used = names.bound.iter().filter(|(name, bound)| !bound.exported || names.first.contains(*name));
            let paths = used.map(|(_, bound)| &bound.path).chain(&names.globs).chain(&names.paths);
            let needed = paths.filter_map(|path| owner(&read, path, 0)).filter(|needed| needed != module);
            (module.clone(), needed.collect())
        });
        needs.collect()
    }
}

/// The file that defines the target of a path.
fn owner(read: &BTreeMap<Module, Names>, path: &[String], depth: usize) -> Option<Module> {
    assert!(depth < 20, "{path:?} leads to itself");
    let length = (0..=path.len()).rev().find(|length| read.contains_key(&path[..*length]))?;
    let (module, rest) = path.split_at(length);
    let names = &read[module];
    let Some(first) = rest.first() else { return Some(module.to_vec()) };
    match names.bound.get(first) {
        // What the path ends with belongs to the target, or is part of it.
        Some(bound) => owner(read, &[&*bound.path, &rest[1..]].concat(), depth + 1),
        None if names.external.contains(first) => None,
        None => Some(module.to_vec()),
    }
}

/// The target of a name in a `use`.
struct Bound {
    path: Module,
    exported: bool,
}

/// The names in a file, as paths from the root of its crate.
struct Names {
    /// The module that is being read: that of the file, or one inside of it.
    module: Module,
    file: Module,
    children: BTreeSet<String>,
    bound: BTreeMap<String, Bound>,
    globs: Vec<Module>,
    /// Names that come from other crates.
    external: BTreeSet<String>,
    paths: Vec<Module>,
    /// The first names of all paths.
    first: BTreeSet<String>,
}

impl Names {
    fn of(module: &Module, file: &File) -> Self {
        let children = file.items.iter().filter_map(|item| match item {
            Item::Mod(ItemMod { content: None, ident, .. }) => Some(ident.to_string()),
            _ => None,
        });
        let mut names = Self {
            module: module.clone(),
            file: module.clone(),
            children: children.collect(),
            bound: BTreeMap::new(),
            globs: vec![],
            external: BTreeSet::new(),
            paths: vec![],
            first: BTreeSet::new(),
        };
        names.visit_file(file);
        names
    }

    /// A path from the root, or `None` if it leads out of the crate.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let mut module = self.module.clone();
        let mut rest = path;
        match path.first().map(String::as_str)? {
            "crate" => {
                module.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
            }
            child if self.module == self.file && self.children.contains(child) => {}
            _ => return None,
        }
        module.extend_from_slice(rest);
        Some(module)
    }

    fn add_use(&mut self, before: &[String], tree: &UseTree, exported: bool) {
        let is_inside = self.module != self.file;
        let mut bind = |path: Module, name: String| match self.absolute(&path) {
            // A module inside a file has its own names.
            Some(path) if is_inside => self.paths.push(path),
            None if is_inside => {}
            Some(path) => drop(self.bound.insert(name, Bound { path, exported })),
            None => drop(self.external.insert(name)),
        };
        match tree {
            UseTree::Path(path) => {
                self.add_use(&[before, &[path.ident.to_string()]].concat(), &path.tree, exported);
            }
            UseTree::Name(name) if name.ident == "self" => {
                bind(before.to_vec(), before.last().cloned().unwrap_or_default());
            }
            UseTree::Name(name) => bind([before, &[name.ident.to_string()]].concat(), name.ident.to_string()),
            UseTree::Rename(rename) => {
                bind([before, &[rename.ident.to_string()]].concat(), rename.rename.to_string());
            }
            UseTree::Glob(_) => self.globs.extend(self.absolute(before)),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_use(before, tree, exported)),
        }
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            self.module.push(module.ident.to_string());
            visit::visit_item_mod(self, module);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.add_use(&[], &item.tree, !matches!(item.vis, Visibility::Inherited));
    }

    /// This only restricts visibility and names nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.first.extend(names.first().cloned());
        // A name alone is bound by a `use`, or is no module's.
        if names.len() > 1 {
            self.paths.extend(self.absolute(&names));
        }
        visit::visit_path(self, path);
    }
}

/// A circle, from a file to itself.
fn circle(needs: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<String>> {
    let (mut done, mut way) = (BTreeSet::new(), vec![]);
    needs.keys().find_map(|file| follow(needs, file, &mut way, &mut done))
}

fn follow<'a>(
    needs: &'a BTreeMap<Module, BTreeSet<Module>>,
    file: &'a Module,
    way: &mut Vec<&'a Module>,
    done: &mut BTreeSet<&'a Module>,
) -> Option<Vec<String>> {
    if let Some(start) = way.iter().position(|before| *before == file) {
        let name = |file: &&Module| if file.is_empty() { "(root)".to_owned() } else { file.join("::") };
        return Some(way[start..].iter().chain([&file]).map(name).collect());
    }
    if done.contains(file) {
        return None;
    }
    way.push(file);
    let found = needs[file].iter().find_map(|needed| follow(needs, needed, way, done));
    way.pop();
    done.insert(file);
    found
}
