//! What a `User-Agent` tells: browser, system, kind of device, and whether it is a bot.
//!
//! The lists are short on purpose. Browsers that few people use are told as the one that they are made of, and names that
//! come with versions that a browser freezes are not told at all.

/// What a `User-Agent` tells. What it does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// The browser, such as `Firefox`.
    pub browser: Option<&'static str>,
    /// The system, such as `Android`.
    pub os: Option<&'static str>,
    /// The kind of device.
    pub device: Option<Device>,
}

/// A kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// A computer, or a television.
    Desktop,
    /// A telephone.
    Mobile,
    /// A tablet.
    Tablet,
}

impl Device {
    /// Its name in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
        }
    }

    /// The kind of device with a window or a screen of so many pixels, as CSS counts them.
    pub const fn of_width(pixels: u32) -> Self {
        match pixels {
            0..576 => Self::Mobile,
            576..992 => Self::Tablet,
            _ => Self::Desktop,
        }
    }
}

/// Browsers by a part of their `User-Agent`. The first that fits counts: most claim to be Chrome and Safari too.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg/", "Edge"),
    ("EdgA/", "Edge"),
    ("EdgiOS/", "Edge"),
    ("Edge/", "Edge"),
    ("OPR/", "Opera"),
    ("OPT/", "Opera"),
    ("OPX/", "Opera"),
    ("OPiOS/", "Opera"),
    ("Opera", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("YaBrowser/", "Yandex Browser"),
    ("Vivaldi/", "Vivaldi"),
    ("DuckDuckGo/", "DuckDuckGo"),
    ("Ddg/", "DuckDuckGo"),
    ("UCBrowser/", "UC Browser"),
    ("MiuiBrowser/", "Mi Browser"),
    ("HuaweiBrowser/", "Huawei Browser"),
    ("Whale/", "Whale"),
    ("QQBrowser/", "QQ Browser"),
    ("MicroMessenger/", "WeChat"),
    ("FBAN/", "Facebook"),
    ("FBAV/", "Facebook"),
    ("FB_IAB/", "Facebook"),
    ("Instagram ", "Instagram"),
    ("Silk/", "Silk"),
    ("GSA/", "Google app"),
    ("Electron/", "Electron"),
    ("FxiOS/", "Firefox"),
    ("Focus/", "Firefox"),
    ("Firefox/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("; wv)", "Android WebView"),
    ("Chromium/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Trident/", "Internet Explorer"),
    ("MSIE ", "Internet Explorer"),
];

/// Systems by a part of the `User-Agent`. The first that fits counts.
const SYSTEMS: &[(&str, &str)] = &[
    ("Windows", "Windows"),
    ("iPad", "iPadOS"),
    ("iPhone", "iOS"),
    ("iPod", "iOS"),
    ("OpenHarmony", "HarmonyOS"),
    ("HarmonyOS", "HarmonyOS"),
    ("Tizen", "Tizen"),
    ("Web0S", "webOS"),
    ("KAIOS", "KaiOS"),
    ("Android", "Android"),
    ("CrOS", "ChromeOS"),
    ("Macintosh", "macOS"),
    ("PlayStation", "PlayStation"),
    ("Linux", "Linux"),
    ("BSD", "BSD"),
];

