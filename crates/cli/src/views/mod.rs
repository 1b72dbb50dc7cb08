//! How results are printed. Views take data and return text; they fetch nothing.

pub mod live;
pub mod table;
pub mod tree;

use object::Value;

/// `-o`.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// A table.
    #[default]
    Table,
    /// A table with more columns.
    Wide,
    /// `kind/name`, a line each.
    Name,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// A value as JSON or YAML text; `None` for the other formats.
pub fn structured(value: &Value, output: Output) -> anyhow::Result<Option<String>> {
    Ok(match output {
        Output::Json => Some(format!("{}\n", serde_json::to_string_pretty(value)?)),
        Output::Yaml => Some(yaml::to_string(value)),
        Output::Table | Output::Wide | Output::Name => None,
    })
}

/// Whether standard output wants colours: a terminal, and NO_COLOR is not set.
pub fn colours() -> bool {
    use std::io::IsTerminal;
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A mark for a state, coloured when `colours`.
pub fn mark(state: controller::Phase, colours: bool) -> String {
    use controller::Phase;
    let (sign, colour) = match state {
        Phase::Suspended => ("‖", "90"),
        Phase::Ready => ("✓", "32"),
        Phase::Failed => ("✗", "31"),
        Phase::Working => ("…", "33"),
        Phase::Waiting => ("·", "90"),
    };
    if colours { format!("\x1b[{colour}m{sign}\x1b[0m") } else { sign.to_owned() }
}

/// A text in one line, cut to `width` characters: what its first line announces may stand in the second.
pub fn one_line(text: &str, width: usize) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line = lines.join(" ");
    if line.chars().count() <= width {
        return line;
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A time span as kubectl prints ages: `5s`, `3m12s`, `2h5m`, `4d`.
pub fn age(seconds: i64) -> String {
    let s = seconds.max(0);
    match s {
        0..120 => format!("{s}s"),
        120..600 => match s % 60 {
            0 => format!("{}m", s / 60),
            rest => format!("{}m{rest}s", s / 60),
        },
        600..7200 => format!("{}m", s / 60),
        7200..172_800 => match (s % 3600) / 60 {
            0 => format!("{}h", s / 3600),
            rest if s < 28_800 => format!("{}h{rest}m", s / 3600),
            _ => format!("{}h", s / 3600),
        },
        _ => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_kubectl_prints_them() {
        let cases = [
            (5, "5s"),
            (119, "119s"),
            (180, "3m"),
            (200, "3m20s"),
            (3600, "60m"),
            (7500, "2h5m"),
            (200_000, "2d"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn long_lines_are_cut_with_a_mark() {
        assert_eq!(one_line("abcdef\nx", 4), "abc…");
        assert_eq!(one_line("faults:\n  line 5: twice\n", 40), "faults: line 5: twice");
        assert_eq!(one_line("abc", 4), "abc");
    }
}
