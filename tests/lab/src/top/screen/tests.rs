// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Screens of all sizes.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::Screen;
use crate::top::history::History;
use crate::top::seen::Seen;
use crate::top::seen::tests::busy;

fn drawn(screen: &Screen, width: u16, height: u16) -> (String, Buffer) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let lines = buffer.content().chunks(usize::from(width)).map(|line| {
        let line: String = line.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned() + "\n"
    });
    (lines.collect(), buffer)
}

fn screen(seen: Option<Seen>) -> Screen {
    let mut history = History::default();
    if let Some(seen) = &seen {
        history.add(seen);
        let mut later = seen.clone();
        later.now_ms += 1000;
        later.totals.maps += 25;
        history.add(&later);
    }
    Screen {
        address: "127.0.0.1:9926".parse().unwrap(),
        colours: true,
        seen,
        history,
        trouble: None,
    }
}

#[test]
fn eighty_by_twenty_four_shows_everything() {
    let (text, _) = drawn(&screen(Some(busy())), 80, 24);
    for part in [
        "virtiofs-daxd 127.0.0.1:9926  up 1 min 2 s  q quits  live",
        "window 256 MiB:",
        "128 ranges, a letter for each file",
        "aa··ccaa··aabb··",
        "!!",
        "mapped files",
        "/vm/root.img",
        "maps 25",
        "requests (queues: 0 9)",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("do not fit"), "{text}");
}

#[test]
fn no_size_is_too_small_and_none_breaks_a_line() {
    for (width, height) in [
        (1, 1),
        (5, 3),
        (20, 8),
        (40, 10),
        (79, 23),
        (120, 40),
        (250, 80),
    ] {
        for seen in [None, Some(busy())] {
            let (text, _) = drawn(&screen(seen), width, height);
            assert_eq!(text.lines().count(), usize::from(height));
        }
    }
}

#[test]
fn a_window_that_is_too_large_says_what_is_missing() {
    let mut seen = busy();
    seen.window.as_mut().unwrap().size = 16 << 30;
    let (text, _) = drawn(&screen(Some(seen)), 80, 24);
    assert!(
        text.contains("8192 ranges") && text.contains("more do not fit"),
        "{text}"
    );
}

#[test]
fn letters_are_enough_without_colours() {
    let mut screen = screen(Some(busy()));
    let (coloured, buffer) = drawn(&screen, 80, 24);
    let colours = |buffer: &Buffer| {
        let plain = |colour| matches!(colour, Color::Reset);
        buffer
            .content()
            .iter()
            .filter(|cell| !(plain(cell.fg) && plain(cell.bg)))
            .count()
    };
    assert!(colours(&buffer) > 0);
    screen.colours = false;
    let (plain, buffer) = drawn(&screen, 80, 24);
    assert_eq!(colours(&buffer), 0);
    assert_eq!(plain, coloured);
}

#[test]
fn empty_states_are_said_plainly() {
    let mut seen = busy();
    let window = seen.window.as_mut().unwrap();
    window.ranges.clear();
    window.files.clear();
    assert!(
        drawn(&screen(Some(seen.clone())), 80, 24)
            .0
            .contains("nothing is mapped")
    );
    seen.window = None;
    assert!(
        drawn(&screen(Some(seen.clone())), 80, 24)
            .0
            .contains("no window")
    );
    let mut gone = screen(Some(seen));
    gone.trouble = Some("refused".to_owned());
    assert!(drawn(&gone, 80, 24).0.contains("daemon gone: refused"));
    assert!(drawn(&screen(None), 80, 24).0.contains("asking"));
}
