//! Joins ES modules to one script. They keep to a plain form, which browsers run as it is: named imports and exports, one
//! `import { a, b } from './x.js';` a statement, and names of top-level declarations that no other module has. Comments and
//! indentation stay behind: they are a third of what would be sent.
//!
//! What a view alone needs is a part, a script of its own: `import('./errors.js')` in a module loads the module `js/errors.js`, with
//! all that it needs and the first script has not. Parts and modules stand in one folder, so the same path works joined and unjoined.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{Kind, Token, line, tokens};

/// Texts by their path in `web/`.
pub(crate) type Sources = BTreeMap<String, String>;

/// The script, its parts, and the modules that are in nothing.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) script: String,
    /// The scripts that are loaded later, by their file names.
    pub(crate) parts: BTreeMap<String, String>,
    pub(crate) unused: Vec<String>,
}

/// What parts import the script as: it stands beside them.
pub(crate) const SCRIPT: &str = "app.js";

/// Globals of browsers that a top-level name would hide from every module of the script.
const GLOBALS: &str = "Array Blob Boolean CSS Date Document Element Error Event File FormData Function Headers Image Infinity \
    Intl JSON Map Math NaN Node Notification Number Object Option Promise Proxy Range Reflect RegExp Request Response Selection \
    Set String Symbol Text URL URLSearchParams WeakMap WeakSet addEventListener alert atob blur btoa caches cancelAnimationFrame \
    clearInterval clearTimeout close closed confirm console crypto customElements dispatchEvent document event external fetch find \
    focus frames getComputedStyle getSelection globalThis history innerHeight innerWidth isFinite isNaN length localStorage \
    location matchMedia menubar moveBy moveTo name navigator open opener origin parent parseFloat parseInt performance \
    postMessage print prompt queueMicrotask removeEventListener reportError requestAnimationFrame resizeBy resizeTo screen scroll \
    scrollBy scrollTo scrollX scrollY self sessionStorage setInterval setTimeout status stop structuredClone toolbar top \
    undefined window";

