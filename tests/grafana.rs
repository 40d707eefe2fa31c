//! The dashboard for Grafana in docs/grafana: Grafana itself is not here, so each query of it is sent as its data source Infinity
//! would send it, and each column is looked for in the rows.

use serde_json::{Value, json};

use crate::harness::{NOW, Tally, at};

const DASHBOARD: &str = include_str!("../docs/grafana/dashboards/tally.json");

/// What Grafana puts in place of its variables.
fn filled(text: &str) -> String {
    let now = at(NOW);
    text.replace("${app}", "shop")
        .replace("${__from:date:iso}", &(now - tally_core::time::DAY).to_string())
        .replace("${__to:date:iso}", &now.to_string())
}

/// The value at a path of gjson, which the data source finds columns with: a dot goes a level down.
fn selected<'a>(row: &'a Value, selector: &str) -> Option<&'a Value> {
    selector.split('.').try_fold(row, |value, part| value.get(part))
}

#[tokio::test]
async fn every_query_of_the_dashboard_finds_every_column() {
    let mut tally = Tally::start().await;
    let app = tally.app("shop").await;
    let levels = ["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
    let mut events: Vec<_> = levels
        .iter()
        .enumerate()
        .map(|(n, level)| {
            json!({"name": "order", "level": level, "message": format!("order {n} failed"), "user_id": "ann", "session_id": "s",
                "timestamp": format!("2026-11-21T0{n}:10:00Z")})
        })
        .collect();
    events.push(json!({"name": "visit", "timestamp": "2026-11-21T06:00:00Z"}));
    tally.accept(&app, &json!(events)).await;
    tally.drain().await;

    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut queries = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            let params = target["url_options"]["params"].as_array().unwrap().iter();
            let params = params.map(|param| {
                let [key, value] = ["key", "value"].map(|part| filled(param[part].as_str().unwrap()));
                (key, value)
            });
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
            let path = filled(target["url"].as_str().unwrap());
            let rows = tally.ask(&app, &format!("{}?{query}", path.strip_prefix("/apps/shop").unwrap())).await;
            let rows = rows.as_array().unwrap_or_else(|| panic!("{title}: {rows}"));
            for column in target["columns"].as_array().unwrap() {
                let selector = column["selector"].as_str().unwrap();
                let values: Vec<_> =
                    rows.iter().filter_map(|row| selected(row, selector)).filter(|v| !v.is_null()).collect();
                assert!(!values.is_empty(), "{title}: no row has {selector}: {rows:?}");
                for value in values {
                    let fits = match column["type"].as_str().unwrap() {
                        "timestamp" => {
                            value.as_str().is_some_and(|text| text.parse::<tally_core::time::Timestamp>().is_ok())
                        }
                        "number" => value.is_number(),
                        "string" => value.is_string(),
                        other => panic!("{title}: the type {other}"),
                    };
                    assert!(fits, "{title}: {selector} is {value}");
                }
            }
            queries += 1;
        }
    }
    assert_eq!(queries, 9);
}
