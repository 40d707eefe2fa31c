//! Source maps: uploads as sentry-cli makes them, their limits and their end, and stacks with the original source.

use std::io::{Cursor, Write};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Method, Request, StatusCode};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};
use tally_core::app::role::Role;
use tally_core::source_map::MAX_MAP;
use tally_core::time::{DAY, SECOND};
use tally_service::source_maps::sweep;
use zip::write::SimpleFileOptions;

use crate::erase::erase_app;
use crate::harness::{Reply, Tally, TestApp, assert_problem};

const ID: &str = "216afa31-0255-52e5-a4a2-f739258241b5";
const OTHER_ID: &str = "316afa31-0255-52e5-a4a2-f739258241b5";
const ORGANIZATION: &str = "/api/0/organizations/any";

/// A minified file and its map, by esbuild from `src/checkout.ts`:
/// line 4 of it throws, in `charge`, whose minified name is `g`.
const CODE: &str = "function g(e,r){if(r<=0)throw new RangeError(`cannot charge ${r}`);return e.number.length*r}g({number:\"42\"},-1);\n";

fn map() -> String {
    json!({
        "version": 3,
        "sources": ["../src/checkout.ts"],
        "sourcesContent": ["export function charge(card: { number: string }, amount: number): number {\n  if (amount <= 0) {\n    // nothing to <b>charge</b>\n    throw new RangeError(`cannot charge ${amount}`);\n  }\n  return card.number.length * amount;\n}\ncharge({ number: '42' }, -1);\n"],
        "names": ["charge", "card", "amount"],
        "mappings": "AAAO,SAASA,EAAOC,EAA0BC,EAAwB,CACvE,GAAIA,GAAU,EAEZ,MAAM,IAAI,WAAW,iBAAiBA,CAAM,EAAE,EAEhD,OAAOD,EAAK,OAAO,OAASC,CAC9B,CACAF,EAAO,CAAE,OAAQ,IAAK,EAAG,EAAE",
    })
    .to_string()
}