/// A module, read.
struct Module<'a> {
    /// What it imports: the path of each module, and the names.
    imports: Vec<(String, Vec<&'a str>)>,
    /// The modules that it loads later.
    loads: Vec<String>,
    exports: BTreeSet<&'a str>,
    /// The names of its top-level declarations, and the line of each.
    declares: Vec<(&'a str, usize)>,
    /// Without the import statements, the words `export`, comments and indentation.
    text: String,
}

/// Joins the modules that `main` needs, each after those that it imports, as a browser runs them.
///
/// # Errors
/// What is wrong, one line for each fault, each beginning with the path and line.
pub(crate) fn join_modules(sources: &Sources, main: &str) -> Result<Joined, String> {
    let mut modules: BTreeMap<&str, Module> = BTreeMap::new();
    let mut faults = vec![];
    for (path, source) in sources {
        match read(path, source) {
            Ok(module) => drop(modules.insert(path, module)),
            Err(fault) => faults.push(format!("{path}:{fault}")),
        }
    }
    if !sources.contains_key(main) {
        faults.push(format!("{main}: there is no such file"));
    }
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, module) in &modules {
        let loads = module.loads.iter().map(|from| (from, &[][..]));
        for (from, names) in module.imports.iter().map(|(from, names)| (from, &names[..])).chain(loads) {
            let Some(imported) = modules.get(from.as_str()) else {
                if !sources.contains_key(from) {
                    faults.push(format!("{path}: it imports {from}, which is not there"));
                }
                continue;
            };
            let missing = names.iter().filter(|name| !imported.exports.contains(*name));
            faults.extend(missing.map(|name| format!("{path}: {from} exports no `{name}`")));
        }
        for (name, line) in &module.declares {
            if GLOBALS.split_whitespace().any(|global| global == *name) {
                faults.push(format!(
                    "{path}:{line}: `{name}` would hide the browser's own from all modules: choose another name"
                ));
            }
            if let Some(other) = owners.insert(name, path) {
                faults.push(format!(
                    "{path}:{line}: `{name}` is declared in {other} too: top-level names are unique over all modules"
                ));
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    let mut seen = BTreeSet::new();
    let mut order = vec![];
    visit(&modules, main, &mut seen, &mut order);
    let parts = join_parts(&modules, &order)?;
    let unused = modules.keys().filter(|path| !seen.contains(*path) && !parts.modules.contains(*path));
    let unused = unused.map(|path| (*path).to_owned()).collect();
    Ok(Joined { script: joined(&modules, &order) + &exported(&parts.lent), parts: parts.scripts, unused })
}

/// What modules of the script load later.
struct Parts<'a> {
    /// By their file names.
    scripts: BTreeMap<String, String>,
    /// The modules in them.
    modules: BTreeSet<&'a str>,
    /// The names that they take of the first script.
    lent: BTreeSet<&'a str>,
}

fn join_parts<'a>(modules: &'a BTreeMap<&'a str, Module<'a>>, script: &[&'a str]) -> Result<Parts<'a>, String> {
    let mut parts = Parts { scripts: BTreeMap::new(), modules: BTreeSet::new(), lent: BTreeSet::new() };
    let entries: BTreeSet<&str> = script.iter().flat_map(|path| &modules[path].loads).map(String::as_str).collect();
    for entry in entries {
        if script.contains(&entry) {
            return Err(format!("{entry}: a module that is loaded later is not imported too"));
        }
        let mut order = vec![];
        visit(modules, entry, &mut script.iter().copied().collect(), &mut order);
        let mut taken = BTreeSet::new();
        for path in &order {
            if !modules[path].loads.is_empty() {
                return Err(format!("{path}: a part loads no other part"));
            }
            // Loaded twice, a module would have its state twice.
            if !parts.modules.insert(path) {
                return Err(format!("{path}: it is in two parts: import it in a module of the first script"));
            }
            let of_script = modules[path].imports.iter().filter(|(from, _)| script.contains(&from.as_str()));
            taken.extend(of_script.flat_map(|(_, names)| names.iter().copied()));
        }
        let names: Vec<_> = taken.iter().copied().collect();
        let import =
            if names.is_empty() { String::new() } else { format!("import{{{}}}from'./{SCRIPT}';\n", names.join(",")) };
        let text = import + &joined(modules, &order) + &exported(&modules[entry].exports);
        parts.scripts.insert(entry.trim_start_matches("js/").to_owned(), text);
        parts.lent.extend(taken);
    }
    Ok(parts)
}

fn joined(modules: &BTreeMap<&str, Module>, order: &[&str]) -> String {
    let parts: Vec<_> = order.iter().map(|path| format!("// {path}\n{}\n", modules[path].text)).collect();
    parts.concat()
}

fn exported(names: &BTreeSet<&str>) -> String {
    let names: Vec<_> = names.iter().copied().collect();
    if names.is_empty() { String::new() } else { format!("export{{{}}};\n", names.join(",")) }
}

/// Joins style sheets in the order of their names.
///
/// # Errors
/// Where one imports another.
pub(crate) fn join_styles(sources: &Sources) -> Result<String, String> {
    if let Some((path, _)) = sources.iter().find(|(_, text)| text.contains("@import")) {
        return Err(format!("{path}: no @import, since the sheets are joined in the order of their names"));
    }
    let parts: Vec<_> = sources.iter().map(|(path, text)| format!("/* {path} */\n{}\n", text.trim())).collect();
    Ok(parts.concat())
}

fn visit<'a>(
    modules: &'a BTreeMap<&'a str, Module<'a>>,
    path: &'a str,
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<&'a str>,
) {
    if seen.insert(path) {
        for (needed, _) in &modules[path].imports {
            visit(modules, needed, seen, order);
        }
        order.push(path);
    }
}

/// Reads one module. An error begins with its line.
fn read<'a>(path: &str, source: &'a str) -> Result<Module<'a>, String> {
    let all = tokens(source)?;
    let mut module =
        Module { imports: vec![], loads: vec![], exports: BTreeSet::new(), declares: vec![], text: String::new() };
    let mut kept = vec![];
    let mut rest = &all[..];
    while let Some((token, after)) = rest.split_first() {
        let fault = |text: &str| Err(format!("{}: {text}", line(source, token.start)));
        if token.depth == 0 && begins_statement(&all, token) && declaration(rest).is_some() {
            let declared = names(rest);
            if declared.is_empty() {
                return fault("a top-level declaration has plain names: take the parts of a value one by one");
            }
            module.declares.extend(declared.into_iter().map(|name| (name, line(source, token.start))));
        }
        rest = after;
        match (token.kind, token.text) {
            (Kind::Word, "import") if !is_a_name(&all, token) && after.first().is_some_and(|next| next.text == "(") => {
                let Some(from) = loaded(path, after) else {
                    return fault("a part is a module of `js/` that another one there loads, as import('./x.js')");
                };
                module.loads.push(from);
                kept.push(*token);
            }
            (Kind::Word, "import") if !is_a_name(&all, token) => {
                let Some((names, from, left)) = (token.depth == 0).then(|| import(after)).flatten() else {
                    return fault("write `import { a, b } from './x.js';`: nothing else is joined");
                };
                let Some(from) = resolve(path, from) else {
                    return fault("a module is imported by its relative path, as './x.js'");
                };
                module.imports.push((from, names));
                rest = left;
            }
            (Kind::Word, "export") if token.depth == 0 && !is_a_name(&all, token) => {
                if declaration(after).is_none() {
                    return fault("write `export` before a declaration with a name: no default, list or `from`");
                }
                module.exports.extend(names(after));
            }
            _ => kept.push(*token),
        }
    }
    module.text = written(source, &kept);
    Ok(module)
}

