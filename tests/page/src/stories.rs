// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the page has to show.

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::browser::Shown;
use crate::ground::Ground;

/// A story. Each call runs it anew.
pub type Story = fn() -> Pin<Box<dyn Future<Output = Result<()>>>>;

/// How soon the page has to show what a guest does.
const SOON: Duration = Duration::from_secs(1);
/// How often that is measured. The machine may be busy, so the median counts.
const ROUNDS: usize = 5;

/// All stories by their names.
pub const ALL: [(&str, Story); 7] = [
    (
        "page::a_mapping_is_seen_within_a_second_and_so_is_its_end",
        || Box::pin(seen_at_once()),
    ),
    (
        "page::a_name_that_is_markup_is_shown_and_does_nothing",
        || Box::pin(hostile_names()),
    ),
    ("page::a_daemon_that_ends_is_called_gone", || {
        Box::pin(gone())
    }),
    ("page::a_share_without_a_window_says_so", || {
        Box::pin(no_window())
    }),
    ("page::ranges_and_colours_are_reached_by_keyboard", || {
        Box::pin(keyboard())
    }),
    ("page::a_large_window_is_shown_whole", || Box::pin(large())),
    ("page::what_the_vmm_was_found_to_do_is_said", || {
        Box::pin(behaviour())
    }),
];

const LIVE: &str = "document.body.dataset.state === 'live'";

/// The cell of a range, as an expression.
fn cell(at: u64) -> String {
    format!("document.querySelectorAll('#grid .cell')[{at}]")
}

async fn open(ground: &Ground) -> Result<Shown> {
    let shown = Shown::open(&ground.origin()?).await?;
    shown.wait_for("the page", LIVE).await?;
    Ok(shown)
}

async fn seen_at_once() -> Result<()> {
    let mut ground = Ground::start("64M")?;
    let node = ground.file("dir/file", 8)?;
    let shown = open(&ground).await?;
    let empty = shown
        .value("document.getElementById('empty').innerText")
        .await?;
    ensure!(empty == json!("Nothing is mapped."), "{empty}");
    let cells = shown
        .value("document.querySelectorAll('#grid .cell').length")
        .await?;
    ensure!(cells == json!(32), "{cells}");
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        ground.map(node, 3, 5, true)?;
        let mapped = format!(
            "{0}.dataset.node === '{1}' && {0}.dataset.state === 'live' && \
             {0}.dataset.writable === 'yes'",
            cell(5),
            node.0
        );
        took.push(shown.wait_for("the mapping", &mapped).await?);
        let name =
            "document.querySelector('#files tbody tr')?.cells[1].textContent === '/dir/file'";
        shown.wait_for("the file's name", name).await?;
        ensure!(
            shown
                .value("document.querySelectorAll('.cell[data-state=live]').length")
                .await?
                == json!(1)
        );
        ground.unmap(node, 5)?;
        let free = format!("{}.dataset.state === 'free'", cell(5));
        took.push(shown.wait_for("its end", &free).await?);
        shown
            .wait_for(
                "an empty window",
                "!document.getElementById('empty').hidden",
            )
            .await?;
    }
    took.sort();
    ensure!(took[ROUNDS] < SOON, "it is seen late: {took:?}");
    shown.expect_no_trouble()?;
    shown.close().await
}

/// The behaviour of QEMU 11.1, as the driver plays it.
async fn behaviour() -> Result<()> {
    let ground = Ground::start("64M")?;
    let shown = open(&ground).await?;
    let rows = shown
        .value(
            "[...document.querySelectorAll('#vmm tbody tr')].map(row => [row.id, row.cells[1].textContent])",
        )
        .await?;
    let expected = json!([
        ["vmm-needs_views", "yes"],
        ["vmm-enforces_read_only", "not known"],
        ["vmm-uses_regions", "yes"],
        ["vmm-answers_after_effect", "no"]
    ]);
    ensure!(rows == expected, "{rows}");
    shown.expect_no_trouble()?;
    shown.close().await
}

