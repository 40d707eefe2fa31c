//! Sends a test notification to a channel, with the settings of the environment:
//!
//! ```sh
//! TALLY_WEBHOOK_ALLOW=localhost:9000 cargo run -p tally-notify --example notify -- \
//!     '{"type": "webhook", "url": "http://localhost:9000/"}' whsec_…
//! ```

use std::error::Error;

use tally_core::time::clock::Clock;
use tally_core::time::{MINUTE, Range};
use tally_notify::{Channel, Example, Kind, Notification, Secret, Sender, Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let channel: Channel = serde_json::from_str(&arguments.next().ok_or("the first argument is a channel as JSON")?)?;
    let secret = arguments.next().map(|secret| Secret::parse(&secret)).transpose()?;
    let at = Clock::System.now();
    let notification = Notification {
        from_none: false,
        id: format!("test_{}", at.micros()),
        kind: Kind::AlertTest,
        at,
        app: "shop".to_owned(),
        alert: "test".to_owned(),
        name: "Errors & <!channel> @everyone".to_owned(),
        sentence: "ERROR was 25 in 5 min, above 20".to_owned(),
        value: Some(25.0),
        threshold: Some(20.0),
        window: Range::new(at - 5 * MINUTE, at).ok(),
        url: Some("https://tally.example/?app=shop&level=ERROR".to_owned()),
        chart: None,
        examples: vec![Example {
            title: "cart <n> not found: https://evil.example/".to_owned(),
            url: Some("https://tally.example/?app=shop&event=1".to_owned()),
            at,
        }],
        report: None,
    };
    let sender = Sender::new(Settings::from_variables(|name| std::env::var(name).ok())?);
    sender.send(&channel, secret.as_ref(), &notification).await?;
    println!("sent {} to {channel}", notification.id);
    Ok(())
}
