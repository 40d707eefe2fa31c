//! The bodies, held against the documented limits of who receives them, for any text.

use lettre::Address;
use lettre::message::Mailbox;
use proptest::prelude::*;
use serde_json::{Value, json};
use tally_core::time::{MINUTE, Range, Timestamp};

use super::{discord, mail, slack, stable_id, webhook};
use crate::notification::{Example, Kind, Notification, Report, ReportMessage, ReportName};
use crate::post::MAX_BODY;

fn at() -> Timestamp {
    Timestamp::from_seconds(1_795_779_600)
}

fn firing() -> Notification {
    Notification {
        id: "msg_2kX".to_owned(),
        kind: Kind::AlertFiring,
        at: at(),
        app: "shop".to_owned(),
        alert: "01KB".to_owned(),
        name: "Errors of checkout".to_owned(),
        sentence: "ERROR was 25 in 5 min, above 20".to_owned(),
        value: Some(25.0),
        from_none: false,
        threshold: Some(20.0),
        window: Range::new(at() - 5 * MINUTE, at()).ok(),
        url: Some("https://tally.example/?app=shop&level=ERROR".to_owned()),
        chart: Some("https://tally.example/share/k/chart.png".to_owned()),
        examples: vec![Example {
            title: "cart <n> not found".to_owned(),
            url: Some("https://tally.example/?event=1".to_owned()),
            at: at() - MINUTE,
        }],
        report: None,
    }
}

fn reported() -> Notification {
    let report = Report {
        about: "Shop, 26 November".to_owned(),
        since: at() - 24 * 60 * MINUTE,
        until: at(),
        total: Some(12_340),
        previous_total: Some(11_426),
        errors: Some(41),
        previous_errors: Some(47),
        names: vec![
            ReportName { name: "sign up".to_owned(), count: 9_000, previous: Some(0) },
            ReportName { name: "page".to_owned(), count: 3_340, previous: None },
        ],
        messages: vec![ReportMessage { message: "cart <n> not found".to_owned(), level: Some("ERROR"), count: 40 }],
        complete: true,
    };
    let sentence = "Every day at 08:00 (Europe/Berlin).".to_owned();
    Notification {
        kind: Kind::Report,
        sentence,
        value: None,
        from_none: false,
        threshold: None,
        examples: vec![],
        report: Some(report),
        ..firing()
    }
}

/// The characters of a text as the strictest receiver counts them.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} of {value} is a text"))
}

fn assert_length(text: &str, most: usize) {
    assert!(!text.trim().is_empty(), "a text is empty");
    assert!((1..=most).contains(&units(text)), "{} units of at most {most}: {text}", units(text));
}

/// A text object of Slack: at most `most` characters, and nothing in it that Slack would make a link or a mention.
fn assert_slack_text(object: &Value, most: usize) {
    let shown = text(object, "text");
    assert_length(shown, most);
    match text(object, "type") {
        "plain_text" => assert_slack_escaped(shown),
        "mrkdwn" => {
            assert_eq!(object["verbatim"], true);
            let inner = shown.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).expect("one link");
            let (url, label) = inner.split_once('|').expect("a label");
            assert!(url.starts_with("https://") || url.starts_with("http://"), "{url}");
            assert!(label == "Open in Tally" || label.ends_with(" UTC"), "{label}");
            assert_slack_escaped(url);
            assert_slack_escaped(label);
        }
        other => panic!("a text of type {other}"),
    }
}

fn assert_slack_escaped(text: &str) {
    assert!(!text.contains(['<', '>']), "{text}");
    let entities = text.split('&').skip(1);
    for entity in entities {
        assert!(["amp;", "lt;", "gt;"].iter().any(|known| entity.starts_with(known)), "&{entity}");
    }
}

/// <https://docs.slack.dev/reference/block-kit/blocks> and <https://docs.slack.dev/changelog/2018-truncating-really-long-messages>.
fn assert_slack(body: &Value) {
    assert_length(text(body, "text"), 40_000);
    assert_slack_escaped(text(body, "text"));
    assert_eq!((&body["parse"], &body["link_names"], &body["mrkdwn"]), (&json!("none"), &json!(false), &json!(false)));
    let blocks = body["blocks"].as_array().expect("blocks");
    assert!((1..=50).contains(&blocks.len()));
    for block in blocks {
        match text(block, "type") {
            "header" => {
                assert_eq!(block["text"]["type"], "plain_text");
                assert_slack_text(&block["text"], 150);
            }
            "section" => {
                assert!(block["text"].is_object() || block["fields"].is_array(), "{block}");
                if block["text"].is_object() {
                    assert_slack_text(&block["text"], 3_000);
                }
                let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
                assert!(fields.len() <= 10);
                for field in fields {
                    assert_slack_text(field, 2_000);
                }
            }
            "image" => {
                assert_length(text(block, "image_url"), 3_000);
                assert!(text(block, "image_url").starts_with("https://"));
                assert_length(text(block, "alt_text"), 2_000);
            }
            other => panic!("a block of type {other}"),
        }
    }
}