/// Words that bots, previews of links, audits and automated browsers have in their `User-Agent`, in lower case. Libraries by
/// which servers send what they know of their visitors, such as `python-requests`, are none of them.
const BOTS: &[&str] = &[
    "bot",
    "crawl",
    "spider",
    "slurp",
    "headless",
    "lighthouse",
    "preview",
    "+http",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-external",
    "mediapartners",
    "feedfetcher",
    "feedburner",
    "google-",
    "googleother",
    "ia_archiver",
    "archive.org",
    "chatgpt-user",
    "oai-search",
    "claude-",
    "perplexity-user",
    "cohere-ai",
    "diffbot",
    "embedly",
    "outbrain",
    "pinterest/0",
    "vkshare",
    "whatsapp/",
    "slack-imgproxy",
    "flipboard",
    "yeti/",
    "daum",
    "w3c_",
    "validator",
    "phantomjs",
    "selenium",
    "puppeteer",
    "playwright",
    "cypress/",
    "prerender",
    "gtmetrix",
    "pingdom",
    "uptime",
    "statuscake",
    "site24x7",
    "catchpoint",
    "datadog",
    "newrelic",
    "monitor",
    "ptst/",
    "scan",
    "scrap",
    "httrack",
    "nutch",
    "nessus",
    "nikto",
];

