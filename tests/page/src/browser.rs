// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A browser with one page, and a record of the page's complaints and requests.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use chromiumoxide::cdp::IntoEventKind;
use chromiumoxide::cdp::browser_protocol::log::{EventEntryAdded, LogEntryLevel};
use chromiumoxide::cdp::browser_protocol::network::{
    EnableParams, EventRequestWillBeSent, EventWebSocketCreated,
};
use chromiumoxide::cdp::js_protocol::runtime::{EventConsoleApiCalled, EventExceptionThrown};
use chromiumoxide::{Browser, BrowserConfig, Page};
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// How long each step may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the page.
const PAUSE: Duration = Duration::from_millis(10);
/// The page's size in pixels.
pub const SIZE: (u32, u32) = (1000, 860);

/// The page's complaints and requests.
#[derive(Debug, Default)]
struct Noted {
    complaints: Vec<String>,
    requests: Vec<String>,
}

/// A browser that shows one page. [`Shown::close`] ends the browser and removes its files.
pub struct Shown {
    pub page: Page,
    browser: Browser,
    handler: JoinHandle<()>,
    noted: Arc<Mutex<Noted>>,
    origin: String,
    /// The browser's profile, which is new.
    _profile: TempDir,
}

impl Shown {
    /// Opens the page of this origin.
    pub async fn open(origin: &str) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let (browser, mut events) = Browser::launch(config(&profile)?)
            .await
            .context("the browser does not start")?;
        let handler = tokio::spawn(async move { while events.next().await.is_some() {} });
        let page = browser.new_page("about:blank").await?;
        let shown = Self {
            page,
            browser,
            handler,
            noted: Arc::default(),
            origin: origin.to_owned(),
            _profile: profile,
        };
        shown.watch().await?;
        shown.page.goto(format!("{origin}/")).await?;
        Ok(shown)
    }

    /// Records complaints and requests from now on.
    async fn watch(&self) -> Result<()> {
        self.page.enable_log().await?;
        self.page.enable_runtime().await?;
        self.page.execute(EnableParams::default()).await?;
        self.note(|event: &EventConsoleApiCalled, noted| {
            noted.complaints.push(format!("console: {:?}", event.args));
        })
        .await?;
        self.note(|event: &EventExceptionThrown, noted| {
            noted
                .complaints
                .push(format!("{:?}", event.exception_details));
        })
        .await?;
        self.note(|event: &EventEntryAdded, noted| {
            let entry = &event.entry;
            if matches!(entry.level, LogEntryLevel::Error | LogEntryLevel::Warning) {
                let url = entry.url.as_deref().unwrap_or_default();
                noted.complaints.push(format!("{} {url}", entry.text));
            }
        })
        .await?;
        self.note(|event: &EventRequestWillBeSent, noted| {
            noted.requests.push(event.request.url.clone());
        })
        .await?;
        self.note(|event: &EventWebSocketCreated, noted| {
            noted.requests.push(event.url.clone());
        })
        .await
    }

    async fn note<E: IntoEventKind + Unpin>(
        &self,
        note: impl Fn(&E, &mut Noted) + Send + 'static,
    ) -> Result<()> {
        let mut events = self.page.event_listener::<E>().await?;
        let noted = Arc::clone(&self.noted);
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                note(&event, &mut noted.lock());
            }
        });
        Ok(())
    }

    /// The value of an expression on the page.
    pub async fn value(&self, expression: &str) -> Result<Value> {
        let result = self.page.evaluate(expression).await;
        let result = result.with_context(|| expression.to_owned())?;
        Ok(result.value().cloned().unwrap_or(Value::Null))
    }

    /// Waits until an expression is true on the page. Returns how long that took.
    pub async fn wait_for(&self, what: &str, expression: &str) -> Result<Duration> {
        let begun = Instant::now();
        while self.value(expression).await? != Value::Bool(true) {
            if begun.elapsed() > PATIENCE {
                let page = self.value("document.body.innerText").await?;
                bail!("timed out after {PATIENCE:?} waiting for {what}; the page says {page}");
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(begun.elapsed())
    }

    /// Fails if the page complained, or sent a request to a server other than its daemon.
    pub fn expect_no_trouble(&self) -> Result<()> {
        let noted = self.noted.lock();
        let (complaints, requests) = (&noted.complaints, &noted.requests);
        if !complaints.is_empty() {
            bail!("the page complains: {complaints:?}");
        }
        let own = |url: &&String| url.starts_with(&self.origin) || url.starts_with("data:");
        if let Some(foreign) = requests.iter().find(|url| !own(url)) {
            bail!("the page has asked for {foreign}");
        }
        let asks = |path| {
            requests
                .iter()
                .any(|url| *url == format!("{}{path}", self.origin))
        };
        if !(asks("/") && asks("/window.json")) {
            bail!("requests are not seen, so foreign ones would not be: {requests:?}");
        }
        Ok(())
    }

    /// Returns and clears the page's complaints.
    pub fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.noted.lock().complaints)
    }

    /// Ends the browser.
    pub async fn close(mut self) -> Result<()> {
        self.browser.close().await?;
        self.browser.wait().await?;
        self.handler.abort();
        Ok(())
    }
}

fn config(profile: &TempDir) -> Result<BrowserConfig> {
    let program = std::env::var_os("CHROMIUM").map_or("/usr/bin/chromium".into(), PathBuf::from);
    let (width, height) = SIZE;
    BrowserConfig::builder()
        .chrome_executable(program)
        .user_data_dir(profile.path())
        .no_sandbox()
        .window_size(width, height)
        .viewport(None)
        .launch_timeout(PATIENCE)
        .args([
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "no-default-browser-check",
        ])
        .args([
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
        ])
        .build()
        .map_err(|reason| anyhow!(reason))
}