/// What is left of Discord's markdown once each escaped sign is taken out.
fn unescaped(text: &str) -> String {
    let mut rest = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            assert!(
                chars.next().is_some_and(|sign| sign.is_ascii_punctuation()),
                "a backslash that escapes nothing: {text}"
            );
        } else {
            rest.push(c);
        }
    }
    rest
}

/// Text of events in Discord: no markup is left.
fn assert_discord_literal(text: &str) {
    let rest = unescaped(text);
    assert!(!rest.contains(['@', '<', '>', '[', ']', '*', '_', '`', '~', '|', '#', '/', ':']), "{text}");
}

/// <https://docs.discord.com/developers/resources/webhook#execute-webhook> and
/// <https://docs.discord.com/developers/resources/message#embed-object-embed-limits>.
fn assert_discord(body: &Value) {
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
    assert_length(text(body, "content"), 2_000);
    assert_discord_literal(text(body, "content"));
    let embeds = body["embeds"].as_array().expect("embeds");
    assert!(embeds.len() <= 10);
    let mut all = 0;
    for embed in embeds {
        assert_length(text(embed, "title"), 256);
        assert_discord_literal(text(embed, "title"));
        all += units(text(embed, "title"));
        let fields = embed["fields"].as_array().expect("fields");
        assert!(fields.len() <= 25);
        for field in fields {
            assert_length(text(field, "name"), 256);
            assert_length(text(field, "value"), 1_024);
            all += units(text(field, "name")) + units(text(field, "value"));
            match text(field, "value").split_once("\n[Open in Tally](") {
                Some((title, link)) => {
                    assert_discord_literal(title);
                    let link = link.strip_suffix(')').expect("the link ends the field");
                    assert!(link.starts_with("http") && !link.contains(['(', ')', ' ']), "{link}");
                }
                None => assert_discord_literal(text(field, "value")),
            }
        }
        for url in [&embed["url"], &embed["image"]["url"]].into_iter().filter_map(Value::as_str) {
            assert!(url.starts_with("http") && url.len() <= 2_048, "{url}");
        }
        assert!(embed["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')));
        assert!(embed["color"].as_u64().is_some_and(|color| color <= 0xff_ffff));
    }
    assert!(all <= 6_000, "{all} units in all embeds");
}

/// The headers of a message, unfolded; and that there are no others than these.
fn assert_mail(notification: &Notification) {
    let from: Mailbox = "Tally <tally@example.com>".parse().expect("a mailbox");
    let to: [Address; 2] = ["ops@example.com", "dev@example.com"].map(|address| address.parse().expect("an address"));
    let message = mail::message(notification, &from, &to).expect("a message");
    let bytes = message.formatted();
    let text = String::from_utf8(bytes).expect("a message is ASCII");
    assert!(text.is_ascii());
    assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n', '\0'])));
    let (head, _) = text.split_once("\r\n\r\n").expect("a head");
    let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
    let mut names: Vec<_> = head.split("\r\n").map(|line| line.split_once(": ").expect(line).0).collect();
    names.sort_unstable();
    let expected = ["Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"];
    assert_eq!(names, expected, "{head}");
    assert!(head.contains("To: ops@example.com, dev@example.com"), "{head}");
    assert_eq!(message.envelope().to(), to);

    // What stands between the tags of the HTML is text, and the tags are ours.
    let html = mail::html(notification);
    for tag in html.split('<').skip(1) {
        let (tag, rest) = tag.split_once('>').expect("a tag ends");
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        let known = ["!doctype", "html", "body", "p", "strong", "table", "tr", "td", "br", "a", "img"];
        assert!(known.contains(&name), "<{tag}>");
        assert!(tag.matches('"').count() % 2 == 0 && !tag.contains('\''), "<{tag}>");
        assert!(!rest.contains(['>', '"']), "{rest}");
    }
    for line in mail::text(notification).split("\r\n") {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

fn assert_webhook(notification: &Notification) {
    let body = webhook::body(notification);
    assert!(body.len() <= MAX_BODY, "{} bytes", body.len());
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(body["type"], notification.kind.as_str());
    assert!(body["data"]["examples"].as_array().is_some_and(|examples| examples.len() <= Example::MAX));
}

fn assert_all(notification: &Notification) {
    assert_webhook(notification);
    for with_picture in [true, false] {
        let body = slack::body(notification, with_picture);
        assert_slack(&body);
        assert!(body.to_string().len() <= MAX_BODY);
    }
    let body = discord::body(notification, true);
    assert_discord(&body);
    assert!(body.to_string().len() <= MAX_BODY);
    assert_mail(notification);
    let id = stable_id(notification);
    assert!((1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)));
}

#[test]
fn a_webhook_is_what_the_contract_shows() {
    let body: Value = serde_json::from_slice(&webhook::body(&firing())).expect("JSON");
    let expected = json!({
        "type": "alert.firing",
        "timestamp": "2026-11-27T11:40:00Z",
        "data": {
            "app": "shop",
            "alert": "01KB",
            "name": "Errors of checkout",
            "sentence": "ERROR was 25 in 5 min, above 20",
            "value": 25,
            "threshold": 20,
            "window": {"since": "2026-11-27T11:35:00Z", "until": "2026-11-27T11:40:00Z"},
            "url": "https://tally.example/?app=shop&level=ERROR",
            "chart": "https://tally.example/share/k/chart.png",
            "examples": [{
                "title": "cart <n> not found",
                "url": "https://tally.example/?event=1",
                "at": "2026-11-27T11:39:00Z",
            }],
        },
    });
    assert_eq!(body, expected);
    let bare = Notification {
        value: Some(f64::NAN),
        threshold: Some(0.5),
        window: None,
        url: None,
        examples: vec![],
        ..firing()
    };
    let body: Value = serde_json::from_slice(&webhook::body(&bare)).expect("JSON");
    let data = &body["data"];
    assert_eq!((&data["value"], &data["threshold"], &data["window"]), (&Value::Null, &json!(0.5), &Value::Null));
    assert_eq!(data["examples"], json!([]));
}

#[test]
fn slack_gets_blocks_and_a_text() {
    let body = slack::body(&firing(), true);
    assert_eq!(body["text"], "Firing: Errors of checkout: ERROR was 25 in 5 min, above 20");
    let types: Vec<_> = body["blocks"].as_array().expect("blocks").iter().map(|block| text(block, "type")).collect();
    assert_eq!(types, ["header", "section", "section", "section", "image", "section"]);
    assert_eq!(body["blocks"][2]["fields"][2]["text"], "Window: 2026-11-27 11:35:00 to 11:40:00 UTC");
    assert_eq!(body["blocks"][3]["fields"][0]["text"], "cart &lt;n&gt; not found");
    assert_eq!(body["blocks"][3]["fields"][1]["text"], "<https://tally.example/?event=1|2026-11-27 11:39:00 UTC>");
    assert_eq!(body["blocks"][5]["text"]["text"], "<https://tally.example/?app=shop&amp;level=ERROR|Open in Tally>");
    assert!(!slack::body(&firing(), false).to_string().contains("image"));
}

#[test]
fn discord_gets_an_embed() {
    let body = discord::body(&firing(), true);
    assert_eq!(body["content"], "ERROR was 25 in 5 min, above 20");
    assert_eq!(body["embeds"][0]["title"], r"Firing\: Errors of checkout");
    assert_eq!(body["embeds"][0]["url"], "https://tally.example/?app=shop&level=ERROR");
    let fields = &body["embeds"][0]["fields"];
    assert_eq!(fields[0], json!({"name": "Value", "value": "25", "inline": true}));
    let example = json!({
        "name": "2026-11-27 11:39:00 UTC",
        "value": "cart \\<n\\> not found\n[Open in Tally](https://tally.example/?event=1)",
    });
    assert_eq!(fields[5], example);
}

#[test]
fn a_report_reads_well_everywhere() {
    assert_all(&reported());
    let title = "Shop, 26 November: 12,340 events (+8 %), 41 errors (−13 %)";
    let slack = slack::body(&reported(), true);
    assert_eq!(slack["blocks"][0]["text"]["text"], title);
    assert_eq!(slack["blocks"][2]["fields"][0]["text"], "Events: 12,340 (+8 %)");
    assert_eq!(slack["blocks"][3]["text"]["text"], "Most frequent\nsign up: 9,000 (none before)\npage: 3,340");
    assert_eq!(slack["blocks"][4]["text"]["text"], "Warnings and errors\nERROR cart &lt;n&gt; not found: 40");
    let discord = discord::body(&reported(), true);
    let fields = discord["embeds"][0]["fields"].as_array().expect("fields");
    let last = json!({"name": "Warnings and errors", "value": r"ERROR cart \<n\> not found\: 40"});
    assert_eq!(fields.last(), Some(&last));
    let text = mail::text(&reported());
    assert!(text.contains("Errors: 41 (−13 %)\r\n") && text.contains("\r\n- page: 3,340\r\n"), "{text}");
    assert!(mail::html(&reported()).contains("<br>ERROR cart &lt;n&gt; not found: 40</p>"));
    let webhook: Value = serde_json::from_slice(&webhook::body(&reported())).expect("JSON");
    let expected = json!({
        "since": "2026-11-26T11:40:00Z",
        "until": "2026-11-27T11:40:00Z",
        "total": 12_340,
        "previous_total": 11_426,
        "errors": 41,
        "previous_errors": 47,
        "names": [{"name": "sign up", "count": 9_000, "previous": 0}, {"name": "page", "count": 3_340, "previous": null}],
        "messages": [{"message": "cart <n> not found", "level": "ERROR", "count": 40}],
        "complete": true,
    });
    assert_eq!((&webhook["type"], &webhook["data"]["report"]), (&json!("alert.report"), &expected));
    let test = Notification { kind: Kind::AlertTest, ..reported() };
    assert_eq!(slack::body(&test, true)["blocks"][0]["text"]["text"], format!("Test: {title}"));
    let unknown = Report { total: None, errors: None, names: vec![], messages: vec![], ..Report::default() };
    assert_all(&Notification { report: Some(unknown), ..reported() });
}

#[test]
fn no_text_can_mention_anyone() {
    let ping = "<!channel> <!here|x> <@U012AB3CD> <#C01> <!subteam^S1> @everyone @here <@&1234> <@1234> <a:b:1>";
    let all = Notification {
        name: ping.to_owned(),
        sentence: ping.to_owned(),
        app: ping.to_owned(),
        examples: vec![Example { title: ping.to_owned(), url: None, at: at() }],
        ..firing()
    };
    assert_all(&all);
    let slack = slack::body(&all, true).to_string();
    assert!(!slack.contains("<!") && !slack.contains("<@") && !slack.contains("<#"), "{slack}");
    let discord = discord::body(&all, true);
    assert!(text(&discord, "content").contains(r"\@everyone"), "{discord}");
}

#[test]
fn a_link_that_is_too_long_once_escaped_is_left_out() {
    for length in [400, 480, 1_900, 3_000] {
        let long = Some(format!("https://tally.example/?{}", "&".repeat(length)));
        let example = Example { title: "cart".to_owned(), url: long.clone(), at: at() };
        assert_all(&Notification { url: long, examples: vec![example], ..firing() });
    }
}

#[test]
fn a_mail_has_a_text_and_the_same_as_html() {
    let text = mail::text(&firing());
    assert!(text.starts_with("ERROR was 25 in 5 min, above 20\r\n\r\nValue: 25\r\nThreshold: 20\r\n"), "{text}");
    assert!(text.contains("cart <n> not found\r\nhttps://tally.example/?event=1\r\n"), "{text}");
    assert!(text.ends_with("Open in Tally: https://tally.example/?app=shop&level=ERROR\r\n"), "{text}");
    let html = mail::html(&firing());
    assert!(html.contains("cart &lt;n&gt; not found"), "{html}");
    assert!(html.contains("<a href=\"https://tally.example/?app=shop&amp;level=ERROR\">Open in Tally</a>"), "{html}");
    let from: Mailbox = "Tally <tally@example.com>".parse().expect("a mailbox");
    let to = ["ops@example.com".parse().expect("an address")];
    let head = String::from_utf8(mail::message(&firing(), &from, &to).expect("a message").formatted()).expect("ASCII");
    assert!(head.contains("Subject: [shop] Firing: Errors of checkout\r\n"), "{head}");
    assert!(head.contains("Message-ID: <msg_2kX@example.com>\r\n"), "{head}");
    assert!(head.contains("Date: Fri, 27 Nov 2026 11:40:00 +0000\r\n"), "{head}");
}

#[test]
fn a_subject_is_shown_as_it_is() {
    let from: Mailbox = "tally@example.com".parse().expect("a mailbox");
    let subject = |name: &str| {
        let notification = Notification { name: name.to_owned(), ..firing() };
        let to = ["ops@example.com".parse().expect("an address")];
        let message = mail::message(&notification, &from, &to).expect("a message");
        message.headers().get_raw("Subject").map(str::to_owned)
    };
    assert_eq!(subject("=?utf-8?q?x?=").as_deref(), Some("[shop] Firing: = ?utf-8?q?x?="));
    assert_eq!(subject("a\r\nBcc: b@c").as_deref(), Some("[shop] Firing: a  Bcc: b@c"));
    assert_eq!(subject("größer").as_deref(), Some("[shop] Firing: größer"));
}

#[test]
fn an_id_that_no_header_could_hold_is_hashed() {
    let id = |id: &str| stable_id(&Notification { id: id.to_owned(), ..firing() }).into_owned();
    assert_eq!(id("msg_1-a"), "msg_1-a");
    let hashed = id("rule#2026-11-27T11:40:00.000Z");
    assert!(hashed.starts_with("msg_") && hashed.len() == 36, "{hashed}");
    assert_ne!(hashed, id("rule#2026-11-27T11:41:00.000Z"));
    assert_ne!(id(""), id("\r\nx: y"));
}

/// Any text: of any characters, of what receivers take as markup, and long.
fn any_text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "<!channel>",
            "<@U1>",
            "@everyone",
            "@here",
            "<@&1>",
            "&amp;",
            "&",
            "|",
            "](https://evil.example)",
            "[x](y)",
            "https://evil.example/",
            "`",
            "*",
            "\\",
            "\0",
            "\r\nBcc: evil@example.com\r\n\r\n",
            "\u{202e}",
            "\u{200d}",
            "\u{fe0f}",
            "👩\u{200d}👩",
            "\u{1f3fd}",
            "שלום",
            "<script>",
            "\"'",
            "\u{feff}",
            "=?utf-8?q?x?=",
            "(",
            ")",
        ])
        .prop_map(str::to_owned),
    ];
    (prop::collection::vec(part, 0..6), prop_oneof![8 => 1_usize..3, 1 => Just(100), 1 => Just(3_000)])
        .prop_map(|(parts, times)| parts.concat().repeat(times))
        .prop_map(|text| text.chars().take(100_000).collect())
}

