//! What a page view tells beside what the page sends, as fields of its `data`.

use crate::event::MAX_TEXT;
use crate::event::json::Json;
use crate::web::address::{host_of, path_of, query_of, without_www};
use crate::web::agent::{Agent, Device};
use crate::web::country::Country;

/// The longest path, in bytes: that of a filter's value.
const MAX_PATH: usize = 2 * MAX_TEXT;
/// The longest tag of a language.
const MAX_LANGUAGE: usize = 35;
/// The parameters of an address that name a campaign.
const CAMPAIGN: [&str; 5] = ["utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content"];

/// The name of a page view of Tally's script, Plausible and Umami.
pub const PAGEVIEW: &str = "pageview";

/// What is known of a page view.
#[derive(Clone, Copy, Debug, Default)]
pub struct PageView<'a> {
    /// The address of the page: whole, or relative to `host`.
    pub url: Option<&'a str>,
    /// The host of the page, where the address does not tell it.
    pub host: Option<&'a str>,
    /// The address of the page before.
    pub referrer: Option<&'a str>,
    /// The `User-Agent` of the browser.
    pub user_agent: &'a str,
    /// The width of the screen in pixels, as CSS counts them.
    pub screen_width: Option<u32>,
    /// The width of the window.
    pub window_width: Option<u32>,
    /// The language of the browser, or a list as in `Accept-Language`.
    pub language: Option<&'a str>,
    /// The country that a server or a database tells.
    pub country: Option<Country>,
    /// The time zone of the browser, by which the country is guessed otherwise.
    pub time_zone: Option<&'a str>,
}

impl PageView<'_> {
    /// The fields, by their names.
    pub fn fields(&self) -> Vec<(&'static str, Json)> {
        let mut fields = Vec::with_capacity(12);
        let mut add = |name: &'static str, value: Option<&str>| {
            fields.extend(value.filter(|value| !value.is_empty()).map(|value| (name, Json::String(value.to_owned()))));
        };
        let path = self.url.and_then(path_of);
        add("path", path.map(|path| cut(path, MAX_PATH)));
        let host = self.url.and_then(host_of).or_else(|| self.host.map(without_www));
        let before = self.referrer.and_then(host_of).filter(|before| Some(before) != host.as_ref());
        add("referrer_host", before.as_deref().map(|host| cut(host, MAX_TEXT)));
        let query = self.url.map_or("", query_of);
        for name in CAMPAIGN {
            let value = form_urlencoded::parse(query.as_bytes()).find(|(key, value)| key == name && !value.is_empty());
            add(name, value.as_ref().map(|(_, value)| cut(value, MAX_TEXT)));
        }
        let agent = Agent::read(self.user_agent).on_screen(self.screen_width);
        add("browser", agent.browser);
        add("os", agent.os);
        let width = self.screen_width.or(self.window_width);
        let device = agent.device.or_else(|| width.map(Device::of_width));
        add("device", device.map(Device::as_str));
        add("language", self.language.and_then(first_language).as_deref());
        let guessed = if self.country.is_none() { self.time_zone.and_then(Country::of_zone) } else { None };
        add("country", self.country.or(guessed).as_ref().map(Country::as_str));
        if guessed.is_some() {
            fields.push(("country_guessed", Json::Bool(true)));
        }
        fields
    }
}

/// The first language of a list, as `de-AT`: that of `Accept-Language` is the one that the browser prefers.
fn first_language(list: &str) -> Option<String> {
    let first = list.split([',', ';']).next()?.trim();
    let is_tag = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let parts: Vec<_> = first.split(['-', '_']).collect();
    if first.len() > MAX_LANGUAGE || !parts.iter().all(|part| is_tag(part)) {
        return None;
    }
    let spelt = parts.iter().enumerate().map(|(at, part)| match (at, part.len()) {
        (1.., 2) => part.to_ascii_uppercase(),
        (1.., 4) => part[..1].to_ascii_uppercase() + &part[1..].to_ascii_lowercase(),
        _ => part.to_ascii_lowercase(),
    });
    Some(spelt.collect::<Vec<_>>().join("-"))
}

fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

    fn fields(view: PageView<'_>) -> String {
        let fields = view.fields().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        serde_json::to_string(&Json::Object(fields)).expect("JSON")
    }

    #[test]
    fn a_page_view_tells_where_from_with_what_and_how() {
        let view = PageView {
            url: Some("https://www.shop.example/cart?utm_source=news%20letter&utm_medium=&utm_campaign=a+b&x=1#top"),
            referrer: Some("https://www.example.org/a?b"),
            user_agent: FIREFOX,
            screen_width: Some(1_920),
            language: Some("de-at,de;q=0.8,en;q=0.5"),
            time_zone: Some("Europe/Vienna"),
            ..PageView::default()
        };
        assert_eq!(
            fields(view),
            r#"{"browser":"Firefox","country":"AT","country_guessed":true,"device":"desktop","language":"de-AT","os":"Linux","path":"/cart","referrer_host":"example.org","utm_campaign":"a b","utm_source":"news letter"}"#
        );
        let told = PageView { country: Country::parse("DE"), ..view };
        assert!(fields(told).contains(r#""country":"DE","device""#), "what is told is not guessed");
    }

    #[test]
    fn a_page_of_the_same_host_is_no_referrer() {
        for (url, host, referrer, told) in [
            ("https://www.shop.example/b", None, "https://shop.example/a", false),
            ("/b", Some("www.shop.example"), "https://shop.example/a", false),
            ("/b", Some("shop.example"), "/a", false),
            ("/b", Some("shop.example"), "https://blog.example/a", true),
        ] {
            let view = PageView { url: Some(url), host, referrer: Some(referrer), ..PageView::default() };
            assert_eq!(fields(view).contains("referrer_host"), told, "{url} {referrer}");
        }
    }

    #[test]
    fn what_nobody_tells_is_absent() {
        assert_eq!(fields(PageView::default()), "{}");
        let wild =
            PageView { language: Some("*"), time_zone: Some("Mars/Base"), url: Some("nowhere"), ..PageView::default() };
        assert_eq!(fields(wild), "{}");
        assert_eq!(fields(PageView { window_width: Some(400), ..PageView::default() }), r#"{"device":"mobile"}"#);
    }

    #[test]
    fn languages_are_spelt_in_one_way() {
        for (sent, spelt) in [
            ("en-us", Some("en-US")),
            ("zh_hans_cn", Some("zh-Hans-CN")),
            ("de", Some("de")),
            ("<b>", None),
            ("", None),
        ] {
            assert_eq!(first_language(sent).as_deref(), spelt, "{sent}");
        }
    }
}
