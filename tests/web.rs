//! The page and the files that it loads.

use std::fs;
use std::path::Path;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use http::{HeaderMap, Method, Request, StatusCode};
use serde_json::json;

use crate::harness::{Tally, assert_problem};

/// What a browser sends when it opens a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

async fn get(tally: &Tally, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::get(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let (parts, body) = tally.raw(request.body(Body::empty()).unwrap()).await;
    (parts.status, parts.headers, body)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("", |value| value.to_str().unwrap())
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

/// The addresses that the page loads.
fn loaded(page: &str) -> Vec<String> {
    let parts = page.split(['"', '\'']).filter(|part| part.starts_with("assets/"));
    parts.map(|part| format!("/{part}")).collect()
}

#[tokio::test]
async fn a_browser_gets_the_page_and_everybody_else_json() {
    let tally = Tally::start().await;
    for accept in ["*/*", "application/json", "application/json, text/html", "text/html;q=0.1, */*"] {
        let (status, headers, body) = get(&tally, "/", &[("accept", accept)]).await;
        assert_eq!((status.as_u16(), header(&headers, "content-type")), (200, "application/json"), "{accept}");
        assert!(all(&headers, "vary").contains(&"accept"), "{accept}");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({"name": "tally", "version": env!("CARGO_PKG_VERSION")}));
    }
    assert_problem(&tally.call(Method::GET, "/?app=shop", ("accept", "*/*"), "").await, 400, &["app"]);

    // The state of the page, whatever it is; the page reads it.
    for query in ["", "?app=shop&view=events&level=ERROR,FATAL&name[ne]=x&name[ne]=y", "?%ff", "?sign_in=1&error"] {
        let (status, headers, body) = get(&tally, &format!("/{query}"), &[("accept", BROWSER)]).await;
        assert_eq!((status.as_u16(), header(&headers, "content-type")), (200, "text/html; charset=utf-8"), "{query}");
        assert!(String::from_utf8(body).unwrap().starts_with("<!doctype html>"));
        assert!(["accept", "accept-encoding"].iter().all(|name| all(&headers, "vary").contains(name)));
        for (name, value) in [
            ("cache-control", "no-cache"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-robots-tag", "noindex"),
            (
                "content-security-policy",
                "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri \
                 'none'; form-action 'self'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(all(&headers, name), [value]);
        }
    }
}

#[tokio::test]
async fn the_page_loads_few_files_of_its_version_and_nothing_else() {
    let tally = Tally::start().await;
    let (_, headers, page) = get(&tally, "/", &[("accept", BROWSER)]).await;
    let page = String::from_utf8(page).unwrap();
    let tag = header(&headers, "etag").to_owned();
    let mut files = loaded(&page);
    assert!((2..=4).contains(&files.len()), "{page}");
    assert!(["/app.js", "/app.css"].iter().all(|name| files.iter().any(|file| file.ends_with(name))), "{page}");
    assert!(
        !page.contains("http:") && !page.contains("https:") && !page.contains("=\"/"),
        "links are relative: {page}"
    );
    for (inline, why) in [("<style", "style"), ("style=", "style"), ("<script>", "script"), (" onload", "handler")] {
        assert!(!page.contains(inline), "the policy forbids this {why}");
    }
    // What views load later stands beside the script, and takes the rest of the page from it.
    let script = files.iter().find(|file| file.ends_with("/app.js")).unwrap().clone();
    let text = String::from_utf8(get(&tally, &script, &[]).await.2).unwrap();
    let later: Vec<_> = text.split("import('./").skip(1).filter_map(|rest| Some(rest.split_once('\'')?.0)).collect();
    assert_eq!(later, ["alerts.js", "people.js", "source.js", "errors.js", "settings.js"]);
    for part in later {
        let part = script.replace("app.js", part);
        let text = String::from_utf8(get(&tally, &part, &[]).await.2).unwrap();
        assert!(text.starts_with("import{") && text.contains("}from'./app.js';"), "{text}");
        files.push(part);
    }
    files.extend(
        ["alerts.css", "errors.css", "people.css", "source.css", "web.css"]
            .map(|sheet| script.replace("app.js", sheet)),
    );
    for file in &files {
        let version = file.split('/').nth(2).unwrap();
        assert!(version.len() == 16 && tag.contains(version), "{file}, {tag}");
        let (status, headers, body) = get(&tally, file, &[]).await;
        let kind = match file.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{other}"),
        };
        assert_eq!((status.as_u16(), header(&headers, "content-type")), (200, kind));
        assert_eq!(header(&headers, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&headers, "x-content-type-options"), "nosniff");
        assert!(!body.is_empty() && !headers.contains_key("content-encoding"));

        let (_, headers, gzip) = get(&tally, file, &[("accept-encoding", "gzip, deflate")]).await;
        assert_eq!(header(&headers, "content-encoding"), "gzip");
        assert_eq!(std::io::read_to_string(GzDecoder::new(&*gzip)).unwrap().into_bytes(), body);
        let (_, headers, br) = get(&tally, file, &[("accept-encoding", "gzip, deflate, br, zstd")]).await;
        assert_eq!(header(&headers, "content-encoding"), "br");
        assert!(br.len() < body.len() && br.len() <= gzip.len());

        // A page of an older version asks for files that are no more.
        let other = file.replace(version, "0123456789abcdef");
        let (status, headers, _) = get(&tally, &other, &[]).await;
        assert_eq!((status.as_u16(), header(&headers, "cache-control")), (404, "no-store"));
        for nothing in
            ["index.html", "js/main.js", "tsconfig.json", "biome.json", "..%2Fapp.js", "%2E%2E/app.js", "app"]
        {
            let path = format!("/assets/{version}/{nothing}");
            assert_eq!(get(&tally, &path, &[]).await.0, StatusCode::NOT_FOUND, "{nothing}");
        }
    }
}

#[tokio::test]
async fn what_a_browser_has_is_not_sent_again() {
    let tally = Tally::start().await;
    let (_, headers, page) = get(&tally, "/", &[("accept", BROWSER)]).await;
    let tag = header(&headers, "etag").to_owned();
    let file = loaded(&String::from_utf8(page).unwrap()).remove(0);
    for path in ["/?app=shop", &file] {
        for known in [tag.clone(), format!("\"x\", {tag}"), tag.replace("W/", ""), "*".to_owned()] {
            let (status, headers, body) = get(&tally, path, &[("accept", BROWSER), ("if-none-match", &known)]).await;
            assert_eq!((status.as_u16(), body.len(), header(&headers, "etag")), (304, 0, &*tag), "{path} {known}");
            assert!(all(&headers, "vary").contains(&"accept-encoding"));
        }
        let (status, ..) = get(&tally, path, &[("accept", BROWSER), ("if-none-match", "W/\"0\"")]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
    }
    // The JSON is of no version.
    let (status, headers, _) = get(&tally, "/", &[("if-none-match", "*")]).await;
    assert_eq!((status, headers.contains_key("etag")), (StatusCode::OK, false));
}

#[tokio::test]
async fn on_lambda_a_compressed_file_is_returned_whole() {
    let tally = Tally::start().await;
    let (_, _, page) = get(&tally, "/", &[("accept", BROWSER)]).await;
    let script = loaded(&String::from_utf8(page).unwrap()).into_iter().find(|file| file.ends_with("/app.js")).unwrap();
    let plain = get(&tally, &script, &[]).await.2;
    let event = json!({
        "version": "2.0", "rawPath": script, "rawQueryString": "", "headers": {"accept-encoding": "gzip"},
        "requestContext": {"http": {"method": "GET", "path": script}}, "isBase64Encoded": false,
    });
    let reply = tally.on_lambda(event).await;
    assert_eq!((&reply["statusCode"], &reply["isBase64Encoded"]), (&json!(200), &json!(true)));
    let body = STANDARD.decode(reply["body"].as_str().unwrap()).unwrap();
    assert_eq!(std::io::read_to_string(GzDecoder::new(&*body)).unwrap().into_bytes(), plain);
}

#[tokio::test]
async fn the_page_takes_no_other_method() {
    let tally = Tally::start().await;
    for path in ["/", "/assets/0123456789abcdef/app.js"] {
        let reply = tally.call(Method::POST, path, ("accept", BROWSER), "").await;
        assert_problem(&reply, 405, &[]);
        assert_eq!(reply.headers["allow"], "GET, HEAD");
    }
    let request = Request::head("/").header("accept", BROWSER).body(Body::empty()).unwrap();
    let (parts, body) = tally.raw(request).await;
    assert_eq!((parts.status.as_u16(), body.len()), (200, 0));
}

/// The function holds no right to a table, so it must need none.
#[test]
fn the_page_needs_no_store() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/web");
    let manifest = fs::read_to_string(sources.join("Cargo.toml")).unwrap();
    assert!(!manifest.contains("tally-store"));
    for file in fs::read_dir(sources.join("src")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("Context"), "it would make the store a part of the function");
    }
}