fn any_link() -> impl Strategy<Value = Option<String>> {
    let link = (any_text(), any::<bool>()).prop_map(
        |(text, valid)| {
            if valid { format!("https://tally.example/{text}") } else { text }
        },
    );
    prop::option::of(link)
}

fn any_notification() -> impl Strategy<Value = Notification> {
    let number = || prop::option::of(any::<f64>());
    let example = (any_text(), any_link(), any::<u32>()).prop_map(|(title, url, at)| Example {
        title,
        url,
        at: Timestamp::from_seconds(i64::from(at)),
    });
    let texts = (any_text(), any_text(), any_text(), any_text(), any_text());
    let rest = (number(), number(), any_link(), any_link(), prop::collection::vec(example, 0..5));
    (texts, rest, prop::sample::select(Kind::ALL.to_vec()), any::<u32>(), any::<bool>()).prop_map(
        |((id, app, alert, name, sentence), (value, threshold, url, chart, examples), kind, at, windowed)| {
            let names = examples.iter().map(|example: &Example| example.title.clone());
            let names =
                names.map(|name| ReportName { name, count: i64::from(at) << 20, previous: Some(i64::from(at)) });
            let messages = examples.iter().rev().map(|example| ReportMessage {
                message: example.title.clone(),
                level: Some("WARN"),
                count: i64::MAX,
            });
            let report = Report {
                about: name.clone(),
                total: Some(i64::MAX),
                previous_total: Some(1),
                errors: Some(i64::from(at)),
                names: names.cycle().take(9).collect(),
                messages: messages.cycle().take(9).collect(),
                ..Report::default()
            };
            let report = Some(report).filter(|_| kind == Kind::Report || (kind == Kind::AlertTest && windowed));
            // A report shows no events.
            let examples = if report.is_some() { vec![] } else { examples };
            let at = Timestamp::from_seconds(i64::from(at));
            let window = Range::new(at, at + MINUTE).ok().filter(|_| windowed);
            Notification {
                from_none: false,
                id,
                kind,
                at,
                app,
                alert,
                name,
                sentence,
                value,
                threshold,
                window,
                url,
                chart,
                examples,
                report,
            }
        },
    )
}

proptest! {
    #[test]
    fn any_text_keeps_to_the_limits_and_is_no_markup(notification in any_notification()) {
        assert_all(&notification);
    }
}
