// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Generated source files. They are always the same, and their sizes are distributed like those of
//! large C projects.

use std::fmt::Write as _;

/// The number of files in a folder.
const IN_FOLDER: usize = 16;
/// Sizes are log-normal. Half of Linux's files are smaller than this,
const MEDIAN: f64 = 5.5 * 1024.0;
/// and one in a hundred is larger than 128 KiB.
const SIGMA: f64 = 1.35;
/// The smallest and the largest size. Tables of registers are the largest files.
const SIZES: std::ops::RangeInclusive<f64> = 200.0..=3e6;
/// One in this many files contains the word of the search.
const NEEDLE_EVERY: usize = 150;
/// The word of the search.
pub(super) const NEEDLE: &str = "needle_in_the_haystack";
/// One file in three is a header.
const HEADER_EVERY: usize = 3;

/// The size of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The number of files.
    pub files: usize,
    /// The seed of all random choices.
    pub seed: u64,
}

/// A file of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its path in the tree.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl Shape {
    /// All files, one after another.
    pub fn sources(self) -> impl Iterator<Item = Source> {
        (0..self.files).map(move |number| source(self, number))
    }

    /// The number of files that contain the word.
    pub fn needles(self) -> usize {
        self.files.div_ceil(NEEDLE_EVERY)
    }

    /// A folder's name.
    pub(super) fn folder(number: usize) -> String {
        let folder = number / IN_FOLDER;
        format!("part{:02}/unit{folder:04}", folder % 40)
    }
}

fn is_header(number: usize) -> bool {
    number.is_multiple_of(HEADER_EVERY)
}

fn path(number: usize) -> String {
    let kind = if is_header(number) { "h" } else { "c" };
    format!("{}/file{number:05}.{kind}", Shape::folder(number))
}

fn source(shape: Shape, number: usize) -> Source {
    let mut random = fastrand::Rng::with_seed(shape.seed.wrapping_add(number as u64));
    let size = size(&mut random) as usize;
    let mut text = format!("/* File {number} of a tree that nobody has written. */\n");
    if is_header(number) {
        let _ = writeln!(text, "#ifndef FILE{number:05}_H\n#define FILE{number:05}_H");
    } else {
        // The headers of its folder that come before it.
        let first = number / IN_FOLDER * IN_FOLDER;
        for header in (first..number).filter(|number| is_header(*number)) {
            let _ = writeln!(text, "#include \"file{header:05}.h\"");
        }
    }
    if number.is_multiple_of(NEEDLE_EVERY) {
        let _ = writeln!(text, "/* {NEEDLE} */");
    }
    let mut part = 0;
    while text.len() < size {
        match is_header(number) {
            true => declaration(&mut text, number, part, &mut random),
            false => function(&mut text, number, part, &mut random),
        }
        part += 1;
    }
    if is_header(number) {
        text += "#endif\n";
    }
    Source {
        path: path(number),
        text,
    }
}

/// A random size: the sum of twelve uniform numbers is nearly normal.
fn size(random: &mut fastrand::Rng) -> f64 {
    let normal: f64 = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    (MEDIAN * (SIGMA * normal).exp()).clamp(*SIZES.start(), *SIZES.end())
}

fn declaration(text: &mut String, number: usize, part: usize, random: &mut fastrand::Rng) {
    let value = random.u32(..);
    let _ = match part % 3 {
        0 => writeln!(text, "#define REGISTER_{number:05}_{part} 0x{value:08x}u"),
        1 => writeln!(
            text,
            "struct state_{number:05}_{part} {{ int count, limit; long at[{}]; }};",
            value % 30 + 1
        ),
        _ => writeln!(
            text,
            "/* What {value:x} is to {part}: see the manual, chapter {}. */",
            value % 97
        ),
    };
}

fn function(text: &mut String, number: usize, part: usize, random: &mut fastrand::Rng) {
    let [a, b, c] = [(); 3].map(|()| random.u16(1..));
    let _ = writeln!(
        text,
        "/* Step {part}, with {a:x}, {b:x} and {c:x} as the table has them. */\n\
         int step_{number:05}_{part}(int first, int second)\n{{\n\
         \tint sum = first * {a} + second;\n\
         \tfor (int i = 0; i < {b}; i++) {{\n\
         \t\tif ((sum ^ i) % {c} == 0)\n\t\t\tsum += i << 1;\n\
         \t\telse\n\t\t\tsum -= second + {part};\n\
         \t}}\n\treturn sum;\n}}\n"
    );
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SHAPE: Shape = Shape {
        files: 3000,
        seed: 1,
    };

    #[test]
    fn sizes_are_those_of_a_large_project() {
        let mut sizes: Vec<usize> = SHAPE.sources().map(|source| source.text.len()).collect();
        sizes.sort_unstable();
        let at = |part: f64| sizes[(sizes.len() as f64 * part) as usize];
        assert!((4_500..7_000).contains(&at(0.5)), "{}", at(0.5));
        assert!((60_000..200_000).contains(&at(0.99)), "{}", at(0.99));
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((10_000..18_000).contains(&mean), "{mean}");
    }

    #[test]
    fn the_tree_is_always_the_same_and_has_its_needles() {
        let all: Vec<Source> = SHAPE.sources().collect();
        assert!(SHAPE.sources().eq(all.iter().cloned()));
        let paths: HashSet<&str> = all.iter().map(|source| source.path.as_str()).collect();
        assert_eq!(paths.len(), SHAPE.files);
        let needles = all
            .iter()
            .filter(|source| source.text.contains(NEEDLE))
            .count();
        assert_eq!(needles, SHAPE.needles());
        for source in &all {
            for line in source.text.lines() {
                if let Some(header) = line.strip_prefix("#include \"") {
                    let (folder, _) = source.path.rsplit_once('/').unwrap();
                    let header = format!("{folder}/{}", header.trim_end_matches('"'));
                    assert!(paths.contains(header.as_str()), "{header}");
                }
            }
        }
    }
}
