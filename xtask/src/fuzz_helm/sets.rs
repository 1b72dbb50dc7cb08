//! Values on the command line: texts that are nearly right.

use super::programs::Job;
use super::texts::chart;
use crate::random::Random;

const PIECES: &[&str] = &[
    "a",
    "b",
    ".",
    ".",
    ",",
    "=",
    "=",
    "{",
    "}",
    "[",
    "0",
    "1",
    "]",
    "\\",
    "\"",
    "null",
    "true",
    "-",
    "1.5",
    "a.b",
    "a[0]",
    "a=1",
    "={1,2}",
    " ",
    "\n",
    "é",
    "07",
    "1e3",
    "9999999999",
];
const JSON: &[&str] =
    &["{\"a\":1}", "[1,2]", "a={\"b\":[1,null]}", "a=\"x\"", "a", ".", "=", ",", "[0]", "null", "1"];
const PATHS: &[&str] = &["a", ".", "=", "v.txt", ",", "[0]", "b=v.txt", "none"];

/// One to three flags over values with a bit of everything.
pub fn job(random: &mut Random) -> Job {
    let mut arguments: Vec<String> = ["template", "x", "."].map(str::to_owned).into();
    for _ in 0..=random.below(3) {
        let flag =
            random.pick(&["--set", "--set", "--set-string", "--set-json", "--set-literal", "--set-file"]);
        let pieces = match flag {
            "--set-json" => JSON,
            "--set-file" => PATHS,
            _ => PIECES,
        };
        arguments.extend([flag.to_owned(), random.some(pieces, 8)]);
    }
    let files = [
        ("v.txt", "line\n"),
        ("values.yaml", "a: {b: 1, c: [1, {d: 2}]}\nb: text\n"),
        ("templates/a.yaml", "v: {{ .Values | toJson }}\n"),
    ];
    Job { files: chart("", &files), arguments, words: true }
}