/// A bundle of files: path, kind, debug id, content.
fn bundle(files: &[(&str, &str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut manifest = serde_json::Map::new();
    // As sentry-cli writes it: places in the zip count from the start of what is before it.
    let mut start = Cursor::new(Vec::new());
    start.write_all(b"SYSB\x02\0\0\0").unwrap();
    let mut inner = zip::ZipWriter::new(start);
    for (path, kind, id, content) in files {
        inner.start_file(format!("files/{path}"), SimpleFileOptions::default()).unwrap();
        inner.write_all(content).unwrap();
        let headers = id.map_or(json!({}), |id| json!({"debug-id": id}));
        let file = json!({"type": kind, "url": format!("~/{path}"), "headers": headers});
        manifest.insert(format!("files/{path}"), file);
    }
    inner.start_file("manifest.json", SimpleFileOptions::default()).unwrap();
    inner.write_all(json!({"files": manifest}).to_string().as_bytes()).unwrap();
    inner.finish().unwrap().into_inner()
}

fn plain_bundle(id: &str) -> Vec<u8> {
    let map = map();
    bundle(&[
        ("app.js", "minified_source", Some(id), CODE.as_bytes()),
        ("app.js.map", "source_map", Some(id), map.as_bytes()),
    ])
}

fn sha1(bytes: &[u8]) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    tally_core::app::key::hex(digest.as_ref())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// A map of little text that takes much memory.
fn heavy_map() -> Vec<u8> {
    let mappings = ",".repeat(4_000_000);
    json!({"version": 3, "sources": [], "names": [], "mappings": mappings}).to_string().into_bytes()
}

struct Uploads<'a> {
    tally: &'a Tally,
    key: String,
    project: String,
}

impl Uploads<'_> {
    async fn call(&self, method: Method, path: &str, media_type: &str, body: Vec<u8>) -> Reply {
        let request = Request::builder().method(method).uri(format!("{ORGANIZATION}/{path}"));
        let request =
            request.header("authorization", format!("Bearer {}", self.key)).header("content-type", media_type);
        self.tally.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn send_parts(&self, parts: &[(&str, &[u8])]) -> Reply {
        let mut body = Vec::new();
        for (name, content) in parts {
            let head = format!(
                "--XX\r\nContent-Disposition: form-data; name=\"file_gzip\"; filename=\"{name}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            body.extend([head.as_bytes(), &gzip(content), b"\r\n"].concat());
        }
        body.extend_from_slice(b"--XX--\r\n");
        self.call(Method::POST, "chunk-upload/", "multipart/form-data; boundary=XX", body).await
    }

    async fn assemble(&self, bundle: &[u8]) -> Reply {
        let chunks: Vec<_> = bundle.chunks(1 << 20).map(sha1).collect();
        let body = json!({"checksum": sha1(bundle), "chunks": chunks, "projects": [self.project], "version": "1.0"});
        self.call(Method::POST, "artifactbundle/assemble/", "application/json", body.to_string().into_bytes()).await
    }

    /// All that sentry-cli does. Returns the state and the detail.
    async fn upload(&self, bundle: &[u8]) -> (String, Value) {
        for chunks in bundle.chunks(3 << 20) {
            let named: Vec<_> = chunks.chunks(1 << 20).map(|chunk| (sha1(chunk), chunk)).collect();
            let named: Vec<_> = named.iter().map(|(name, chunk)| (name.as_str(), *chunk)).collect();
            let sent = self.send_parts(&named).await;
            assert_eq!(sent.status, StatusCode::OK, "{}", sent.json);
        }
        let reply = self.assemble(bundle).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
        (reply.json["state"].as_str().unwrap().to_owned(), reply.json["detail"].clone())
    }
}

async fn admin(tally: &Tally, method: Method, path: &str, body: &Value) -> Reply {
    let token = tally.token(Role::Admin).await;
    tally.call(method, path, ("x-access-token", &token), body.to_string()).await
}

async fn uploads<'a>(tally: &'a Tally, app: &TestApp) -> Uploads<'a> {
    let made = admin(tally, Method::POST, &format!("/apps/{}/keys", app.slug), &json!({"scopes": ["upload"]})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.json);
    let key = made.json["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("tly_up_"), "{key}");
    Uploads { tally, key, project: app.slug.clone() }
}

async fn maps(tally: &Tally, query: &str) -> Value {
    let reply = admin(tally, Method::GET, &format!("/apps/shop/source-maps{query}"), &json!({})).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    reply.json
}

/// Sends an error whose innermost frame is in a minified file. Returns its id.
async fn error(tally: &Tally, app: &TestApp, frames: &Value) -> String {
    let event = json!({"name": "RangeError", "level": "ERROR",
        "stack": [{"type": "RangeError", "value": "cannot charge -1", "frames": frames}]});
    tally.accept(app, &event).await["id"].as_str().unwrap().to_owned()
}

fn frame() -> Value {
    json!({"function": "g", "filename": "app.js", "lineno": 1, "colno": 31, "debug_id": ID})
}

#[tokio::test]
async fn an_uploaded_map_shows_where_a_minified_frame_comes_from() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let uploads = uploads(&tally, &app).await;
    let settings = uploads.call(Method::GET, "chunk-upload/", "", vec![]).await;
    assert_eq!(settings.json["hashAlgorithm"], "sha1");
    assert_eq!(settings.json["url"], "/api/0/organizations/any/chunk-upload/", "without a host");

    let bundle = plain_bundle(ID);
    let before = uploads.assemble(&bundle).await;
    assert_eq!((&before.json["state"], &before.json["missingChunks"]), (&json!("not_found"), &json!([sha1(&bundle)])));
    assert_eq!(uploads.upload(&bundle).await, ("ok".to_owned(), Value::Null));
    let again = uploads.assemble(&bundle).await;
    assert_eq!(again.json["state"], "ok", "whose answer was lost asks again");

    let listed = maps(&tally, "").await;
    let map = &listed["items"][0];
    assert_eq!((&map["debug_id"], &map["file"], &map["release"]), (&json!(ID), &json!("~/app.js"), &json!("1.0")));
    assert_eq!(map["expires_at"], "2027-02-19T10:08:25.123456Z");

    let plain = json!({"function": "run", "filename": "b.js", "lineno": 1});
    let missing = json!({"function": "x", "lineno": 1, "colno": 1, "debug_id": OTHER_ID});
    let outside = json!({"function": "x", "lineno": 99, "colno": 1, "debug_id": ID});
    let id = error(&tally, &app, &json!([frame(), plain, missing, outside])).await;
    let reply = tally.ask(&app, &format!("/events/{id}/stack")).await;
    assert_eq!(reply["maps"], json!({"used": [ID], "missing": [OTHER_ID]}));
    let frames = &reply["stack"][0]["frames"];
    let original = &frames[0]["original"];
    assert_eq!(original["source"], "../src/checkout.ts");
    assert_eq!((&original["function"], &original["line"]), (&json!("charge"), &json!(4)), "{original}");
    assert_eq!(original["context"]["line"], "    throw new RangeError(`cannot charge ${amount}`);");
    let before = json!([
        "export function charge(card: { number: string }, amount: number): number {",
        "  if (amount <= 0) {",
        "    // nothing to <b>charge</b>",
    ]);
    assert_eq!(original["context"]["before"], before);
    assert_eq!(original["context"]["after"][1], "  return card.number.length * amount;");
    assert_eq!((&frames[0]["function"], &frames[0]["colno"]), (&json!("g"), &json!(31)), "the minified place stays");
    assert_eq!((&frames[1], &frames[2]), (&plain, &missing), "nothing is added to them");
    assert_eq!(frames[3]["note"], "the source map has nothing at this place");
    let event = tally.ask(&app, &format!("/events/{id}")).await;
    assert!(event["stack"][0]["frames"][0]["original"].is_null(), "the event stays as it was sent");
}