/// Tokens of a source as a text, on the lines on which they stand there: what is between them is white space, comments, and
/// what is left out.
fn written(source: &str, tokens: &[Token]) -> String {
    let mut text = String::with_capacity(source.len());
    let mut last: Option<&Token> = None;
    for token in tokens {
        let between = last.map_or("", |last| &source[last.end()..token.start]);
        if between.contains('\n') {
            text.push('\n');
        } else if !between.is_empty() && last.is_some_and(|last| !stand_apart(last, token)) {
            text.push(' ');
        }
        text.push_str(token.text);
        last = Some(token);
    }
    text
}

/// Whether two tokens need no space between them, which saves 700 bytes of the page. Marks that could become another one, such
/// as `+ +`, keep theirs, and so do a slash, which could begin a comment, and the parts of a template.
fn stand_apart(left: &Token, right: &Token) -> bool {
    let is_plain = |token: &Token| token.kind == Kind::Mark && "(){}[];,:=?<>".contains(token.text);
    let fits = |token: &Token| is_plain(token) || matches!(token.kind, Kind::Word | Kind::Text);
    (is_plain(left) && fits(right)) || (fits(left) && is_plain(right))
}

/// Whether a word is the name of a property: after a dot, or before a colon.
fn is_a_name(all: &[Token], token: &Token) -> bool {
    let at = all.partition_point(|other| other.start < token.start);
    let before = at.checked_sub(1).map(|before| all[before].text);
    before == Some(".") || (token.depth > 0 && all.get(at + 1).is_some_and(|after| after.text == ":"))
}

/// Whether a token can begin a statement: it is the first, or stands after the end of one, or after `export`.
fn begins_statement(all: &[Token], token: &Token) -> bool {
    let at = all.partition_point(|other| other.start < token.start);
    at.checked_sub(1).is_none_or(|before| matches!(all[before].text, ";" | "}" | "export"))
}

/// The kind of the declaration that begins here, if one does.
fn declaration<'a>(all: &[Token<'a>]) -> Option<&'a str> {
    let first = all.first()?;
    match first.text {
        "async" => all.get(1).filter(|next| next.text == "function").map(|next| next.text),
        "function" | "class" | "const" | "let" | "var" => Some(first.text),
        _ => None,
    }
}

/// The names of the declaration that begins here; none where it takes a value apart, or has no name.
fn names<'a>(all: &[Token<'a>]) -> Vec<&'a str> {
    let Some(first) = all.first() else { return vec![] };
    let mut rest = all[1..].iter().skip_while(|token| matches!(token.text, "function" | "*"));
    let mut names = vec![];
    let is_list = matches!(first.text, "const" | "let" | "var");
    loop {
        match rest.next() {
            Some(token) if token.kind == Kind::Word => names.push(token.text),
            _ => return vec![],
        }
        let next = rest.find(|token| token.depth == 0 && matches!(token.text, "," | ";" | "{"));
        // A value may begin with a brace, which stands at depth 0 itself.
        let next = match next {
            Some(token) if token.text == "{" && is_list => {
                rest.find(|token| token.depth == 0 && matches!(token.text, "," | ";"))
            }
            next => next,
        };
        if !is_list || next.is_none_or(|token| token.text != ",") {
            return names;
        }
    }
}

/// What an import statement takes: names, the module, and the tokens after its semicolon.
fn import<'a, 'b>(after: &'b [Token<'a>]) -> Option<(Vec<&'a str>, &'a str, &'b [Token<'a>])> {
    let (brace, mut rest) = after.split_first()?;
    if brace.text != "{" {
        return None;
    }
    let mut names = vec![];
    loop {
        let (token, left) = rest.split_first()?;
        rest = left;
        match (token.kind, token.text) {
            (Kind::Mark, "}") => break,
            (Kind::Word, name) if matches!(rest.first()?.text, "," | "}") => names.push(name),
            (Kind::Mark, ",") => {}
            // `as`
            _ => return None,
        }
    }
    let [from, module, end, left @ ..] = rest else { return None };
    (from.text == "from" && module.kind == Kind::Text && end.text == ";")
        .then(|| (names, module.text.trim_matches(['"', '\'']), left))
}

/// The path of the module that `import('./x.js')` loads. Both stand in `js/`, as their scripts stand in one folder.
fn loaded(importer: &str, after: &[Token]) -> Option<String> {
    let [_, module, end, ..] = after else { return None };
    let is_text = module.kind == Kind::Text && end.text == ")";
    let from = resolve(importer, module.text.trim_matches(['"', '\'']))?;
    let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    (is_text && [importer, &from].iter().all(|path| folder(path).as_deref() == Some("js"))).then_some(from)
}

/// The path of a module that another one imports.
fn resolve(importer: &str, relative: &str) -> Option<String> {
    if !relative.starts_with("./") && !relative.starts_with("../") {
        return None;
    }
    let mut parts: Vec<_> = importer.split('/').collect();
    parts.pop();
    for part in relative.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
