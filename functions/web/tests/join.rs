//! Joining the modules of the page.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../build/join.rs"]
mod join;
#[path = "../build/tokens.rs"]
mod tokens;

use join::{Joined, join_modules, join_styles};

fn joined(files: &[(&str, &str)]) -> Result<Joined, String> {
    let sources = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    join_modules(&sources, "js/main.js")
}

fn fault(files: &[(&str, &str)]) -> String {
    joined(files).expect_err("a fault")
}

#[test]
fn modules_follow_those_that_they_import() {
    let all = joined(&[
        (
            "js/main.js",
            "import { a } from './a.js';\nimport {\n  b,\n  c,\n} from './views/b.js';\n\nconst main = a + b + c;\n",
        ),
        ("js/a.js", "import { b } from './views/b.js';\nexport const a = b;\n"),
        (
            "js/views/b.js",
            "import { d } from '../d.js';\nexport const b = 1,\n  c = d;\nexport async function e() {}\n",
        ),
        ("js/d.js", "/** A number. */\nexport const d = 4;\nexport class F {}\nexport function* g() {}\n"),
        ("js/old.js", "export const old = 1;\n"),
    ])
    .unwrap();
    assert_eq!(
        all.script,
        "// js/d.js\nconst d= 4;\nclass F{}\nfunction* g(){}\n\
         // js/views/b.js\nconst b= 1,\nc=d;\nasync function e(){}\n\
         // js/a.js\nconst a=b;\n\
         // js/main.js\nconst main=a + b + c;\n"
    );
    assert_eq!(all.unused, ["js/old.js"]);
}