#[tokio::test]
async fn the_frames_of_sentrys_clients_get_the_debug_ids_of_their_files() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    assert_eq!(uploads(&tally, &app).await.upload(&plain_bundle(ID)).await.0, "ok");
    let event = json!({"event_id": "0123456789abcdef0123456789abcdef", "exception": {"values": [{"type": "RangeError",
        "stacktrace": {"frames": [{"function": "Object.g", "abs_path": "https://shop.example/app.js", "filename": "app.js",
            "lineno": 1, "colno": 31}]}}]},
        "debug_meta": {"images": [{"type": "sourcemap", "code_file": "https://shop.example/app.js",
            "debug_id": ID.to_ascii_uppercase()}]}});
    let sent = format!("{{}}\n{{\"type\":\"event\"}}\n{event}\n");
    let path = format!("/api/1/envelope/?sentry_key={}", app.ingest_key);
    let reply = tally.call(Method::POST, &path, ("x-ingest-key", &app.ingest_key), sent).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.json);
    let id = tally.list(&app, "").await[0]["id"].as_str().unwrap().to_owned();
    let stack = tally.ask(&app, &format!("/events/{id}/stack")).await["stack"].clone();
    assert_eq!(stack[0]["frames"][0]["original"]["function"], "charge", "{stack}");
}

#[tokio::test]
async fn only_who_may_upload_uploads_and_only_for_the_app_of_the_key() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    tally.app("other").await;
    let bundle = plain_bundle(ID);
    let mut uploads = uploads(&tally, &app).await;
    uploads.project = "other".to_owned();
    let refused = uploads.assemble(&bundle).await;
    assert_problem(&refused, 403, &[]);
    assert!(refused.json["detail"].as_str().unwrap().contains("SENTRY_PROJECT=shop"), "{}", refused.json);
    for key in [&app.ingest_key, &app.read_key] {
        let other = Uploads { tally: &tally, key: key.clone(), project: "shop".to_owned() };
        assert_problem(&other.send_parts(&[]).await, 403, &[]);
        assert_problem(&other.assemble(&bundle).await, 403, &[]);
    }
    let anybody = tally.call(Method::GET, &format!("{ORGANIZATION}/chunk-upload/"), ("x-a", "b"), "").await;
    assert_problem(&anybody, 401, &[]);

    // sentry-cli shows the sentence of plain JSON alone.
    let request = Request::get(format!("{ORGANIZATION}/chunk-upload/")).header("user-agent", "sentry-cli/3.8.0");
    let reply = tally.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["content-type"]), (401, &"application/json".parse().unwrap()));
    assert!(reply.json["detail"].as_str().unwrap().contains("SENTRY_AUTH_TOKEN"), "{}", reply.json);

    // An admin's token uploads to the app that the project names; what another one uploaded is not there for it.
    let by_admin = Uploads { tally: &tally, key: tally.token(Role::Admin).await, project: "other".to_owned() };
    uploads.send_parts(&[(&sha1(&bundle), &bundle)]).await;
    assert_eq!(by_admin.assemble(&bundle).await.json["state"], "not_found");
    assert_eq!(by_admin.upload(&bundle).await.0, "ok");
    assert_eq!(maps(&tally, "").await["items"], json!([]), "the other app has it");
    let nowhere = Uploads { project: "nothing".to_owned(), ..by_admin };
    assert_problem(&nowhere.assemble(&bundle).await, 400, &["projects"]);
}

