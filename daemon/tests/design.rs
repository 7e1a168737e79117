// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The way of a SETUPMAPPING in `docs/design.md`: each function is in the file that it is said to be in.

use std::fs;
use std::path::Path;

/// The file and the functions of each row of the table.
fn steps(design: &str) -> Vec<(String, Vec<String>)> {
    let section = design
        .split("\n## ")
        .find(|section| section.starts_with("The way of a SETUPMAPPING"))
        .expect("the section");
    let mut file = String::new();
    let rows = section.lines().filter(|line| line.starts_with("| "));
    rows.skip(1)
        .map(|row| {
            let mut cells = row.split('|').skip(1);
            let quoted = |cell: &str| -> Vec<String> {
                let names = cell.split('`').skip(1).step_by(2);
                names.map(str::to_owned).collect()
            };
            if let Some(named) = quoted(cells.next().expect("a file")).pop() {
                file = named;
            }
            (file.clone(), quoted(cells.next().expect("functions")))
        })
        .collect()
}

#[test]
fn the_way_of_a_setupmapping_is_the_one_that_is_written_down() {
    let daemon = Path::new(env!("CARGO_MANIFEST_DIR"));
    let design = fs::read_to_string(daemon.join("docs/design.md")).expect("the design");
    let steps = steps(&design);
    assert!(steps.len() > 15, "the table was not found: {steps:?}");
    for (file, functions) in steps {
        let path = if file.starts_with("shared-window/") {
            daemon.join("..").join(&file)
        } else {
            daemon.join("src").join(&file)
        };
        let source = fs::read_to_string(path).unwrap_or_else(|error| panic!("{file}: {error}"));
        for function in functions {
            let name = function.rsplit("::").next().expect("a name");
            let is_there = ["(", "<"]
                .iter()
                .any(|after| source.contains(&format!("fn {name}{after}")));
            assert!(is_there, "{file} has no function {name}");
        }
    }
}