impl Agent {
    /// Reads a `User-Agent`.
    pub fn read(user_agent: &str) -> Self {
        let named = |list: &[(&str, &'static str)]| {
            list.iter().find(|(part, _)| user_agent.contains(part)).map(|(_, name)| *name)
        };
        let has = |part: &str| user_agent.contains(part);
        let browser = named(BROWSERS).or_else(|| match () {
            () if has("Version/") && has("Safari/") => Some("Safari"),
            // An app that shows pages: no browser of its own name.
            () if has("AppleWebKit/") && (has("iPhone") || has("iPad")) => Some("iOS WebView"),
            () => None,
        });
        let os = named(SYSTEMS);
        let device = match os {
            None => None,
            Some("iPadOS") => Some(Device::Tablet),
            Some("iOS" | "KaiOS") => Some(Device::Mobile),
            _ if has("Tablet;") || has("Silk/") => Some(Device::Tablet),
            Some("Tizen" | "webOS") if has("TV") => Some(Device::Desktop),
            _ if has("Mobile") => Some(Device::Mobile),
            Some("Android" | "HarmonyOS") if has("TV") => Some(Device::Desktop),
            Some("Android") => Some(Device::Tablet),
            Some(_) => Some(Device::Desktop),
        };
        Self { browser, os, device }
    }

    /// The same, of a screen of so many pixels, as CSS counts them. An iPad says that it is a Mac, of which none is as narrow.
    #[must_use]
    pub fn on_screen(self, width: Option<u32>) -> Self {
        /// The widest iPad. Systems tell the width of a screen that is held upright.
        const WIDEST_IPAD: u32 = 1_032;
        match width {
            Some(1..=WIDEST_IPAD) if self.browser == Some("Safari") && self.os == Some("macOS") => {
                Self { os: Some("iPadOS"), device: Some(Device::Tablet), ..self }
            }
            _ => self,
        }
    }
}

/// Whether a `User-Agent` says that nobody looks at the page: crawlers, previews of links, audits, automated browsers.
pub fn is_bot(user_agent: &str) -> bool {
    // A maker of telephones.
    let name = user_agent.to_ascii_lowercase().replace("cubot", "");
    BOTS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0";

    #[test]
    fn browsers_of_today_are_known() {
        let (desktop, mobile, tablet) = ("desktop", "mobile", "tablet");
        for (user_agent, expected) in [
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36"), ("Chrome", "Windows", desktop)),
            (format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {CHROME} Safari/537.36"), ("Chrome", "macOS", desktop)),
            (format!("Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36"), ("Chrome", "Linux", desktop)),
            (format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36"), ("Chrome", "ChromeOS", desktop)),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36"), ("Chrome", "Android", mobile)),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {CHROME} Safari/537.36"), ("Chrome", "Android", tablet)),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1".to_owned(), ("Chrome", "iOS", mobile)),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 Edg/142.0.0.0"), ("Edge", "Windows", desktop)),
            (format!("Mozilla/5.0 (Linux; Android 10; HD1913) {CHROME} Mobile Safari/537.36 EdgA/142.0.0.0"), ("Edge", "Android", mobile)),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0".to_owned(), ("Firefox", "Windows", desktop)),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0".to_owned(), ("Firefox", "macOS", desktop)),
            ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0".to_owned(), ("Firefox", "Linux", desktop)),
            ("Mozilla/5.0 (Android 15; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0".to_owned(), ("Firefox", "Android", mobile)),
            ("Mozilla/5.0 (Android 15; Tablet; rv:145.0) Gecko/145.0 Firefox/145.0".to_owned(), ("Firefox", "Android", tablet)),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/145.0 Mobile/15E148 Safari/605.1.15".to_owned(), ("Firefox", "iOS", mobile)),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15".to_owned(), ("Safari", "macOS", desktop)),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1".to_owned(), ("Safari", "iOS", mobile)),
            ("Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1".to_owned(), ("Safari", "iPadOS", tablet)),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148".to_owned(), ("iOS WebView", "iOS", mobile)),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36 OPR/124.0.0.0"), ("Opera", "Windows", desktop)),
            (format!("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 {CHROME} Mobile Safari/537.36"), ("Samsung Internet", "Android", mobile)),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} YaBrowser/25.10.0.0 Safari/537.36"), ("Yandex Browser", "Windows", desktop)),
            (format!("Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36 Vivaldi/7.6.3797.63"), ("Vivaldi", "Linux", desktop)),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15 Ddg/26.0".to_owned(), ("DuckDuckGo", "macOS", desktop)),
            (format!("Mozilla/5.0 (Linux; Android 14; SM-S901B Build/UP1A; wv) {CHROME} Mobile Safari/537.36"), ("Android WebView", "Android", mobile)),
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22G86 Instagram 400.0.0.30.94 (iPhone15,2)".to_owned(), ("Instagram", "iOS", mobile)),
            (format!("Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 (KHTML, like Gecko) Silk/142.2.1 like {CHROME} Safari/537.36"), ("Silk", "Android", tablet)),
            (format!("Mozilla/5.0 (Phone; OpenHarmony 5.0) {CHROME} Safari/537.36 ArkWeb/4.1 Mobile HuaweiBrowser/5.1.0"), ("Huawei Browser", "HarmonyOS", mobile)),
        ] {
            let Agent { browser, os, device } = Agent::read(&user_agent);
            let read = (browser.unwrap_or(""), os.unwrap_or(""), device.map_or("", Device::as_str));
            assert_eq!(read, expected, "{user_agent}");
            assert!(!is_bot(&user_agent), "{user_agent}");
        }
    }

    #[test]
    fn programs_tell_nothing_and_are_no_bots() {
        for user_agent in ["", "node", "python-requests/2.34.2", "Mozilla/5.0 Umami/v24.11.0", "okhttp/5.3.0"] {
            assert_eq!(Agent::read(user_agent), Agent::default(), "{user_agent}");
            assert!(!is_bot(user_agent), "{user_agent}");
        }
    }

    #[test]
    fn an_ipad_is_told_from_a_mac_by_its_screen() {
        let safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15";
        let os = |width| Agent::read(safari).on_screen(width).os;
        assert_eq!(
            [os(None), os(Some(834)), os(Some(1_032)), os(Some(1_440))].map(Option::unwrap),
            ["macOS", "iPadOS", "iPadOS", "macOS"]
        );
    }

    #[test]
    fn bots_are_known_by_what_they_say() {
        assert!(!is_bot("Mozilla/5.0 (Linux; Android 12; CUBOT NOTE 20) Chrome/140.0.0.0 Mobile Safari/537.36"));
        for bot in [
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116.0.1938.76 Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
            "Mozilla/5.0 (compatible; Yahoo! Slurp)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0; +https://openai.com/bot",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "WhatsApp/2.23.20.0",
            "Mozilla/5.0 (Linux; Android 11; moto g power) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 Mobile Safari/537.36 Chrome-Lighthouse",
            "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        ] {
            assert!(is_bot(bot), "{bot}");
        }
    }
}