#[tokio::test]
async fn a_map_expires_ninety_days_after_its_last_upload() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let uploads = uploads(&tally, &app).await;
    let bundle = plain_bundle(ID);
    uploads.upload(&bundle).await;
    tally.clock.set(tally.clock.now() + 60 * DAY);
    assert_eq!(uploads.upload(&bundle).await.0, "ok", "renewed");
    let id = error(&tally, &app, &json!([frame()])).await;
    let used = async || tally.ask(&app, &format!("/events/{id}/stack")).await["maps"]["used"].clone();
    tally.clock.set(tally.clock.now() + 90 * DAY + -SECOND);
    assert_eq!(used().await, json!([ID]));
    tally.clock.set(tally.clock.now() + SECOND);
    assert_eq!(used().await, json!([]), "also where a process still has it");
    assert_eq!(maps(&tally, "").await["items"], json!([]));
}

#[tokio::test]
async fn a_bundle_that_cannot_be_used_is_refused_with_what_to_do() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let uploads = uploads(&tally, &app).await;
    let (map, bomb) = (map(), vec![b' '; MAX_MAP + 1]);
    let full = vec![b' '; MAX_MAP];
    let ids: Vec<_> = (0..7).map(|n| format!("{n}16afa31-0255-52e5-a4a2-f739258241b5")).collect();
    let names: Vec<_> = (0..7).map(|n| format!("{n}.js")).collect();
    let mut many: Vec<_> = ids
        .iter()
        .zip(&names)
        .map(|(id, name)| (name.as_str(), "minified_source", Some(id.as_str()), full.as_slice()))
        .collect();
    let maps_of: Vec<_> = (0..7).map(|n| format!("{n}.js.map")).collect();
    many.extend(
        ids.iter().zip(&maps_of).map(|(id, name)| (name.as_str(), "source_map", Some(id.as_str()), map.as_bytes())),
    );
    for (bundle, part) in [
        (b"nonsense".to_vec(), "zip"),
        (bundle(&[("app.js.map", "source_map", None, map.as_bytes())]), "sentry-cli sourcemaps inject"),
        (bundle(&[("app.js", "minified_source", Some(ID), CODE.as_bytes())]), "no source map"),
        (bundle(&[("app.js.map", "source_map", Some(ID), b"nonsense")]), "~/app.js.map is no source map"),
        (bundle(&[("app.js.map", "source_map", Some(ID), &bomb)]), "larger than 32 MB when unpacked"),
        (bundle(&many), "larger than 192 MB when unpacked"),
        (b"PK\x01\x02".repeat(10_001), "more than 10000 files"),
        (
            bundle(&[("app.js.map", "source_map", Some(ID), &heavy_map())]),
            "more than 4000000 mappings: split the bundle",
        ),
    ] {
        let (state, detail) = uploads.upload(&bundle).await;
        assert_eq!(state, "error", "{part}");
        assert!(detail.as_str().unwrap().contains(part), "{detail}");
    }
    assert_eq!(maps(&tally, "").await["items"], json!([]), "none of them left anything");

    let chunk = b"chunk".as_slice();
    assert_problem(&uploads.send_parts(&[(&sha1(b"other"), chunk)]).await, 400, &["filename"]);
    assert_problem(&uploads.send_parts(&[("../../x", chunk)]).await, 400, &["filename"]);
    let unpacked = vec![0; (1 << 20) + 1];
    assert_problem(&uploads.send_parts(&[(&sha1(&unpacked), &unpacked)]).await, 413, &[]);
    let name = sha1(chunk);
    assert_problem(&uploads.send_parts(&[(name.as_str(), chunk); 4]).await, 413, &[]);
    assert_problem(&uploads.call(Method::POST, "chunk-upload/", "text/plain", vec![]).await, 415, &[]);
    for body in ["", "{}", r#"{"checksum": "x", "chunks": ["../x"], "projects": ["shop"]}"#] {
        let reply = uploads.call(Method::POST, "artifactbundle/assemble", "application/json", body.into()).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{body}: {}", reply.json);
    }
    let too_many = json!({"checksum": name, "chunks": vec![name; 65], "projects": ["shop"]}).to_string();
    let reply = uploads.call(Method::POST, "artifactbundle/assemble", "application/json", too_many.into()).await;
    assert!(reply.json["detail"].as_str().unwrap().contains("64 MB"), "{}", reply.json);
}