#[test]
fn what_looks_like_code_in_texts_is_text() {
    let text = r#"const one = "import x from 'y'; `";
const two = `export default ${[1].map((n) => `${n} {`).join('}')}
import z from 'z';
const one = 2;
`;
const three = /[/"`]export {\/"/g.test(two) ? 4 / 2 / 1 : one;
// import a from 'a'; `
/* export default 1; */
const four = { import: 1, export: 2 };
four.import = four.export;
function five() {
  const one = 3;
  return /}/.exec(one);
}
"#;
    let all = joined(&[("js/main.js", text)]).unwrap();
    let code = r#"const one="import x from 'y'; `";
const two= `export default ${[1].map((n)=> `${n} {`).join('}')}
import z from 'z';
const one = 2;
`;
const three= /[/"`]export {\/"/g.test(two)? 4 / 2 / 1 :one;
const four={import: 1,export: 2 };
four.import=four.export;
function five(){
const one= 3;
return /}/.exec(one);
}
"#;
    assert_eq!(all.script, format!("// js/main.js\n{code}"));
}

#[test]
fn comments_stay_behind_and_lines_stay_lines() {
    let text = "/** A. */\nconst a = 1; // one\n\n\n/*\n * b\n */\nconst b = a /* two */ + 1,\n  c = a/**/+b;\nconst d = `\n  // no comment ${/* e */ b}\n`;\n";
    let expected = "// js/main.js\nconst a= 1;\nconst b=a + 1,\nc=a +b;\nconst d= `\n  // no comment ${ b}\n`;\n";
    assert_eq!(joined(&[("js/main.js", text)]).unwrap().script, expected);
}

#[test]
fn circles_run_as_in_a_browser() {
    let all = joined(&[
        ("js/main.js", "import { a } from './a.js';\na();\n"),
        ("js/a.js", "import { b } from './b.js';\nexport function a() {\n  return b();\n}\n"),
        ("js/b.js", "import { a } from './a.js';\nexport function b() {\n  return a;\n}\n"),
    ]);
    let script = all.unwrap().script;
    let at = |text: &str| script.find(text).unwrap();
    assert!(at("js/b.js") < at("js/a.js") && at("js/a.js") < at("js/main.js"), "{script}");
}

#[test]
fn a_part_is_a_script_of_its_own_that_takes_the_rest_from_the_first() {
    let main = "import { a } from './a.js';\nconst main = a;\nfunction later() {\n  return import('./view.js');\n}\n";
    let a = "export const a = 1;\nexport const b = 2;\nexport const unasked = 3;\n";
    let view = "import { b, a } from './a.js';\nimport { c } from './view/c.js';\nexport function show() {\n  return a + b + c;\n}\n";
    let c = "import { a } from '../a.js';\nexport const c = a;\n";
    let all = joined(&[("js/main.js", main), ("js/a.js", a), ("js/view.js", view), ("js/view/c.js", c)]).unwrap();
    assert_eq!(
        all.script,
        "// js/a.js\nconst a= 1;\nconst b= 2;\nconst unasked= 3;\n\
         // js/main.js\nconst main=a;\nfunction later(){\nreturn import('./view.js');\n}\n\
         export{a,b};\n"
    );
    assert_eq!(all.parts.keys().collect::<Vec<_>>(), ["view.js"]);
    assert_eq!(
        all.parts["view.js"],
        "import{a,b}from'./app.js';\n\
         // js/view/c.js\nconst c=a;\n\
         // js/view.js\nfunction show(){\nreturn a + b + c;\n}\n\
         export{show};\n"
    );
    assert!(all.unused.is_empty(), "{:?}", all.unused);
}

#[test]
fn a_module_runs_once_whatever_loads_it() {
    let main = "const main = () => [import('./b.js'), import('./c.js')];\n";
    let (own, taking) = ("export const x = 1;\n", "import { x } from './x.js';\nexport const NAME = x;\n");
    let shared = |name: &str| taking.replace("NAME", name);
    let files = [("js/main.js", main), ("js/x.js", own), ("js/b.js", &shared("b")), ("js/c.js", &shared("c"))];
    assert_eq!(fault(&files), "js/x.js: it is in two parts: import it in a module of the first script");
    let both = format!("import {{ x }} from './x.js';\n{main}");
    let all = joined(&[("js/main.js", &both), files[1], files[2], files[3]]).unwrap();
    assert!(all.script.ends_with("export{x};\n"), "{}", all.script);
    assert!(all.parts.values().all(|part| !part.contains("const x")), "{:?}", all.parts);

    let imported = "import { b } from './b.js';\nconst main = () => [b, import('./b.js')];\n";
    assert_eq!(
        fault(&[("js/main.js", imported), ("js/b.js", "export const b = 1;\n")]),
        "js/b.js: a module that is loaded later is not imported too"
    );
    assert_eq!(
        fault(&[("js/main.js", "const main = () => import('./no.js');\n")]),
        "js/main.js: it imports js/no.js, which is not there"
    );
    let again = "export const b = () => import('./c.js');\n";
    assert_eq!(
        fault(&[("js/main.js", "const main = () => import('./b.js');\n"), ("js/b.js", again), ("js/c.js", "")]),
        "js/b.js: a part loads no other part"
    );
}

#[test]
fn what_cannot_be_joined_is_refused_with_its_place() {
    let form = "write `import { a, b } from './x.js';`: nothing else is joined";
    let part = "a part is a module of `js/` that another one there loads, as import('./x.js')";
    let before = "write `export` before a declaration with a name: no default, list or `from`";
    for (text, expected) in [
        ("\nimport a from './a.js';", format!("2: {form}")),
        ("import './a.js';", format!("1: {form}")),
        ("import * as a from './a.js';", format!("1: {form}")),
        ("import { a as b } from './a.js';", format!("1: {form}")),
        ("import { a } from './a.js'\nconst b = 1;", format!("1: {form}")),
        ("const b = await import('../a.js');", format!("1: {part}")),
        ("const b = await import('./views/a.js');", format!("1: {part}")),
        ("const b = await import(name);", format!("1: {part}")),
        ("const b = await import('./a.js', {});", format!("1: {part}")),
        ("const b = import.meta.url;", format!("1: {form}")),
        ("import { a } from 'a';", "1: a module is imported by its relative path, as './x.js'".to_owned()),
        ("export default 1;", format!("1: {before}")),
        ("const b = 1;\nexport { b };", format!("2: {before}")),
        ("export * from './a.js';", format!("1: {before}")),
        (
            "const { b } = {};",
            "1: a top-level declaration has plain names: take the parts of a value one by one".to_owned(),
        ),
        ("const b = `${1}", "1: a template is not closed".to_owned()),
        ("function b() {\n", "1: `{` is not closed".to_owned()),
        ("const b = 'x\n'", "1: `'` is not closed".to_owned()),
        (
            "const history = 1;",
            "1: `history` would hide the browser's own from all modules: choose another name".to_owned(),
        ),
    ] {
        let others = ("js/a.js", "export const a = 1;\n");
        assert_eq!(fault(&[("js/main.js", text), others]), format!("js/main.js:{expected}"), "{text}");
    }
    assert_eq!(
        fault(&[("js/main.js", "import { a } from './no.js';")]),
        "js/main.js: it imports js/no.js, which is not there"
    );
    assert_eq!(
        fault(&[("js/main.js", "import { b } from './a.js';"), ("js/a.js", "export const a = 1;\nconst b = 2;\n")]),
        "js/main.js: js/a.js exports no `b`"
    );
    assert_eq!(fault(&[("js/a.js", "")]), "js/main.js: there is no such file");
}

#[test]
fn a_top_level_name_is_unique() {
    let main = "import { a } from './a.js';\nconst b = { a, c: 1 }, d = [1, 2];\nfunction e(a, b) {}\n";
    for declared in
        ["const b = 1;", "let d;", "class e {}", "async function d() {}", "const x = (d, e) => 1,\n  b = 2;"]
    {
        let other = format!("export const a = 1;\n{declared}\n");
        let fault = fault(&[("js/main.js", main), ("js/a.js", &other)]);
        assert!(fault.contains("is declared in js/a.js too: top-level names are unique"), "{declared}: {fault}");
    }
    let inner = "export function a(b) {\n  const d = b;\n  return { e: d };\n}\n";
    assert!(joined(&[("js/main.js", main), ("js/a.js", inner)]).is_ok());
}

#[test]
fn style_sheets_are_joined_by_name() {
    let sheets = |second: &str| {
        join_styles(&[("css/b.css", second), ("css/a.css", "a {}\n")].map(|(p, t)| (p.to_owned(), t.to_owned())).into())
    };
    assert_eq!(sheets("b {}\n").unwrap(), "/* css/a.css */\na {}\n/* css/b.css */\nb {}\n");
    assert!(sheets("@import 'c.css';").unwrap_err().starts_with("css/b.css: no @import"));
}