async fn hostile_names() -> Result<()> {
    let mut ground = Ground::start("64M")?;
    let names = [
        "<img src=x onerror=document.title='owned'>",
        "\"><svg onload=document.title='owned'>",
        "'+(document.title='owned')+'",
        "<b>bold & <u>odd",
        "javascript:document.title='owned'",
    ];
    let shown = open(&ground).await?;
    let title = shown.value("document.title").await?;
    for (at, name) in names.iter().enumerate() {
        let node = ground.file(name, 1)?;
        ground.map(node, 0, at as u64, false)?;
    }
    shown
        .wait_for(
            "all names",
            "document.querySelectorAll('#files tbody tr').length === 5",
        )
        .await?;
    let listed = shown
        .value("[...document.querySelectorAll('#files tbody tr')].map(row => row.cells[1].textContent)")
        .await?;
    for name in names {
        let name = json!(format!("/{name}"));
        ensure!(
            listed.as_array().is_some_and(|all| all.contains(&name)),
            "{name} is not in {listed}"
        );
    }
    // The page also shows the name if a range gets the focus.
    shown.value(&format!("{}.focus()", cell(0))).await?;
    let told = shown
        .value("document.getElementById('detail').textContent")
        .await?;
    ensure!(
        told.as_str().is_some_and(|told| told.contains(names[0])),
        "{told}"
    );
    let strangers = "document.querySelectorAll('img, b, u, iframe, body script + script').length";
    ensure!(
        shown.value(strangers).await? == json!(0),
        "a name has become markup"
    );
    ensure!(
        shown.value("document.title").await? == title,
        "a name has been run"
    );
    shown.expect_no_trouble()?;
    shown.close().await
}

async fn gone() -> Result<()> {
    let mut ground = Ground::start("64M")?;
    let node = ground.file("file", 1)?;
    ground.map(node, 0, 0, false)?;
    let shown = open(&ground).await?;
    shown
        .wait_for(
            "the mapping",
            &format!("{}.dataset.state === 'live'", cell(0)),
        )
        .await?;
    shown.expect_no_trouble()?;
    ground.daemon.stop()?;
    let said = "document.getElementById('status').textContent === 'daemon gone' && \
         document.getElementById('notice').innerText.includes('has ended')";
    shown.wait_for("the daemon's end", said).await?;
    // The browser complains that the server does not answer. It must not complain of anything else.
    let complaints = shown.take_complaints();
    ensure!(
        !complaints.is_empty(),
        "complaints are not seen, so none would be"
    );
    let other = complaints
        .iter()
        .find(|one| !one.contains("Failed to load resource: net::ERR_CONNECTION"));
    ensure!(other.is_none(), "{complaints:?}");
    shown.close().await
}

async fn no_window() -> Result<()> {
    let ground = Ground::start("0")?;
    let shown = open(&ground).await?;
    let said = shown
        .value("document.getElementById('empty').innerText")
        .await?;
    ensure!(
        said.as_str()
            .is_some_and(|said| said.starts_with("No window")),
        "{said}"
    );
    let counted = "document.querySelector('#tile-requests .value').textContent === '1'";
    shown.wait_for("the INIT to be counted", counted).await?;
    shown.expect_no_trouble()?;
    shown.close().await
}

async fn keyboard() -> Result<()> {
    let mut ground = Ground::start("64M")?;
    let node = ground.file("file", 2)?;
    ground.map(node, 1, 9, false)?;
    let shown = open(&ground).await?;
    shown
        .wait_for(
            "the mapping",
            &format!("{}.dataset.state === 'live'", cell(9)),
        )
        .await?;
    let element = shown.page.find_element("#grid .cell[tabindex='0']").await?;
    element.focus().await?;
    // The grid has eight ranges in a row.
    for key in ["ArrowDown", "ArrowRight"] {
        element.press_key(key).await?;
    }
    let there = format!("document.activeElement === {}", cell(9));
    shown.wait_for("the focus to move", &there).await?;
    let told = shown
        .value("document.getElementById('detail').textContent")
        .await?;
    let told = told.as_str().unwrap_or_default();
    ensure!(
        told.contains("/file") && told.contains("0x200000"),
        "{told}"
    );
    let colour = format!("getComputedStyle({}).backgroundColor", cell(9));
    let by_file = shown.value(&colour).await?;
    let element = shown.page.find_element("#colour input[value=file]").await?;
    element.focus().await?;
    element.press_key("ArrowRight").await?;
    let chosen = "document.getElementById('grid').dataset.colour === 'age'";
    shown.wait_for("the choice of colour", chosen).await?;
    let by_age = shown.value(&colour).await?;
    ensure!(by_age != by_file, "age and file have the same colour");
    shown.expect_no_trouble()?;
    shown.close().await
}

async fn large() -> Result<()> {
    let mut ground = Ground::start("4G")?;
    let node = ground.file("file", 1)?;
    ground.map(node, 0, 2047, false)?;
    let shown = open(&ground).await?;
    shown
        .wait_for(
            "the last range",
            &format!("{}.dataset.state === 'live'", cell(2047)),
        )
        .await?;
    shown.expect_no_trouble()?;
    shown.close().await
}