#[tokio::test]
async fn an_app_has_a_bounded_number_of_maps_and_bytes() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    let uploads = uploads(&tally, &app).await;
    let id = tally.stored_app(&app).await.id;
    let put = async |n: usize, bytes: u64| {
        let map = tally_store::SourceMapItem {
            debug_id: tally_core::source_map::DebugId::parse(&format!("{n:032x}")).unwrap(),
            file: "a.js".to_owned(),
            bytes,
            unpacked: 1,
            release: None,
            uploaded_at: tally.clock.now(),
        };
        tally.context.store.put_source_map(&id, &map).await.unwrap();
    };
    put(0, 1 << 30).await;
    let (state, detail) = uploads.upload(&plain_bundle(ID)).await;
    assert!(state == "error" && detail.as_str().unwrap().contains("1024 MB"), "{detail}");
    for n in 0..2_000 {
        put(n, 1).await;
    }
    let (state, detail) = uploads.upload(&plain_bundle(ID)).await;
    assert!(state == "error" && detail.as_str().unwrap().contains("2001 source maps"), "{detail}");
    // One that is there already takes no room.
    assert_eq!(uploads.upload(&plain_bundle(&format!("{:032x}", 7))).await.0, "ok");

    let (mut seen, mut next) = (0, String::new());
    loop {
        let page = maps(&tally, &format!("?limit=900{next}")).await;
        seen += page["items"].as_array().unwrap().len();
        match page["next"].as_str() {
            Some(after) => next = format!("&next={after}"),
            None => break,
        }
    }
    assert_eq!(seen, 2_000);
}

#[tokio::test]
async fn who_may_not_see_data_sees_no_stack_and_who_may_not_change_deletes_no_map() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    uploads(&tally, &app).await.upload(&plain_bundle(ID)).await;
    let id = error(&tally, &app, &json!([frame()])).await;
    let path = format!("/apps/shop/events/{id}/stack");
    for (bounds, status) in [
        (json!({"hide": ["people"]}), 200),
        (json!({"hide": ["data"]}), 403),
        (json!({"statistics_only": true}), 403),
        (json!({"filter": {"level": "ERROR"}}), 200),
        (json!({"filter": {"level": "INFO"}}), 404),
    ] {
        let mut body = bounds.clone();
        body["scopes"] = json!(["read"]);
        let key = admin(&tally, Method::POST, "/apps/shop/keys", &body).await.json["key"].as_str().unwrap().to_owned();
        let reply = tally.call(Method::GET, &path, ("x-read-key", &key), "").await;
        assert_eq!(reply.status.as_u16(), status, "{bounds}: {}", reply.json);
    }
    let reader = tally.token(Role::Reader).await;
    let list = tally.call(Method::GET, "/apps/shop/source-maps", ("x-access-token", &reader), "").await;
    assert_eq!(list.json["items"][0]["debug_id"], ID, "{}", list.json);
    let delete = format!("/apps/shop/source-maps/{ID}");
    assert_problem(&tally.call(Method::DELETE, &delete, ("x-access-token", &reader), "").await, 403, &[]);
    assert_eq!(admin(&tally, Method::DELETE, &delete, &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_problem(&admin(&tally, Method::DELETE, &delete, &json!({})).await, 404, &[]);
    let stack = tally.ask(&app, &format!("/events/{id}/stack")).await;
    assert_eq!(stack["maps"], json!({"used": [], "missing": [ID]}), "also where a process still has it");
    let bare = tally.accept(&app, &json!({"name": "no stack"})).await["id"].as_str().unwrap().to_owned();
    assert_problem(&tally.get(&app, &format!("/events/{bare}/stack")).await, 404, &[]);
    assert_problem(&tally.get(&app, "/events/x/stack").await, 404, &[]);
}

#[tokio::test]
async fn a_broken_file_leaves_the_frame_as_it_is() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    uploads(&tally, &app).await.upload(&plain_bundle(ID)).await;
    let id = error(&tally, &app, &json!([frame()])).await;
    let file = tally.maps.path().join("maps").join("shop").join(ID);
    std::fs::write(&file, b"nonsense").unwrap();
    let stack = tally.ask(&app, &format!("/events/{id}/stack")).await;
    let shown = &stack["stack"][0]["frames"][0];
    assert_eq!(shown["note"], "its source map cannot be read: upload it again", "{stack}");
    // An earlier version has stored it.
    let heavy = heavy_map();
    let head = json!({"map": heavy.len(), "code": 0}).to_string();
    std::fs::write(&file, gzip(&[head.as_bytes(), b"\n", &heavy].concat())).unwrap();
    let stack = tally.ask(&app, &format!("/events/{id}/stack")).await;
    let shown = &stack["stack"][0]["frames"][0];
    assert_eq!(shown["note"], "its source map is too large to be shown: split the bundle in your build", "{stack}");
    std::fs::remove_file(&file).unwrap();
    let stack = tally.ask(&app, &format!("/events/{id}/stack")).await;
    assert_eq!(stack["maps"]["missing"], json!([ID]));
}

#[tokio::test]
async fn an_app_takes_its_maps_with_it() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    uploads(&tally, &app).await.upload(&plain_bundle(ID)).await;
    let maps = tally.maps.path().join("maps").join("shop");
    // Of an upload that ended before it was known.
    std::fs::write(maps.join(OTHER_ID), b"source").unwrap();
    let chunks = tally.maps.path().join("chunks").join("shop");
    assert!(maps.join(ID).exists() && chunks.exists() && tally.contents().await.contains(ID));
    erase_app(&mut tally).await;
    assert!(!maps.exists() && !chunks.exists() && !tally.contents().await.contains(ID));
}

#[tokio::test]
async fn a_laptop_removes_what_has_expired_also_if_nobody_uploads_again() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    uploads(&tally, &app).await.upload(&plain_bundle(ID)).await;
    let folder = tally.maps.path();
    let old = |path: String| {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"source").unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(25)).unwrap();
        path
    };
    let kept = old(format!("maps/shop/{ID}"));
    let gone = [format!("maps/shop/{OTHER_ID}"), format!("maps/other/{ID}"), "chunks/~admins/a".to_owned()].map(old);
    let fresh = folder.join("chunks/~admins/b");
    std::fs::write(&fresh, b"source").unwrap();
    sweep(&tally.context).await.unwrap();
    assert!(kept.exists() && fresh.exists());
    assert_eq!(gone.map(|path| path.exists()), [false; 3]);
    tally.clock.set(tally.clock.now() + 90 * DAY);
    sweep(&tally.context).await.unwrap();
    assert!(!kept.exists(), "it has expired");
}

#[tokio::test]
async fn of_a_long_stack_a_bounded_number_of_frames_is_looked_up() {
    let tally = Tally::start().await;
    let app = tally.app("shop").await;
    uploads(&tally, &app).await.upload(&plain_bundle(ID)).await;
    let id = error(&tally, &app, &(0..502).map(|_| frame()).collect()).await;
    let stack = tally.ask(&app, &format!("/events/{id}/stack")).await;
    let frames = stack["stack"][0]["frames"].as_array().unwrap();
    assert!(frames[..500].iter().all(|frame| frame["original"]["function"] == "charge"));
    for frame in &frames[500..] {
        assert_eq!(frame["note"], "the stack has more frames than are looked up");
    }
}
